"""Messages as hypothesis makes them: any values under the field names that ingest knows."""

import json
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

NAMES = (
    *(
        "venId",
        "timestamp",
        "ts",
        "usedPowerKw",
        "power_kw",
        "shedPowerKw",
        "shed_kw",
        "requestedReductionKw",
    ),
    *("eventId", "batterySoc", "battery_soc", "batterySOC", "loads", "status", "ven", "details", "other"),
)
LOAD_NAMES = (
    *("id", "loadId", "name", "type"),
    *("currentPowerKw", "capacityKw", "shedCapabilityKw", "shedPowerKw"),
)


def bodies(now: int) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects of the known names; `now` (s since the epoch) is among their values."""
    scalars = st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        *(st.just("v"), st.just(now), st.just(1.5), st.just("a/b"), st.just("\0")),
        st.just("2026-09-21T14:13:20Z"),
    )
    values: Any = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    )
    loads = st.lists(st.dictionaries(st.sampled_from(LOAD_NAMES), scalars, max_size=8), max_size=3)
    return st.fixed_dictionaries(
        {}, optional={name: (loads | values if name == "loads" else values) for name in NAMES}
    )


def payloads(now: int, seed: int, count: int) -> list[bytes]:
    """`count` payloads for a separate process, where hypothesis cannot see the outcome: bodies, of which some are good
    except for a name or two; lone surrogates as escapes and as raw bytes."""
    made: list[bytes] = []
    nearly = bodies(now).map(lambda body: {"venId": "v", "timestamp": now, "usedPowerKw": 1, **body})
    encoded = st.tuples(bodies(now) | nearly, st.booleans()).map(
        lambda pair: json.dumps(pair[0], ensure_ascii=pair[1]).encode(errors="surrogatepass")
    )

    @hypothesis.seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(encoded)
    def collect(payload: bytes) -> None:
        made.append(payload)

    collect()
    return made
