"""What decoding a message costs, by its dialect: µs, the best of several runs, on one core."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rich.table import Table

from fixtures.fleet import habits
from ingest.receive.refusal import DecodeError
from tests.support.samples import DECODER, NOW

_RUNS, _MESSAGES = 7, 2000
_RECEIVED_AT = NOW * 1_000_000


def table() -> Table:
    """The table of all dialects."""
    shown = Table("decode", "bytes", "µs", title="Decoding one message")
    for name, topic, payload in _messages():
        shown.add_row(name, f"{len(payload):,}", f"{_microseconds(topic, payload):.1f}")
    return shown


def _messages() -> list[tuple[str, str, bytes]]:
    loads = [_load(n) for n in range(8)]
    modern = {"venId": "ven-101", "timestamp": NOW, "usedPowerKw": 2.73, "shedPowerKw": 0.62, "loads": loads}
    older = {"ts": NOW * 1000, "power_kw": 2.73, "shed_kw": 0.62, "loads": loads}
    metering = "volttron/metering"
    bare = {name: modern[name] for name in ("venId", "timestamp", "usedPowerKw", "shedPowerKw")}
    spelt: list[tuple[str, Callable[[dict[str, Any]], bytes]]] = [
        ("numbers as text", habits.as_text),
        ("byte-order mark, NUL", habits.framed),
        ("NaN, a load without power", habits.gappy),
    ]
    return [
        ("modern, no loads", metering, json.dumps(bare).encode()),
        ("modern, 8 loads", metering, json.dumps(modern).encode()),
        ("older names, 8 loads", "oadr/meter/ven-101", json.dumps(older).encode()),
        *((f"{name}, 8 loads", metering, spell(modern)) for name, spell in spelt),
        ("array of 4, 8 loads each", metering, json.dumps([modern] * 4).encode()),
        ("not JSON", metering, json.dumps(modern).encode()[:-1]),
        ("status in plain text", "ven/status/ven-101", b"Offline"),
    ]


def _load(n: int) -> dict[str, Any]:
    return {
        "loadId": f"ld-{n}",
        "name": "HVAC",
        "type": "hvac",
        "capacityKw": 7.5,
        "currentPowerKw": 0.82 + n,
        "shedCapabilityKw": 0.5,
    }


def _microseconds(topic: str, payload: bytes) -> float:
    best = float("inf")
    for _ in range(_RUNS):
        began = time.perf_counter()
        for _ in range(_MESSAGES):
            _decode(topic, payload)
        best = min(best, time.perf_counter() - began)
    return best / _MESSAGES * 1e6


def _decode(topic: str, payload: bytes) -> None:
    with suppress(DecodeError):
        DECODER.decode(topic, payload, _RECEIVED_AT)
