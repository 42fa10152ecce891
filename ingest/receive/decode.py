"""Pure: a topic and a payload become a Reading, a Snapshot or a StatusReport, or a DecodeError says why not.

Tolerant of unknown fields and of the spellings in the MQTT contract, strict on what is stored.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ingest import copy_format
from ingest.message import Reading, Snapshot, StatusReport
from ingest.receive.payloads import (
    MAX_ID_CHARACTERS,
    MAX_POWER_KW,
    Timestamp,
    WireLoad,
    WireLoadSnapshot,
    WireTelemetry,
)
from ingest.receive.topics import Kind, TopicMap
from shared.errors import EcsError

MAX_PAYLOAD_BYTES = 128 * 1024
MAX_AHEAD_SECONDS = 3600
# Above this a numeric timestamp is in milliseconds.
_MILLISECONDS_FROM = 1e11

_telemetry = msgspec.json.Decoder(WireTelemetry)
_snapshot = msgspec.json.Decoder(WireLoadSnapshot)
_anything = msgspec.json.Decoder()
# An escaped NUL, but not an escaped backslash before "u0000".
_has_nul = re.compile(r"(?<!\\)(?:\\\\)*\\u0000").search
_is_id = re.compile(rf"[^\x00-\x1f\x7f-\x9f/]{{1,{MAX_ID_CHARACTERS}}}").fullmatch


class DecodeError(EcsError):
    """A message that cannot be stored; the text says which field is wrong and what it may be."""


class Decoder:
    """Decodes messages whose timestamps lie between `retention_days` ago and an hour ahead."""

    def __init__(self, topics: TopicMap, retention_days: int) -> None:
        self._topics = topics
        self._retention_days = retention_days
        self._decode: dict[Kind, Callable[[str | None, bytes, int], Reading | Snapshot | StatusReport]] = {
            Kind.TELEMETRY: self._reading,
            Kind.LOADS: self._snapshot,
            Kind.STATUS: self._status,
        }

    def decode(self, topic: str, payload: bytes, received_at: int) -> Reading | Snapshot | StatusReport:
        """What the message says; `received_at` (µs since the epoch) is the clock for plausible times."""
        found = self._topics.find(topic)
        if found is None:
            raise DecodeError("the topic matches no filter of MQTT_TOPIC_METERING, _LOADS or _STATUS")
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise DecodeError(f"the message has {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are taken")
        if not payload:
            raise DecodeError("the message is empty")
        kind, named = found
        try:
            if not payload.isascii():
                payload.decode()
            return self._decode[kind](named, payload, received_at)
        except UnicodeDecodeError as exc:
            raise DecodeError(f"the message is not UTF-8: byte {exc.start} is wrong") from exc
        except msgspec.ValidationError as exc:
            raise DecodeError(str(exc)) from exc
        except msgspec.DecodeError as exc:
            raise DecodeError(f"the message is not JSON: {exc}") from exc
        except RecursionError as exc:
            raise DecodeError("the message is nested too deeply") from exc

    def _reading(self, named: str | None, payload: bytes, received_at: int) -> Reading:
        wire = _telemetry.decode(payload)
        reading = Reading()
        reading.ven_id = ven_id = _ven_id(wire.ven_id, named)
        given = wire.timestamp if wire.timestamp is not None else _old_timestamp(wire.old_timestamp)
        reading.ts = ts = self._timestamp(given, received_at)
        used = wire.used_power_kw
        if used is None:
            used = _old_number("power_kw", wire.old_used_power)
            if used is None:
                raise DecodeError("usedPowerKw is missing")
        shed = wire.shed_power_kw
        if shed is None:
            shed = _old_number("shed_kw", wire.old_shed_power) or 0.0
        soc = wire.battery_soc
        if soc is None:
            soc = _old_number("battery_soc", wire.old_battery_soc)
            if soc is None:
                soc = _old_number("batterySOC", wire.older_battery_soc)
        reading.used_power_kw = used
        reading.shed_power_kw = shed
        requested = reading.requested_reduction_kw = wire.requested_reduction_kw
        event_id = reading.event_id = wire.event_id
        if event_id is not None:
            _identifier("eventId", event_id)
        reading.battery_soc = soc
        key = copy_format.key(ven_id, ts)
        reading.row = copy_format.telemetry(key, used, shed, requested, event_id, soc, payload, received_at)
        loads = wire.loads or ()
        _check_loads(loads, _is_plain(payload))
        reading.lists_loads = wire.loads is not None
        reading.description = describe(loads) if loads else None
        reading.sample_count = len(loads)
        reading.samples = copy_format.samples(key, loads)
        return reading

    def _snapshot(self, named: str | None, payload: bytes, received_at: int) -> Snapshot:
        wire = _snapshot.decode(payload)
        ven_id = _ven_id(wire.ven_id, named)
        ts = self._timestamp(wire.timestamp, received_at)
        if wire.loads is None:
            raise DecodeError("loads is missing")
        _check_loads(wire.loads, _is_plain(payload))
        return Snapshot(ven_id, ts, wire.loads)

    def _status(self, named: str | None, payload: bytes, received_at: int) -> StatusReport:
        fields = _anything.decode(payload)
        if not isinstance(fields, dict):
            raise DecodeError("the message is no JSON object")
        ven_id = _ven_id(_text_or_none("venId", fields.pop("venId", None)), named)
        modern, old = fields.pop("status", None), fields.pop("ven", None)
        status = _text_or_none("status", modern if modern is not None else old)
        if status is None:
            raise DecodeError("status is missing")
        _identifier("status", status)
        modern, old = fields.pop("timestamp", None), fields.pop("ts", None)
        given = _old_timestamp(modern if modern is not None else old)
        ts = None if given is None else self._timestamp(given, received_at)
        return StatusReport(ven_id, ts, status, _details(fields))

    def _timestamp(self, value: Timestamp | None, received_at: int) -> int:
        if value is None:
            raise DecodeError("timestamp is missing")
        ts = _microseconds(value)
        if ts > received_at + MAX_AHEAD_SECONDS * 1_000_000:
            raise DecodeError(f"timestamp {value} is more than {MAX_AHEAD_SECONDS} s ahead of the clock")
        if ts < received_at - self._retention_days * 86_400_000_000:
            raise DecodeError(
                f"timestamp {value} is older than the {self._retention_days} days of RAW_RETENTION_DAYS"
            )
        return ts


def _microseconds(value: Timestamp) -> int:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return round(moment.timestamp() * 1e6)
        except (ValueError, OverflowError) as exc:
            raise DecodeError(f"timestamp {value[:40]!r} is no ISO 8601 time") from exc
    # The bound also keeps integers of any length away from the arithmetic below.
    if not -1e15 < value < 1e15:
        raise DecodeError("timestamp is no time of Unix seconds or milliseconds")
    return round(value * 1e3) if abs(value) > _MILLISECONDS_FROM else round(value * 1e6)


def _ven_id(given: str | None, named: str | None) -> str:
    if given is None:
        if named is None:
            raise DecodeError("venId is missing, and the topic names no VEN")
        return _identifier("the VEN id in the topic", named)
    if named is not None and given != named:
        raise DecodeError(f"venId {given[:MAX_ID_CHARACTERS]!r} is not the VEN of the topic")
    return _identifier("venId", given)


def _identifier(name: str, value: str) -> str:
    # Most ids are plain words, which the first test tells faster.
    if not (
        value.isprintable() and "/" not in value and len(value) <= MAX_ID_CHARACTERS and value
    ) and not _is_id(value):
        raise DecodeError(
            f"{name} must have 1 to {MAX_ID_CHARACTERS} characters, without control characters or /"
        )
    return value


def loads_in(payload: bytes) -> list[WireLoad]:
    """The loads of a telemetry message that has been decoded before."""
    loads = _telemetry.decode(payload).loads or []
    _check_loads(loads, plain=True)
    return loads


def describe(loads: Sequence[WireLoad]) -> int:
    """A hash of all that telemetry says of loads but their power."""
    return hash(tuple([(load.load_id, load.type, load.name, load.capacity_kw) for load in loads]))


def _is_plain(payload: bytes) -> bool:
    """Whether no text in it can hold a control character or a slash. JSON lets control characters stand only
    escaped; msgspec has checked the length of ids. Most messages are plain, and this is faster than a look at
    each of their ids."""
    return payload.isascii() and not (b"\\" in payload or b"/" in payload or b"\x7f" in payload)


def _check_loads(loads: Sequence[WireLoad], plain: bool) -> None:
    """Give every load its load_id (else id), which are then unique; raises DecodeError."""
    ids = {load.load_id for load in loads}
    if not plain or None in ids:
        ids = {_checked(at, load) for at, load in enumerate(loads)}
    if len(ids) < len(loads):
        raise DecodeError("loads names a load twice")


def _checked(at: int, load: WireLoad) -> str:
    load_id = load.load_id if load.load_id is not None else load.id
    if load_id is None:
        raise DecodeError(f"loads[{at}].loadId is missing")
    if (load.type and "\0" in load.type) or (load.name and "\0" in load.name):
        raise DecodeError(f"loads[{at}].type or .name holds a NUL character")
    load.load_id = _identifier(f"loads[{at}].loadId", load_id)
    return load_id


def _old_number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DecodeError(f"{name} must be a number")
    # Also false for NaN.
    if not -MAX_POWER_KW <= value <= MAX_POWER_KW:
        raise DecodeError(f"{name} must lie within ±{MAX_POWER_KW:,.0f}")
    return float(value)


def _old_timestamp(value: Any) -> Timestamp | None:
    if value is None or (isinstance(value, int | float | str) and not isinstance(value, bool)):
        return value
    raise DecodeError("timestamp must be a number or an ISO 8601 text")


def _text_or_none(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise DecodeError(f"{name} must be a text")


def _details(fields: dict[str, Any]) -> str | None:
    """The details of a status as JSON: its `details` object, and every other field of the message.

    Encoded here and nowhere else: how deep is too deep depends on the stack, and here it is a dead letter.
    """
    details = fields.pop("details", None)
    if isinstance(details, dict):
        fields = {**fields, **details}
    elif details is not None:
        fields["details"] = details
    if not fields:
        return None
    encoded = msgspec.json.encode(fields).decode()
    if _has_nul(encoded):
        raise DecodeError("details hold a NUL character")
    return encoded
