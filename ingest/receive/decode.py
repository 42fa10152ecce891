"""Decodes a topic and a payload to a Reading, a Snapshot or a StatusReport, or raises DecodeError. Pure functions.

msgspec reads plain messages of the modern dialect, in microseconds. Everything else goes the careful way
(json_text.py, fields.py, dialects.py), which understands more and says what is wrong.
"""

import re
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from ingest import copy_format
from ingest.message import DeadLetter, Ignored, Piece, Reading, Report, Several, Snapshot, StatusReport
from ingest.receive import json_text
from ingest.receive.dialects import Careful, as_status, details
from ingest.receive.fields import UnusableError, given, identifier
from ingest.receive.payloads import MAX_ID_CHARACTERS, SPELLINGS, WireLoad, WireReport
from ingest.receive.plain import NotPlainError, check_loads, is_plain, is_plain_id
from ingest.receive.refusal import DecodeError
from ingest.receive.timestamps import Clock, LongAgoError
from ingest.receive.topics import Kind, TopicMap
from shared.config import Mqtt

MAX_PAYLOAD_BYTES = 128 * 1024
# WireReport describes these kinds only.
_PLAIN_KINDS = (Kind.TELEMETRY, Kind.LOADS)
# A message names at most so many of its flaws.
_TOLD_FLAWS = 3

Decoded = Report | Several | Ignored

_report = msgspec.json.Decoder(WireReport)
_is_ven_id = re.compile(rf"[^\x00-\x1f\x7f-\x9f/]{{1,{MAX_ID_CHARACTERS}}}").fullmatch
_packed = msgspec.msgpack.Encoder().encode


class Decoder:
    """Decodes messages of `topics`; refuses timestamps older than `retention_days` or ahead by MQTT_CLOCK_AHEAD."""

    def __init__(self, topics: TopicMap, settings: Mqtt, retention_days: int) -> None:
        zone = None if settings.naive_timezone == "refuse" else ZoneInfo(settings.naive_timezone)
        self._topics = topics
        self._clock = Clock(zone, settings.clock_ahead, retention_days)
        self._offline = settings.offline

    def decode(self, topic: str, payload: bytes, received_at: int) -> Decoded:
        """The content of the message; its timestamp must be near `received_at` (µs since the epoch).

        Raises DecodeError.
        """
        found = self._topics.find(topic)
        if found is None:
            return Ignored("the topic matches no filter: an earlier process subscribed to another one")
        if not payload:
            return Ignored("empty: a retained message was cleared")
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise DecodeError(f"the message has {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are taken")
        kind, named = found
        if kind in _PLAIN_KINDS:
            try:
                return self._plain(kind, named, payload, received_at)
            except (NotPlainError, DecodeError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                pass
        try:
            return self._careful(kind, named, payload, received_at)
        except RecursionError as exc:
            raise DecodeError("the message is nested too deeply") from exc

    def _plain(self, kind: Kind, named: str | None, payload: bytes, received_at: int) -> Reading | Snapshot:
        if not payload.isascii():
            payload.decode()
        wire = _report.decode(payload)
        ven_id = _ven_id(wire.ven_id, named)
        if wire.timestamp is None:
            raise NotPlainError
        ts = self._clock.microseconds(wire.timestamp, received_at)
        if wire.loads:
            check_loads(wire.loads, is_plain(payload))
        if kind is Kind.LOADS:
            if wire.loads is None:
                raise NotPlainError
            return Snapshot(ven_id, ts, wire.loads)
        if (
            wire.used_power_kw is None
            or (wire.shed_power_kw is None and wire.shed_kw is not None)
            or (wire.battery_soc is None and not wire.old_battery_soc is wire.older_battery_soc is None)
            or (wire.event_id is not None and not is_plain_id(wire.event_id))
        ):
            raise NotPlainError
        return _reading(ven_id, ts, wire, wire.used_power_kw, payload, received_at)

    def _careful(self, kind: Kind, named: str | None, payload: bytes, received_at: int) -> Decoded:
        text = json_text.text_of(payload)
        try:
            value = json_text.parse(text)
        except ValueError as exc:
            if kind is not Kind.STATUS or text[:1] in ("{", "[", '"', ""):
                raise DecodeError(json_text.fault(text, exc)) from exc
            value = text
        if isinstance(value, list) and kind is not Kind.STATUS:
            return self._several(kind, named, value, received_at)
        if kind is Kind.STATUS and not isinstance(value, dict | list):
            value = {"status": value}
        return self._object(kind, named, value, received_at)

    def _several(self, kind: Kind, named: str | None, values: list[Any], received_at: int) -> Several:
        if not any(isinstance(value, dict) for value in values):
            raise DecodeError("the message is an array without an object in it")
        pieces: list[Piece] = []
        for value in values:
            content: Report | DeadLetter
            try:
                content = self._object(kind, named, value, received_at)
            except DecodeError as exc:
                content = DeadLetter(str(exc), exc.ven_id)
            pieces.append(Piece(json_text.dump(value), content))
        return Several(pieces)

    def _object(self, kind: Kind, named: str | None, value: Any, received_at: int) -> Report:
        if not isinstance(value, dict):
            raise DecodeError("the message is not a JSON object")
        ven_id = None
        try:
            ven_id = _ven_id(identifier("venId", value.get("venId"), slashes=False), named)
            if kind is Kind.STATUS:
                return self._status(ven_id, value, received_at)
            careful = Careful(value)
            wire = careful.report()
            ts = self._timestamp(wire.timestamp, received_at)
            if kind is Kind.LOADS:
                if wire.loads is None:
                    raise UnusableError("loads is missing, or is not a list")
                made: Reading | Snapshot = Snapshot(ven_id, ts, wire.loads)
            else:
                made = _reading(ven_id, ts, wire, careful.used_power(), json_text.dump(value), received_at)
                made.loads = wire.loads or []
                made.complete = made.lists_loads and not careful.lost_load
        except (UnusableError, DecodeError) as exc:
            raise DecodeError(str(exc), ven_id) from exc
        made.flaws = _told(careful.flaws)
        return made

    def _status(self, ven_id: str, fields: dict[str, Any], received_at: int) -> StatusReport:
        status = as_status(given(fields, "status"))
        if status is None:
            raise UnusableError("status is missing")
        flaws: list[str] = []
        ts = self._time_of_status(given(fields, "timestamp"), received_at, flaws)
        known = ("venId", *SPELLINGS["status"], *SPELLINGS["timestamp"])
        rest = {name: value for name, value in fields.items() if name not in known}
        report = StatusReport(ven_id, ts, status, details(rest, flaws))
        report.offline = status in self._offline
        report.flaws = _told(flaws)
        return report

    def _time_of_status(self, value: Any, received_at: int, flaws: list[str]) -> int | None:
        """The time of a status; None: its arrival counts. A last will is written when the VEN connects, which may be
        longer ago than RAW_RETENTION_DAYS, or before its clock was set: such a time is a flaw, not an error."""
        if value is None or value == "":
            return None
        try:
            return self._clock.microseconds(value, received_at)
        except LongAgoError as exc:
            flaws.append(str(exc))
            return None

    def _timestamp(self, value: Any, received_at: int) -> int:
        if value is None or value == "":
            raise DecodeError("timestamp is missing")
        return self._clock.microseconds(value, received_at)


def _reading(
    ven_id: str, ts: int, wire: WireReport, used: float, payload: bytes, received_at: int
) -> Reading:
    reading = Reading()
    reading.ven_id, reading.ts = ven_id, ts
    reading.used_power_kw = used
    shed = reading.shed_power_kw = wire.shed_power_kw or 0.0
    requested = reading.requested_reduction_kw = wire.requested_reduction_kw
    event_id = reading.event_id = wire.event_id
    soc = reading.battery_soc = wire.battery_soc
    key = copy_format.key(ven_id, ts)
    lists_loads = reading.lists_loads = reading.complete = wire.loads is not None
    reading.row = copy_format.telemetry(
        key, used, shed, requested, event_id, soc, payload, received_at, lists_loads
    )
    loads = wire.loads or ()
    description = reading.description = describe(loads) if loads else None
    reading.sample_count = len(loads)
    reading.list_row = copy_format.load_list(key, loads, description) if lists_loads else b""
    reading.loads = None
    reading.flaws = ()
    return reading


def _ven_id(given: str | None, named: str | None) -> str:
    if given is None:
        if named is None:
            raise DecodeError("venId is missing, and the topic names no VEN")
        if not _is_ven_id(named):
            raise DecodeError(f"the VEN's level of the topic must have 1 to {MAX_ID_CHARACTERS} characters")
        return named
    if named is not None and given != named:
        raise DecodeError(f"venId {given[:MAX_ID_CHARACTERS]!r} is not the VEN of the topic")
    # The first test is faster, and most ids pass it.
    if not (given.isprintable() and "/" not in given) and not _is_ven_id(given):
        raise DecodeError(
            f"venId must have 1 to {MAX_ID_CHARACTERS} characters, without control characters or /"
        )
    return given


def loads_of(reading: Reading, payload: bytes) -> Sequence[WireLoad]:
    """The loads of a reading that was decoded from `payload`."""
    if reading.loads is not None:
        return reading.loads
    loads = _report.decode(payload).loads or []
    check_loads(loads, plain=True)
    return loads


def describe(loads: Sequence[WireLoad]) -> int:
    """A hash of the ids, types, names and capacities of loads.

    It is the hash of their encoding, because Python's hash of -1.0 equals that of -2.0.
    """
    return hash(_packed([(load.load_id, load.type, load.name, load.capacity_kw) for load in loads]))


def _told(flaws: list[str]) -> tuple[str, ...]:
    """The first _TOLD_FLAWS flaws, and how many more there are."""
    more = len(flaws) - _TOLD_FLAWS
    return (*flaws[:_TOLD_FLAWS], f"and {more} more") if more > 0 else tuple(flaws)
