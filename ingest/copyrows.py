"""Rows in the binary format of PostgreSQL's COPY.

https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": a header, then for each row a
16-bit count of fields and each field as a 32-bit length with its bytes (-1: null), then a 16-bit -1.
Written here, and not by asyncpg's record encoder, because it takes a message's JSON as the bytes that
came and packs the numbers of a row in one call.
"""

from struct import Struct

from shared.models import WireLoad

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
_ROW_OF_9 = b"\0\x09"
_length = Struct("!i").pack
_float = Struct("!id").pack
_two_floats = Struct("!idid").pack
_timestamp = Struct("!iq").pack

# PostgreSQL counts microseconds from 2000-01-01.
_POSTGRES_EPOCH = 946_684_800_000_000


def _text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    encoded = value.encode()
    return _length(len(encoded)) + encoded


def _number(value: float | None) -> bytes:
    return _NULL if value is None else _float(8, value)


def key(ven_id: str, ts: int) -> bytes:
    """The first fields of both kinds of row: how many follow, the VEN and the time."""
    return _ROW_OF_9 + _text(ven_id) + _timestamp(8, ts - _POSTGRES_EPOCH)


def telemetry(
    row_key: bytes,
    used_kw: float,
    shed_kw: float,
    requested_kw: float | None,
    event_id: str | None,
    battery_soc: float | None,
    payload: bytes,
    received_at: int,
) -> bytes:
    """One row of ven_telemetry, in the order of TELEMETRY_COLUMNS."""
    return b"".join(
        (
            row_key,
            _two_floats(8, used_kw, 8, shed_kw),
            _number(requested_kw),
            _text(event_id),
            _number(battery_soc),
            _length(len(payload)),
            payload,
            _timestamp(8, received_at - _POSTGRES_EPOCH),
        )
    )


def sample(row_key: bytes, load_id: str, load: WireLoad) -> bytes:
    """One row of ven_load_samples, in the order of SAMPLE_COLUMNS."""
    return b"".join(
        (
            row_key,
            _text(load_id),
            _text(load.type),
            _text(load.name),
            _float(8, load.current_power_kw),
            _number(load.shed_power_kw),
            _number(load.shed_capability_kw),
            _number(load.capacity_kw),
        )
    )
