"""Reads the timestamps of messages, as microseconds since the Unix epoch, and checks that they are plausible."""

import re
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ingest.receive.json_text import NotANumber
from ingest.receive.refusal import DecodeError

SECOND_US = 1_000_000
_DAY_US = 86_400 * SECOND_US
# Numbers above the first are milliseconds; those above the second are of a smaller unit, and refused.
_MILLISECONDS_FROM = 1e11
_MILLISECONDS_TO = 1e14
_NUMBER = re.compile(r"[+-]?\d{5,15}(\.\d*)?").fullmatch
_EXPECTED = "send Unix seconds, Unix milliseconds or ISO 8601"


class Clock:
    """Reads the timestamps of messages.

    `zone`: the zone of timestamps without an offset; None refuses them. `ahead_seconds`, `retention_days`: how far a
    timestamp may be ahead of the clock, and how old.
    """

    def __init__(self, zone: ZoneInfo | None, ahead_seconds: float, retention_days: int) -> None:
        self._zone = zone
        self._ahead_us = round(ahead_seconds * SECOND_US)
        self._ahead = f"{ahead_seconds:g} s of MQTT_CLOCK_AHEAD"
        self._retention_us = retention_days * _DAY_US
        self._retention = f"{retention_days} days of RAW_RETENTION_DAYS"

    def microseconds(self, value: Any, received_at: int) -> int:
        """`value`, a number or text, in µs. Raises DecodeError if it is not a time, or not near `received_at` (µs)."""
        ts = self._of_text(value) if isinstance(value, str) else _of_number(value)
        if ts > received_at + self._ahead_us:
            raise DecodeError(
                f"timestamp is {_span(ts - received_at)} ahead, more than the {self._ahead}: "
                "the VEN's clock or time zone is wrong"
            )
        if ts < received_at - self._retention_us:
            raise LongAgoError(
                f"timestamp is {_span(received_at - ts)} old, more than the {self._retention}: "
                "the VEN's clock is wrong, or the message is too late"
            )
        return ts

    def _of_text(self, text: str) -> int:
        text = text.strip()
        if isinstance(text, NotANumber):
            raise DecodeError(f"timestamp is not a finite number: {_EXPECTED}")
        if _NUMBER(text):
            return _of_number(float(text))
        if _is_date(text):
            raise DecodeError(f"timestamp is a date without a time: {_EXPECTED}")
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self._naive_zone())
            return (moment - _EPOCH) // _MICROSECOND
        except (ValueError, OverflowError) as exc:
            raise DecodeError(
                f"timestamp is a text that is neither a number nor ISO 8601: {_EXPECTED}"
            ) from exc

    def _naive_zone(self) -> ZoneInfo:
        if self._zone is None:
            raise DecodeError("timestamp has no offset, which MQTT_NAIVE_TIMEZONE refuses: add Z or +01:00")
        return self._zone


class LongAgoError(DecodeError):
    """The time is older than the raw data that is kept."""


_UTC = ZoneInfo("UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=_UTC)
_MICROSECOND = timedelta(microseconds=1)


def _of_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DecodeError(f"timestamp is not a number or a text: {_EXPECTED}")
    # `not <` is true for NaN as well. The bound also keeps very long integers out of the arithmetic below.
    if not abs(value) < _MILLISECONDS_TO:
        raise DecodeError("timestamp is too large: send Unix seconds or milliseconds, no smaller unit")
    return round(value * 1e3) if abs(value) > _MILLISECONDS_FROM else round(value * 1e6)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _span(us: int) -> str:
    """A span of time in a unit that fits: 55 min, 2.0 h (a time zone), 56 years."""
    seconds = us / SECOND_US
    for unit, length in (("years", 31_556_952), ("days", 2 * 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            size = length if unit != "days" else 86_400
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
