"""Parses the query string of a history: a frozen struct, or a BadRequestError that names the parameter."""

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

# A month counts as 30 days, which is exact enough to decide whether a range fits.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "mo": 30 * 86400}
_MAX_WIDTH_SECONDS = 3660 * 86400
_GRANULARITY = re.compile(r"([1-9]\d{0,9})(s|mo|m|h|d|w)", re.ASCII)


class Granularity(Struct, frozen=True):
    """The width of a bucket: so many of a unit (s, m, h, d, w, mo)."""

    count: int
    unit: str

    @property
    def seconds(self) -> int:
        """Its length in s; for months, approximately."""
        return self.count * _UNITS[self.unit]

    @property
    def text(self) -> str:
        """The granularity as a client writes it, such as 15m."""
        return f"{self.count}{self.unit}"


class HistoryParams(Struct, frozen=True, kw_only=True):
    """The parameters of a history; None: not given. Times are aware, in UTC."""

    start: datetime | None
    end: datetime | None
    granularity: Granularity | None
    timezone: ZoneInfo | None
    fill: Fill
    format: Format


def history_params(request: Request) -> HistoryParams:
    """The parameters of `request`; raises BadRequestError."""
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
    """`<n>s|m|h|d|w|mo`; raises BadRequestError."""
    match = _GRANULARITY.fullmatch(text)
    found = Granularity(int(match[1]), match[2]) if match else None
    if found is None or found.seconds > _MAX_WIDTH_SECONDS:
        longest = timedelta(seconds=_MAX_WIDTH_SECONDS).days
        raise BadRequestError(
            f"granularity: {shown(text)} is not <n>s, <n>m, <n>h, <n>d, <n>w or <n>mo, "
            f"from 1s to {longest}d, such as 15m"
        )
    return found


def _timezone(text: str) -> ZoneInfo:
    name = _timezones().get(text.lower())
    if name is None:
        raise BadRequestError(f"timezone: {shown(text)} is not an IANA time zone, such as Europe/Berlin")
    return ZoneInfo(name)


@cache
def _timezones() -> dict[str, str]:
    """Every IANA name, by its lower-case form."""
    return {name.lower(): name for name in available_timezones()}
