"""Histories of the network, of a VEN and of a load."""

from collections.abc import Hashable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.database import Database
from api.telemetry import calendar
from api.telemetry.buckets import DEFAULTS, MAX_POINTS, Buckets, Limits, choose, count, cover
from api.telemetry.live import Live
from api.telemetry.params import HistoryParams, history_params
from api.telemetry.points import COLUMNS, HistoryResponse, Point, filled
from api.telemetry.sources import LoadSource, NetworkSource, Source, Stored, VenSource
from api.telemetry.together import Together
from api.telemetry.totals import Totals
from api.web.errors import BadRequestError
from api.web.etag import tagged
from api.web.lookup import service
from api.web.resource import csv_table, json
from shared.tiers import WIDEST

_US = timedelta(microseconds=1)
# A point before the range is first looked for so far back, because rows of the widest tier may not be written yet.
_RECENT = 4 * WIDEST.width
# The database's clock may be ahead of ours by so much.
_SOON = timedelta(minutes=5)


class Histories(Together[Response]):
    """Histories of VENs and loads that are being looked up."""


async def network(request: Request) -> Response:
    """GET /api/stats/network/history: equal requests share one answer while the network's figures are fresh."""
    live = service(request, Live)
    # Answer wrong parameters before any query.
    _check_timezone(history_params(request))
    await live.get()
    answers, asked = live.answers, _question(request)
    if asked not in answers:
        answers[asked] = await _answer(request, NetworkSource(service(request, Database), live))
    return tagged(request, answers[asked])


async def ven(request: Request) -> Response:
    """GET /api/vens/{venId}/history."""
    database, bounds = service(request, Database), service(request, Totals).bounds.get
    return await _together(request, VenSource(database, bounds, request.path_params["venId"]))


async def load(request: Request) -> Response:
    """GET /api/vens/{venId}/loads/{loadId}/history."""
    database, bounds = service(request, Database), service(request, Totals).bounds.get
    ids = request.path_params["venId"], request.path_params["loadId"]
    return await _together(request, LoadSource(database, bounds, *ids))


async def _together(request: Request, source: Source) -> Response:
    """One answer for all equal requests that came before the lookup began."""
    histories = service(request, Histories)
    return tagged(request, await histories.ask(_question(request), lambda: _answer(request, source)))


def _question(request: Request) -> Hashable:
    """What equal requests have in common: path, query string and Accept."""
    return request.scope["path"], request.scope["query_string"], *request.headers.getlist("accept")


async def _answer(request: Request, source: Source) -> Response:
    """The answer from `source`; one query is enough, unless the range that is stored is not the likely one."""
    params = history_params(request)
    _check_timezone(params)
    limits = await source.limits()
    if _tells_range(params):
        assert params.start is not None  # noqa: S101 it tells the range
        assert params.end is not None  # noqa: S101
        buckets = choose(params, params.start, params.end, limits)
        found = await source.points(buckets, buckets.tier(limits.tiers)) if buckets else []
        if not found:
            # Raises NotFoundError if there is no such VEN.
            await source.stored()
    else:
        stored, buckets, found = await _of_stored(params, source, limits)
        if buckets is not None and params.fill != "none":
            before = await _before(params, source, limits, buckets, found)
            found = _filled(params, stored, buckets, found, before)
    granularity = buckets.granularity if buckets else params.granularity or DEFAULTS[0]
    return _encode(params, found, granularity.text)


def _check_timezone(params: HistoryParams) -> None:
    zone, granularity = params.timezone, params.granularity
    if zone is None or zone.key == "UTC" or granularity is None or calendar.aligns(granularity):
        return
    raise BadRequestError(
        f"timezone: has no effect on {granularity.text}; it aligns hours that divide a day, days, weeks and months"
    )


def _tells_range(params: HistoryParams) -> bool:
    """Whether the buckets follow from the request alone, so that no query for the stored range is needed."""
    if params.start is None or params.end is None or params.fill != "none":
        return False
    return count(params.start, params.end, params.granularity or DEFAULTS[0], params.timezone) <= MAX_POINTS


async def _of_stored(
    params: HistoryParams, source: Source, limits: Limits
) -> tuple[Stored, Buckets | None, list[Point]]:
    """The range of what is stored, the buckets of the range asked for that lie in it, and their points.

    The buckets follow from what is stored, so the first query asks for the likely ones: those since the network's first
    reading. Only if these do not hold all buckets, a second query asks for them. Where nothing is stored, likely
    buckets have no points.
    """
    likely = _likely(params, limits)
    found: list[Point]
    if likely is None:
        stored, found = await source.stored(), []
    else:
        stored, found = await source.stored_and_points(likely, likely.tier(limits.tiers))
    buckets = _cut(params, stored, limits)
    if buckets is None:
        return stored, None, []
    if likely is None or not likely.hold(buckets):
        return stored, buckets, await source.points(buckets, buckets.tier(limits.tiers))
    return stored, buckets, found


def _likely(params: HistoryParams, limits: Limits) -> Buckets | None:
    """What `_cut` gives if data is stored since the network's first reading until now; None if that is empty or more
    than an answer may have."""
    soon = datetime.now(UTC) + _SOON
    start, end = limits.since or soon, min(params.end or soon, soon)
    start = max(params.start or start, start)
    with suppress(BadRequestError):
        return choose(params, start, end, limits) if start < end else None
    return None


def _cut(params: HistoryParams, stored: Stored, limits: Limits) -> Buckets | None:
    """The buckets of the range asked for, cut to the stored range and to now; None if that is empty."""
    if stored.first is None or stored.last is None:
        return None
    start = max(params.start or stored.first, stored.first)
    end = min(params.end or stored.last, stored.now)
    if params.fill == "none":
        end = min(end, stored.last)
    return choose(params, start, end, limits) if start < end else None


async def _before(
    params: HistoryParams, source: Source, limits: Limits, buckets: Buckets, found: list[Point]
) -> Point | None:
    """The point that `locf` carries into the first buckets: the last one before `buckets`; None if there is none."""
    if params.fill != "locf" or (found and found[0].timestamp == buckets.start):
        return None
    recent = await _last(params, source, limits, buckets, buckets.start - _RECENT)
    if recent is not None:
        return recent
    widest = await source.before(buckets.start)
    return widest and (await _last(params, source, limits, buckets, widest.timestamp) or widest)


async def _last(
    params: HistoryParams, source: Source, limits: Limits, buckets: Buckets, start: datetime
) -> Point | None:
    """The last point within _RECENT after `start` and before `buckets`, in buckets of the same granularity."""
    tier = limits.tier(buckets.granularity, params.timezone, start)
    begins, end = limits.begins[tier], min(start + _RECENT, buckets.start)
    if begins >= end:
        return None
    earlier = cover(max(start, begins), end, buckets.granularity, params.timezone)
    points = await source.points(earlier, earlier.tier(limits.tiers))
    return next((point for point in reversed(points) if point.timestamp >= begins), None)


def _filled(
    params: HistoryParams, stored: Stored, buckets: Buckets, found: list[Point], before: Point | None
) -> list[Point]:
    """A point for every bucket until now; if the request has no `end`, until the last bucket with data."""
    until = stored.now
    if params.end is None:
        if not found:
            return []
        until = found[-1].timestamp + _US
    return filled(found, buckets, params.fill, before, until)


def _encode(params: HistoryParams, found: list[Point], granularity: str) -> Response:
    headers = {"Vary": "Accept", "X-Granularity": granularity}
    if params.format == "json":
        return json(HistoryResponse(found, granularity), headers=headers)
    rows = (msgspec.structs.astuple(point) for point in found)
    table = ((_iso(point[0]), *point[1:]) for point in rows)
    return csv_table(COLUMNS, table, headers)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
