"""The query string of a history: a frozen struct with bounds, or a BadRequestError that names the field."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal, cast
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct
from starlette.requests import Request

from api.web.errors import BadRequestError

Fill = Literal["none", "null", "locf"]
Format = Literal["json", "csv"]

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
HISTORY_PARAMS = ("start", "end", "granularity", "timezone", "fill", "format")
INTERVAL_PARAMS = ("start", "end")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_WIDTH_SECONDS = 3660 * 86400
_GRANULARITY = re.compile(r"([1-9]\d{0,9})([smhd])", re.ASCII)
# A "+" that was not written %2B arrives as a space.
_LOST_PLUS = re.compile(r"(T\S*) (\d\d(?::?\d\d)?)$", re.ASCII)


class Granularity(Struct, frozen=True):
    """The width of a bucket in s, and how the client wrote it."""

    seconds: int
    text: str


class HistoryParams(Struct, frozen=True, kw_only=True):
    """What a history is asked for; None: not given. Times are aware, in UTC."""

    start: datetime | None
    end: datetime | None
    granularity: Granularity | None
    timezone: ZoneInfo | None
    fill: Fill
    format: Format


class Interval(Struct, frozen=True):
    """A span of time; None: open on that side."""

    start: datetime | None
    end: datetime | None


def history_params(request: Request) -> HistoryParams:
    """What `request` asks of a history; raises BadRequestError."""
    query = request.query_params
    span = interval(query)
    granularity = query.get("granularity")
    timezone = query.get("timezone")
    return HistoryParams(
        start=span.start,
        end=span.end,
        granularity=None if granularity is None else parse_granularity(granularity),
        timezone=None if timezone is None else _timezone(timezone),
        fill=cast(Fill, _one_of("fill", query.get("fill", "none"), ("none", "null", "locf"))),
        format=cast(Format, _one_of("format", query.get("format", _accepted(request)), ("json", "csv"))),
    )


def interval(query: Mapping[str, str]) -> Interval:
    """`start` and `end` of a query; raises BadRequestError if one is malformed or they are the wrong way round."""
    start, end = (parse_time(name, query[name]) if name in query else None for name in INTERVAL_PARAMS)
    if start is not None and end is not None and start >= end:
        raise BadRequestError(
            f"start: must be before end, but {start.isoformat()} is not before {end.isoformat()}"
        )
    return Interval(start, end)


def parse_time(name: str, text: str) -> datetime:
    """An ISO 8601 time as UTC, which it is already without an offset; raises BadRequestError."""
    try:
        given = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))
        aware = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise BadRequestError(
            f"{name}: {_shown(text)} is no ISO 8601 time, such as 2026-07-10T15:00:00Z or 2026-07-10T17:00:00+02:00"
        ) from exc
    if not EARLIEST <= aware <= LATEST:
        raise BadRequestError(f"{name}: {_shown(text)} is not between {EARLIEST.year} and {LATEST.year}")
    return aware


def parse_granularity(text: str) -> Granularity:
    """`<n>s|m|h|d`; raises BadRequestError."""
    match = _GRANULARITY.fullmatch(text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 1 <= seconds <= _MAX_WIDTH_SECONDS:
        longest = timedelta(seconds=_MAX_WIDTH_SECONDS).days
        raise BadRequestError(
            f"granularity: {_shown(text)} is not <n>s, <n>m, <n>h or <n>d, from 1s to {longest}d, such as 15m"
        )
    return Granularity(seconds, text)


def _timezone(text: str) -> ZoneInfo:
    if text not in _timezones():
        raise BadRequestError(f"timezone: {_shown(text)} is no IANA time zone, such as Europe/Berlin")
    return ZoneInfo(text)


@cache
def _timezones() -> set[str]:
    return available_timezones()


def _one_of(name: str, text: str, words: tuple[str, ...]) -> str:
    if text not in words:
        raise BadRequestError(f"{name}: {_shown(text)} is none of {', '.join(words)}")
    return text


def _accepted(request: Request) -> Format:
    """csv if the Accept header names text/csv and wants it more than application/json."""
    wanted = {"text/csv": 0.0, "application/json": 0.0}
    for entry in request.headers.get("accept", "").split(","):
        kind, *options = (part.strip().lower() for part in entry.split(";"))
        if kind in wanted:
            wanted[kind] = _quality(options)
    return "csv" if wanted["text/csv"] > wanted["application/json"] else "json"


def _quality(options: list[str]) -> float:
    for option in options:
        match = re.fullmatch(r"q\s*=\s*([01](?:\.\d{0,3})?)", option)
        if match:
            return float(match[1])
    return 1.0


def _shown(text: str) -> str:
    return repr(text if len(text) <= 64 else f"{text[:61]}...")
