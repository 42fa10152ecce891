"""Query parameters that several paths take: times, one of several words, the format of the answer.

A wrong one raises a BadRequestError that names the parameter and says what it may be.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct
from starlette.requests import Request

from api.web.errors import BadRequestError

Format = Literal["json", "csv"]

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
INTERVAL_PARAMS = ("start", "end")

# A "+" that the client did not write as %2B arrives as a space.
_LOST_PLUS = re.compile(r"(T\S*) (\d\d(?::?\d\d)?)$", re.ASCII)

# Eight digits such as 20260710 are an ISO 8601 date, not a number.
_NUMBER = re.compile(r"(?!\d{8}$)\d{1,14}(\.\d{1,9})?", re.ASCII)
# Above this a number is in milliseconds.
_MILLISECONDS_FROM = 1e11


class Interval(Struct, frozen=True):
    """A span of time; None: open on that side."""

    start: datetime | None
    end: datetime | None


def interval(query: Mapping[str, str]) -> Interval:
    """`start` and `end` of a query; raises BadRequestError if one is malformed or `start` is not before `end`."""
    start, end = (parse_time(name, query[name]) if name in query else None for name in INTERVAL_PARAMS)
    if start is not None and end is not None and start >= end:
        raise BadRequestError(
            f"start: must be before end, but {start.isoformat()} is not before {end.isoformat()}"
        )
    return Interval(start, end)


def parse_time(name: str, text: str) -> datetime:
    """The time in UTC that `text` names: ISO 8601 (without an offset: UTC), Unix seconds or Unix milliseconds.

    Raises BadRequestError.
    """
    try:
        given = _moment(text)
        aware = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise BadRequestError(
            f"{name}: {shown(text)} is not an ISO 8601 time, "
            "such as 2026-07-10T15:00:00Z or 2026-07-10T17:00:00+02:00, nor Unix seconds or milliseconds"
        ) from exc
    if not EARLIEST <= aware <= LATEST:
        raise BadRequestError(f"{name}: {shown(text)} is not between {EARLIEST.year} and {LATEST.year}")
    return aware


def _moment(text: str) -> datetime:
    if _NUMBER.fullmatch(text):
        number = float(text)
        seconds = number / 1000 if number > _MILLISECONDS_FROM else number
        return datetime.fromtimestamp(seconds, UTC)
    return datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))


def one_of(name: str, text: str, words: tuple[str, ...]) -> str:
    """`text` if it is one of `words`; otherwise raises BadRequestError."""
    if text not in words:
        raise BadRequestError(f"{name}: {shown(text)} is not one of {', '.join(words)}")
    return text


def accepted_format(request: Request) -> Format:
    """csv if the Accept header prefers text/csv to application/json, else json."""
    wanted = {"text/csv": 0.0, "application/json": 0.0}
    for entry in request.headers.get("accept", "").split(","):
        kind, *options = (part.strip().lower() for part in entry.split(";"))
        if kind in wanted:
            wanted[kind] = _quality(options)
    return "csv" if wanted["text/csv"] > wanted["application/json"] else "json"


def shown(text: str) -> str:
    """A client's text as an error quotes it, cut to 64 characters."""
    return repr(text if len(text) <= 64 else f"{text[:61]}...")


def _quality(options: list[str]) -> float:
    for option in options:
        match = re.fullmatch(r"q\s*=\s*([01](?:\.\d{0,3})?)", option)
        if match:
            return float(match[1])
    return 1.0
