"""Rows in the binary format of PostgreSQL's COPY.

https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": a header, then for each row a
16-bit count of fields and each field as a 32-bit length with its bytes (-1: null), then a 16-bit -1.
It replaces asyncpg's record encoder, because it copies a message's JSON as the bytes that arrived, and
packs the numbers of a row in one call.
"""

from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING, cast

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
LIST_COLUMNS = (
    "ven_id",
    "ts",
    "load_ids",
    "load_types",
    "names",
    "capacity_kw",
    "used_power_kw",
    "shed_power_kw",
    "shed_capability_kw",
)

_NULL = b"\xff\xff\xff\xff"
_count = Struct("!h").pack
_TELEMETRY_FIELDS = _count(len(TELEMETRY_COLUMNS))
_LIST_FIELDS = _count(len(LIST_COLUMNS))
_FALSE, _TRUE = b"\0\0\0\x01\0", b"\0\0\0\x01\x01"
_length = Struct("!i").pack
_float = Struct("!id").pack
_two_floats = Struct("!idid").pack
_timestamp = Struct("!iq").pack
# The head of an array of one dimension: its length in bytes; dimensions, whether it has nulls, type of its elements;
# how many there are, number of the first.
_array = Struct("!iiiiii").pack
_ARRAY_HEAD_BYTES = 20
_TEXT, _DOUBLE = 25, 701
_empty = Struct("!iiii").pack
_NO_TEXTS, _NO_DOUBLES = _empty(12, 0, 0, _TEXT), _empty(12, 0, 0, _DOUBLE)

# PostgreSQL counts microseconds from 2000-01-01.
_POSTGRES_EPOCH = 946_684_800_000_000
# VENs describe their loads in the same way again and again. Room for more than 20,000 VENs of 8 loads.
_DESCRIPTIONS_BYTES = 16 * 1024 * 1024
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


class _Descriptions(dict[int, bytes]):
    """A cache of what lists say of their loads beside powers, as fields of a row, by `describe` in decode.py: a hash of
    64 bits with a key of the process, so that two different ones out of some 20,000 hardly ever share it."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def learn(self, description: int, loads: "Sequence[WireLoad]") -> bytes:
        """Keep and return the fields from load_ids to capacity_kw."""
        fields = b"".join(
            (
                _texts([_text(load.load_id or "") for load in loads]),
                _texts([_words[load.type] for load in loads]),
                _texts([_words[load.name] for load in loads]),
                _optional_doubles([load.capacity_kw for load in loads]),
            )
        )
        self._bytes += len(fields)
        if self._bytes > _DESCRIPTIONS_BYTES:
            self.clear()
            self._bytes = len(fields)
        self[description] = fields
        return fields


_descriptions = _Descriptions()


def _number(value: float | None) -> bytes:
    return _NULL if value is None else _float(8, value)


def _texts(words: Sequence[bytes]) -> bytes:
    """An array of texts, each as a field; null if all are null."""
    nulls = words.count(_NULL)
    if nulls == len(words):
        return _NULL
    data = b"".join(words)
    return _array(_ARRAY_HEAD_BYTES + len(data), 1, nulls > 0, _TEXT, len(words), 1) + data


# How the doubles of a list are packed, by how many there are. Longer lists are packed one by one.
_doubles_of = [Struct("!iiiiii" + "id" * count).pack for count in range(65)]


def _doubles(values: Sequence[float]) -> bytes:
    """An array of doubles."""
    count = len(values)
    head = _ARRAY_HEAD_BYTES + 12 * count, 1, 0, _DOUBLE, count, 1
    if count >= len(_doubles_of):
        return _array(*head) + b"".join([_float(8, value) for value in values])
    fields: list[float] = [8] * (2 * count)
    fields[1::2] = values
    return _doubles_of[count](*head, *fields)


def _optional_doubles(values: Sequence[float | None]) -> bytes:
    """An array of doubles and nulls; null if all are null."""
    if None not in values:
        return _doubles(cast("Sequence[float]", values))
    if values.count(None) == len(values):
        return _NULL
    data = b"".join(map(_number, values))
    return _array(_ARRAY_HEAD_BYTES + len(data), 1, 1, _DOUBLE, len(values), 1) + data


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


def load_list(row_key: bytes, loads: "Sequence[WireLoad]", description: int | None) -> bytes:
    """The row of ven_load_lists, in the order of LIST_COLUMNS. Each load has its load_id.

    `description`: a hash of the loads' ids, types, names and capacities; None without loads.
    """
    if description is None:
        return b"".join((_LIST_FIELDS, row_key, _NO_TEXTS, _NULL, _NULL, _NULL, _NO_DOUBLES, _NULL, _NULL))
    return b"".join(
        (
            _LIST_FIELDS,
            row_key,
            _descriptions.get(description) or _descriptions.learn(description, loads),
            _doubles([load.current_power_kw for load in loads]),
            _optional_doubles([load.shed_power_kw for load in loads]),
            _optional_doubles([load.shed_capability_kw for load in loads]),
        )
    )
