"""The JSON bodies of requests: strict structs with bounds, or an InvalidBodyError that names the field."""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request

from api.errors import InvalidBodyError
from api.params import EARLIEST, LATEST

MAX_KW = 1_000_000

# Something to see, in words that every dialect of regular expressions means the same by.
VISIBLE = r"[^\s\x00-\x1f\x7f-\x9f\ufeff]"
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=VISIBLE)]
Kw = Annotated[float, Meta(ge=0, le=MAX_KW)]
PositiveKw = Annotated[float, Meta(gt=0, le=MAX_KW)]
VenStatus = Literal["online", "ready", "connected", "offline", "disconnected", "lost", "maintenance"]


class Body(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A field that is not known is an error, as a misspelt one would otherwise be ignored."""


class Location(Body, frozen=True):
    """Where a VEN is, in degrees."""

    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]


class NewVen(Body, frozen=True):
    """POST /api/vens."""

    name: Name
    location: Location


class VenChange(Body, frozen=True):
    """PATCH /api/vens/{venId}: what is given changes."""

    name: Name | UnsetType = UNSET
    status: VenStatus | UnsetType = UNSET
    location: Location | UnsetType = UNSET


class LoadChange(Body, frozen=True):
    """PATCH /api/vens/{venId}/loads/{loadId}: what is given changes."""

    name: Name | UnsetType = UNSET
    type: Name | UnsetType = UNSET
    capacity_kw: Kw | UnsetType = UNSET
    shed_capability_kw: Kw | UnsetType = UNSET


class ShedCommand(Body, frozen=True):
    """POST …/commands/shed."""

    amount_kw: PositiveKw


class NewEvent(Body, frozen=True):
    """POST /api/events. Times without an offset are UTC."""

    start_time: datetime
    end_time: datetime
    requested_reduction_kw: PositiveKw


B = TypeVar("B", bound=Body)


async def read_body(request: Request, kind: type[B]) -> B:
    """The body of `request`; raises InvalidBodyError, or TooLargeError."""
    content = await request.body()
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as exc:
        raise InvalidBodyError(_explain(str(exc))) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidBodyError(_where_not_json(content, kind) or f"the body is no valid JSON: {exc}") from exc


def _where_not_json(content: bytes, kind: type[Body]) -> str | None:
    """The field that holds NaN or an infinity, which many a client writes though JSON has none."""
    if b"NaN" not in content and b"Infinity" not in content:
        return None
    try:
        msgspec.convert(json.loads(content), kind)
    except msgspec.ValidationError as exc:
        return _explain(str(exc))
    except (ValueError, RecursionError):
        pass
    return None


async def read_new_event(request: Request) -> NewEvent:
    """The body of POST /api/events with its times in UTC; raises InvalidBodyError."""
    body = await read_body(request, NewEvent)
    start, end = _utc("startTime", body.start_time), _utc("endTime", body.end_time)
    if end <= start:
        raise InvalidBodyError(
            f"endTime: must be after startTime, but {end.isoformat()} is not after {start.isoformat()}"
        )
    return msgspec.structs.replace(body, start_time=start, end_time=end)


def _utc(name: str, moment: datetime) -> datetime:
    try:
        aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if EARLIEST <= aware <= LATEST:
            return aware
    except OverflowError:
        pass
    raise InvalidBodyError(f"{name}: {moment.isoformat()} is not between {EARLIEST.year} and {LATEST.year}")


def _explain(problem: str) -> str:
    """msgspec's words with the field first: `location.lat: expected float <= 90.0`."""
    what, _, path = problem.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    named = re.fullmatch(r"Object (missing required|contains unknown) field `(.*)`", what, re.DOTALL)
    if named:
        field = ".".join(part for part in (path, named[2][:64]) if part)
        return f"{field}: {'required, but missing' if named[1].startswith('missing') else 'no such field'}"
    what = (what[0].lower() + what[1:]).replace("`", "")
    return f"{path}: {what}" if path else f"the body: {what}"
