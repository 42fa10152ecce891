"""Histories of the network, of a VEN and of a load."""

from datetime import datetime, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.database import Database
from api.telemetry import queries
from api.telemetry.buckets import DEFAULTS, Buckets, base_seconds, choose
from api.telemetry.loads import no_such_load, no_such_ven, storable
from api.telemetry.params import HistoryParams, history_params
from api.telemetry.points import COLUMNS, HistoryResponse, Point, filled, points
from api.telemetry.queries import Row
from api.web.errors import BadRequestError, UnavailableError
from api.web.lookup import service
from api.web.resource import csv_table, json

# The longest range for granularities that are no multiple of a minute.
_NETWORK_RAW_LIMIT = timedelta(hours=6)
_RAW_LIMIT = timedelta(hours=48)
_TICK = timedelta(microseconds=1)


async def network(request: Request) -> Response:
    """GET /api/stats/network/history."""
    params, database = history_params(request), service(request, Database)
    stored = await queries.network_range(database)
    if stored is None:
        raise UnavailableError("the database's schema is missing or old: run `ecs-backend migrate`")
    rollups = (300, 60)
    buckets = _buckets(params, stored, _NETWORK_RAW_LIMIT, rollups)
    return _answer(params, buckets, await queries.network_history(database, buckets) if buckets else [])


async def ven(request: Request) -> Response:
    """GET /api/vens/{venId}/history."""
    params, database = history_params(request), service(request, Database)
    ven_id = storable(request.path_params["venId"])
    stored = await queries.ven_range(database, ven_id)
    if stored is None:
        raise no_such_ven(request.path_params["venId"])
    buckets = _buckets(params, stored, _RAW_LIMIT)
    return _answer(params, buckets, await queries.ven_history(database, buckets, ven_id) if buckets else [])


async def load(request: Request) -> Response:
    """GET /api/vens/{venId}/loads/{loadId}/history."""
    params, database = history_params(request), service(request, Database)
    ven_id, load_id = storable(request.path_params["venId"]), storable(request.path_params["loadId"])
    stored = await queries.load_range(database, ven_id, load_id)
    if stored is None:
        raise no_such_ven(request.path_params["venId"])
    if not stored["known"]:
        raise no_such_load(ven_id, request.path_params["loadId"])
    buckets = _buckets(params, stored, _RAW_LIMIT)
    return _answer(
        params, buckets, await queries.load_history(database, buckets, ven_id, load_id) if buckets else []
    )


def _buckets(
    params: HistoryParams, stored: Row, raw_limit: timedelta, rollups: tuple[int, ...] = (300,)
) -> Buckets | None:
    """The buckets that a request speaks of; None if nothing is stored there to speak of.

    `stored`: first, last and raw_from of what is asked for; `rollups`: the base buckets, in s, that outlive raw rows.
    """
    start = params.start or stored["first"]
    end = params.end or (stored["last"] and stored["last"] + _TICK)
    raw_from = stored["raw_from"]
    if params.granularity and base_seconds(params.granularity) not in rollups and raw_from:
        start = _since_raw(params, start, raw_from)
    if start is None or end is None or start >= end:
        return None
    return choose(params, start, end, raw_limit)


def _since_raw(params: HistoryParams, start: datetime | None, raw_from: datetime) -> datetime | None:
    if params.start is not None and params.start < raw_from:
        assert params.granularity is not None  # noqa: S101 only called with one
        raise BadRequestError(
            f"start: granularity {params.granularity.text} reads raw data, which starts at "
            f"{raw_from:%Y-%m-%dT%H:%M:%SZ}; ask from there on, or for a multiple of 5m"
        )
    return start and max(start, raw_from)


def _answer(params: HistoryParams, buckets: Buckets | None, rows: list[Row]) -> Response:
    if buckets is None:
        return _encode(params, [], (params.granularity or DEFAULTS[0]).text)
    found = filled(
        points(rows, buckets),
        buckets,
        params.fill,
        open_start=params.start is None,
        open_end=params.end is None,
    )
    return _encode(params, found, buckets.granularity.text)


def _encode(params: HistoryParams, found: list[Point], granularity: str) -> Response:
    headers = {"Vary": "Accept", "X-Granularity": granularity}
    if params.format == "json":
        return json(HistoryResponse(found, granularity), headers=headers)
    rows = (msgspec.structs.astuple(point) for point in found)
    table = ((point[0].strftime("%Y-%m-%dT%H:%M:%SZ"), *point[1:]) for point in rows)
    return csv_table(COLUMNS, table, headers)
