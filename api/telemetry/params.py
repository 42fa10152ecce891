"""What a history is asked for: a frozen struct with bounds, or a BadRequestError that names the parameter."""

import re
from datetime import datetime, timedelta
from functools import cache
from typing import Literal, cast
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct
from starlette.requests import Request

from api.web.errors import BadRequestError
from api.web.query_string import Format, accepted_format, interval, one_of, shown

Fill = Literal["none", "null", "locf"]

HISTORY_PARAMS = ("start", "end", "granularity", "timezone", "fill", "format")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MAX_WIDTH_SECONDS = 3660 * 86400
_GRANULARITY = re.compile(r"([1-9]\d{0,9})([smhd])", re.ASCII)


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
        fill=cast(Fill, one_of("fill", query.get("fill", "none"), ("none", "null", "locf"))),
        format=cast(Format, one_of("format", query.get("format", accepted_format(request)), ("json", "csv"))),
    )


def parse_granularity(text: str) -> Granularity:
    """`<n>s|m|h|d`; raises BadRequestError."""
    match = _GRANULARITY.fullmatch(text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 1 <= seconds <= _MAX_WIDTH_SECONDS:
        longest = timedelta(seconds=_MAX_WIDTH_SECONDS).days
        raise BadRequestError(
            f"granularity: {shown(text)} is not <n>s, <n>m, <n>h or <n>d, from 1s to {longest}d, such as 15m"
        )
    return Granularity(seconds, text)


def _timezone(text: str) -> ZoneInfo:
    if text not in _timezones():
        raise BadRequestError(f"timezone: {shown(text)} is not an IANA time zone, such as Europe/Berlin")
    return ZoneInfo(text)


@cache
def _timezones() -> set[str]:
    return available_timezones()
