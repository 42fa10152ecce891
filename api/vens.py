"""/api/vens: the VENs of the fixtures."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from api.bodies import LoadChange, NewVen, ShedCommand, VenChange, read_body
from api.resource import json
from api.services import services


async def every(request: Request) -> Response:
    """GET /api/vens."""
    return json([ven.shown() for ven in services(request).vens.all()])


async def summary(request: Request) -> Response:
    """GET /api/vens/summary."""
    return json([ven.summary() for ven in services(request).vens.all()])


async def create(request: Request) -> Response:
    """POST /api/vens."""
    ven = services(request).vens.add(await read_body(request, NewVen))
    return json(ven.shown(), HTTPStatus.CREATED, {"Location": f"/api/vens/{ven.id}"})


async def one(request: Request) -> Response:
    """GET /api/vens/{venId}."""
    return json(services(request).vens.get(request.path_params["venId"]).shown())


async def change(request: Request) -> Response:
    """PATCH /api/vens/{venId}."""
    vens, ven_id = services(request).vens, request.path_params["venId"]
    vens.get(ven_id)
    return json(vens.change(ven_id, await read_body(request, VenChange)).shown())


async def delete(request: Request) -> Response:
    """DELETE /api/vens/{venId}."""
    services(request).vens.delete(request.path_params["venId"])
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def change_load(request: Request) -> Response:
    """PATCH /api/vens/{venId}/loads/{loadId}."""
    vens, ids = services(request).vens, (request.path_params["venId"], request.path_params["loadId"])
    vens.load(*ids)
    return json(vens.change_load(*ids, await read_body(request, LoadChange)))


async def shed(request: Request) -> Response:
    """POST /api/vens/{venId}/loads/{loadId}/commands/shed."""
    vens, (ven_id, load_id) = services(request).vens, request.path_params.values()
    vens.load(ven_id, load_id)
    command = await read_body(request, ShedCommand)
    vens.shed(ven_id, load_id)
    accepted = {"status": "accepted", "venId": ven_id, "loadId": load_id, "amountKw": command.amount_kw}
    return json(accepted, HTTPStatus.ACCEPTED)
