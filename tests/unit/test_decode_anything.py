"""Whatever arrives is decoded or refused with a reason; nothing else may come of it."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decode import DecodeError
from ingest.message import Reading, Snapshot, StatusReport
from tests.samples import DECODER

NOW = 1_790_000_000
TOPICS = (
    "volttron/metering",
    "oadr/meter/v",
    "ven/loads/v",
    "volttron/dev",
    "ven/status/v",
    "ven/status/",
    "else/where",
)
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
    "id",
    "loadId",
    "name",
    "type",
    "currentPowerKw",
    "capacityKw",
    "shedCapabilityKw",
    "shedPowerKw",
)

scalars = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    *(
        st.just("v"),
        st.just(NOW),
        st.just(1.5),
        st.just("a/b"),
        st.just("\0"),
        st.just("2026-09-21T14:13:20Z"),
    ),
)
values: Any = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
loads = st.lists(st.dictionaries(st.sampled_from(LOAD_NAMES), scalars, max_size=8), max_size=3)
bodies = st.fixed_dictionaries(
    {}, optional={name: (loads | values if name == "loads" else values) for name in NAMES}
)


def decode(topic: str, payload: bytes) -> None:
    try:
        content: object = DECODER.decode(topic, payload, NOW * 1_000_000)
    except DecodeError as refusal:
        content = str(refusal)
    assert content
    assert isinstance(content, Reading | Snapshot | StatusReport | str)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(TOPICS), st.binary(max_size=200))
def test_any_bytes(topic: str, payload: bytes) -> None:
    decode(topic, payload)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.sampled_from(TOPICS), bodies)
def test_any_json_of_the_known_names(topic: str, body: dict[str, Any]) -> None:
    decode(topic, json.dumps(body).encode(errors="surrogatepass"))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.text(max_size=30), bodies)
def test_any_topic(topic: str, body: dict[str, Any]) -> None:
    decode(topic, json.dumps(body).encode())


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    st.sampled_from(TOPICS), bodies, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4)
)
def test_any_message_with_some_bytes_changed(
    topic: str, body: dict[str, Any], changes: list[tuple[int, int]]
) -> None:
    payload = bytearray(json.dumps({"venId": "v", "timestamp": NOW, "usedPowerKw": 1, **body}).encode())
    for at, value in changes:
        payload[at % len(payload)] = value
    decode(topic, bytes(payload))
