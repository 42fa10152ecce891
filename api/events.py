"""/api/events: the events of the fixtures."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from api.bodies import read_new_event
from api.params import interval
from api.resource import json
from api.services import services


async def every(request: Request) -> Response:
    """GET /api/events."""
    return json(services(request).events.all())


async def current(request: Request) -> Response:
    """GET /api/events/current."""
    return json(services(request).events.current())


async def history(request: Request) -> Response:
    """GET /api/events/history."""
    return json(services(request).events.overlapping(interval(request.query_params)))


async def create(request: Request) -> Response:
    """POST /api/events."""
    event = services(request).events.add(await read_new_event(request))
    return json(event, HTTPStatus.CREATED, {"Location": f"/api/events/{event.id}"})


async def one(request: Request) -> Response:
    """GET /api/events/{eventId}."""
    return json(services(request).events.get(request.path_params["eventId"]))


async def metrics(request: Request) -> Response:
    """GET /api/events/{eventId}/metrics."""
    return json(services(request).events.metrics(request.path_params["eventId"]))


async def stop(request: Request) -> Response:
    """POST /api/events/{eventId}/stop."""
    event_id = request.path_params["eventId"]
    services(request).events.stop(event_id)
    return json({"status": "stopping", "eventId": event_id}, HTTPStatus.ACCEPTED)


async def delete(request: Request) -> Response:
    """DELETE /api/events/{eventId}."""
    services(request).events.delete(request.path_params["eventId"])
    return Response(status_code=HTTPStatus.NO_CONTENT)
