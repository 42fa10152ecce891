"""/api/vens/{venId}/loads: the loads of a VEN, from its latest telemetry and load snapshots."""

from starlette.requests import Request
from starlette.responses import Response

from api.database import Database
from api.load import Load, load_of
from api.telemetry import queries
from api.web.errors import NotFoundError
from api.web.lookup import service
from api.web.resource import json


async def list_all(request: Request) -> Response:
    """GET /api/vens/{venId}/loads."""
    return json(await loads_of(service(request, Database), request.path_params["venId"]))


async def get_one(request: Request) -> Response:
    """GET /api/vens/{venId}/loads/{loadId}."""
    ven_id, load_id = request.path_params["venId"], request.path_params["loadId"]
    for load in await loads_of(service(request, Database), ven_id):
        if load.id == load_id:
            return json(load)
    raise no_such_load(ven_id, load_id)


async def loads_of(database: Database, ven_id: str) -> list[Load]:
    """The present loads of a VEN, by id; raises NotFoundError."""
    rows = await queries.ven_loads(database, storable(ven_id))
    if rows is None:
        raise no_such_ven(ven_id)
    return [load_of(row) for row in rows]


def storable(name: str) -> str:
    """`name` for a query; PostgreSQL text cannot hold NUL, so an id with a NUL becomes "", which no VEN has either."""
    return "" if "\0" in name else name


def no_such_ven(ven_id: str) -> NotFoundError:
    """The answer for a VEN that has sent nothing."""
    return NotFoundError(
        f"venId: no message of a VEN {ven_id[:128]!r} came; GET /api/fleet lists those that sent some"
    )


def no_such_load(ven_id: str, load_id: str) -> NotFoundError:
    """The answer for a load that its VEN does not have."""
    return NotFoundError(f"loadId: VEN {ven_id[:128]!r} has no load {load_id[:128]!r}")
