"""Rows in the binary format of PostgreSQL's COPY.

https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": a header, then for each row a
16-bit count of fields and each field as a 32-bit length with its bytes (-1: null), then a 16-bit -1.
It replaces asyncpg's record encoder, because it copies a message's JSON as the bytes that arrived, and
packs the numbers of a row in one call.
"""

from collections.abc import Iterable
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.receive.payloads import WireLoad

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

TELEMETRY_COLUMNS = (
    "ven_id",
    "ts",
    "used_power_kw",
    "shed_power_kw",
    "requested_reduction_kw",
    "event_id",
    "battery_soc",
    "payload",
    "received_at",
    "lists_loads",
)
SAMPLE_COLUMNS = (
    "ven_id",
    "ts",
    "load_id",
    "load_type",
    "name",
    "used_power_kw",
    "shed_power_kw",
    "shed_capability_kw",
    "capacity_kw",
)

_NULL = b"\xff\xff\xff\xff"
_count = Struct("!h").pack
_TELEMETRY_FIELDS = _count(len(TELEMETRY_COLUMNS))
_SAMPLE_FIELDS = _count(len(SAMPLE_COLUMNS))
_FALSE, _TRUE = b"\0\0\0\x01\0", b"\0\0\0\x01\x01"
_length = Struct("!i").pack
_float = Struct("!id").pack
_two_floats = Struct("!idid").pack
_timestamp = Struct("!iq").pack
# The fields used, shed, shed capability, capacity, in the three combinations that firmware sends most often.
_used_only = Struct("!idiii").pack
_used_and_capacity = Struct("!idiiid").pack
_all_but_shed = Struct("!idiidid").pack

# PostgreSQL counts microseconds from 2000-01-01.
_POSTGRES_EPOCH = 946_684_800_000_000
# Messages repeat the same few types and names of loads.
_WORDS = 4096
_WORD_CHARACTERS = 64


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _length(len(encoded)) + encoded


class _Words(dict[str | None, bytes]):
    """A cache of texts as fields of a row; it keeps short texts, such as types and names of loads."""

    def __missing__(self, value: str) -> bytes:
        field = _text(value)
        # Long texts are rarely repeated, and thousands of them would take much memory.
        if len(value) <= _WORD_CHARACTERS:
            if len(self) >= _WORDS:
                self.clear()
                self[None] = _NULL
            self[value] = field
        return field


_words = _Words({None: _NULL})


def _number(value: float | None) -> bytes:
    return _NULL if value is None else _float(8, value)


def _numbers(used: float, shed: float | None, capability: float | None, capacity: float | None) -> bytes:
    if shed is None:
        if capability is not None and capacity is not None:
            return _all_but_shed(8, used, -1, 8, capability, 8, capacity)
        if capability is None:
            if capacity is None:
                return _used_only(8, used, -1, -1, -1)
            return _used_and_capacity(8, used, -1, -1, 8, capacity)
    return b"".join((_float(8, used), _number(shed), _number(capability), _number(capacity)))


def key(ven_id: str, ts: int) -> bytes:
    """The first two fields of both kinds of row: the VEN and the time (µs since the epoch)."""
    return _text(ven_id) + _timestamp(8, ts - _POSTGRES_EPOCH)


def telemetry(
    row_key: bytes,
    used_kw: float,
    shed_kw: float,
    requested_kw: float | None,
    event_id: str | None,
    battery_soc: float | None,
    payload: bytes,
    received_at: int,
    lists_loads: bool,
) -> bytes:
    """One row of ven_telemetry, in the order of TELEMETRY_COLUMNS."""
    return b"".join(
        (
            _TELEMETRY_FIELDS,
            row_key,
            _two_floats(8, used_kw, 8, shed_kw),
            _number(requested_kw),
            _words[event_id],
            _number(battery_soc),
            _length(len(payload)),
            payload,
            _timestamp(8, received_at - _POSTGRES_EPOCH),
            _TRUE if lists_loads else _FALSE,
        )
    )


def samples(row_key: bytes, loads: "Iterable[WireLoad]") -> bytes:
    """The rows of ven_load_samples, one for each load, in the order of SAMPLE_COLUMNS. Each load has its load_id."""
    parts: list[bytes] = []
    start = _SAMPLE_FIELDS + row_key
    for load in loads:
        encoded = (load.load_id or "").encode()
        parts += (
            start,
            _length(len(encoded)),
            encoded,
            _words[load.type],
            _words[load.name],
            _numbers(load.current_power_kw, load.shed_power_kw, load.shed_capability_kw, load.capacity_kw),
        )
    return b"".join(parts)
