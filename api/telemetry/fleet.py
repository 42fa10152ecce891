"""/api/fleet: the VENs that have sent messages, from the database, page by page."""

from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.database import Database
from api.load import Load
from api.telemetry.loads import loads_of, no_such_ven, storable
from api.telemetry.totals import Totals
from api.web.errors import BadRequestError
from api.web.figures import rounded
from api.web.lookup import service
from api.web.query_string import one_of, shown
from api.web.resource import json
from shared.sql import load_blocks

SQL = load_blocks(Path(__file__).with_name("fleet.sql"))
PARAMS = ("online", "prefix", "limit", "after")

_DEFAULT_LIMIT, _MOST = 100, 1000


class FleetVen(Struct, frozen=True, rename="camel", kw_only=True):
    """A VEN as its messages show it. Powers are in kW, from its latest reading; times in UTC."""

    id: str
    online: bool
    last_seen: datetime | None
    status: str | None
    status_at: datetime | None
    used_power_kw: float | None
    shed_power_kw: float | None
    battery_soc: float | None
    event_id: str | None
    load_count: int


class FleetVenWithLoads(FleetVen, frozen=True, rename="camel", kw_only=True):
    """A VEN with its loads."""

    loads: list[Load]


class FleetPage(Struct, frozen=True):
    """VENs by id. `total`: how many on all pages; `next`: the `after` of the next page, null on the last."""

    vens: list[FleetVen]
    total: int
    next: str | None


class FleetParams(Struct, frozen=True):
    """The query of a page. `online`: None selects VENs online and offline."""

    online: bool | None
    prefix: str
    limit: int
    after: str


def fleet_params(request: Request) -> FleetParams:
    """The parameters of `request`; raises BadRequestError."""
    query = request.query_params
    online = one_of("online", query["online"], ("true", "false")) == "true" if "online" in query else None
    limit = query.get("limit", str(_DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:9]) <= _MOST):
        raise BadRequestError(f"limit: {shown(limit)} is not a number from 1 to {_MOST}")
    # PostgreSQL text cannot hold NUL, and no id has a control character. So a prefix with a NUL matches no id, as one
    # with \x01 does; and the ids after a text with a NUL are those after the part before the NUL.
    prefix, after = query.get("prefix", "").replace("\0", "\x01"), query.get("after", "").partition("\0")[0]
    return FleetParams(online, prefix, int(limit), after)


async def list_page(request: Request) -> Response:
    """GET /api/fleet."""
    params, database = fleet_params(request), service(request, Database)
    which = (service(request, Totals).offline_after, params.online, params.prefix)
    rows = await database.fetch(SQL["page"], *which, params.after, params.limit + 1)
    total = await database.fetchrow(SQL["total"], *which)
    vens = [FleetVen(**_fields(row)) for row in rows[: params.limit]]
    more = len(rows) > params.limit
    return json(FleetPage(vens, total["total"] if total else 0, vens[-1].id if more else None))


async def get_one(request: Request) -> Response:
    """GET /api/fleet/{venId}."""
    ven_id, database = storable(request.path_params["venId"]), service(request, Database)
    row = await database.fetchrow(SQL["one"], service(request, Totals).offline_after, ven_id)
    if row is None:
        raise no_such_ven(request.path_params["venId"])
    return json(FleetVenWithLoads(**_fields(row), loads=await loads_of(database, ven_id)))


def _fields(row: Any) -> dict[str, Any]:
    powers = {
        name: None if row[name] is None else rounded(row[name]) for name in ("used_power_kw", "shed_power_kw")
    }
    kept = ("online", "status", "status_at", "battery_soc", "event_id", "load_count")
    return {
        "id": row["ven_id"],
        "last_seen": row["last_seen_at"],
        **powers,
        **{name: row[name] for name in kept},
    }
