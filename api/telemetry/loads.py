"""/api/vens/{venId}/loads: the loads of a VEN as telemetry and load snapshots have them now."""

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.database import Database
from api.telemetry import queries
from api.web.errors import NotFoundError
from api.web.figures import rounded
from api.web.lookup import service
from api.web.resource import json


class Load(Struct, frozen=True, rename="camel"):
    """A load; powers in kW, generation is negative."""

    id: str
    type: str | None
    capacity_kw: float
    shed_capability_kw: float
    current_power_kw: float
    name: str | None


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
    """The loads of a VEN now, by id; raises NotFoundError."""
    rows = await queries.ven_loads(database, storable(ven_id))
    if rows is None:
        raise no_such_ven(ven_id)
    return [
        Load(
            id=row["load_id"],
            type=row["load_type"],
            capacity_kw=rounded(row["capacity_kw"]),
            shed_capability_kw=rounded(row["shed_capability_kw"]),
            current_power_kw=rounded(row["power_kw"]),
            name=row["name"],
        )
        for row in rows
    ]


def storable(name: str) -> str:
    """An id for a query. PostgreSQL text cannot hold NUL, so no stored id has one: ask for the empty id."""
    return "" if "\0" in name else name


def no_such_ven(ven_id: str) -> NotFoundError:
    """The answer for a VEN that has sent nothing."""
    return NotFoundError(f"venId: nothing was heard of a VEN {ven_id[:128]!r}")


def no_such_load(ven_id: str, load_id: str) -> NotFoundError:
    """The answer for a load that its VEN does not have."""
    return NotFoundError(f"loadId: VEN {ven_id[:128]!r} has no load {load_id[:128]!r}")
