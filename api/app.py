"""The ASGI app: the routes, the middleware, and the table of errors."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from prometheus_client import CollectorRegistry, Histogram
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute

from api.database import Database
from api.fixtures import events, vens
from api.page import page
from api.service import contract, health
from api.services import make_services
from api.settings import Settings, read
from api.telemetry import fleet, history, loads, stats
from api.telemetry.live import Live
from api.telemetry.params import HISTORY_PARAMS
from api.telemetry.totals import Totals
from api.web import errors
from api.web.lookup import Services
from api.web.middleware import AnyError, BoundedBody, Keys, Measure, NoTrailingSlash
from api.web.query_string import INTERVAL_PARAMS
from api.web.resource import resource
from api.web.slashes import SlashesInIds
from shared import logs
from shared.config import environment, split_list

_METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS")
_EXPOSED_HEADERS = ("Location", "Retry-After", "X-Granularity", "Allow", "ETag")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

ROUTES: list[BaseRoute] = [
    resource("/api/stats/network", GET=stats.network),
    resource("/api/stats/loads", GET=stats.loads),
    resource("/api/stats/ingest", GET=stats.ingest),
    resource("/api/stats/network/history", GET=history.network, params=HISTORY_PARAMS),
    resource("/api/vens", GET=vens.list_all, POST=vens.create),
    resource("/api/vens/summary", GET=vens.list_summaries),
    resource("/api/vens/{venId}", GET=vens.get_one, PATCH=vens.change, DELETE=vens.delete),
    resource("/api/vens/{venId}/history", GET=history.ven, params=HISTORY_PARAMS),
    resource("/api/vens/{venId}/loads", GET=loads.list_all),
    resource("/api/vens/{venId}/loads/{loadId}", GET=loads.get_one, PATCH=vens.change_load),
    resource("/api/vens/{venId}/loads/{loadId}/history", GET=history.load, params=HISTORY_PARAMS),
    resource("/api/vens/{venId}/loads/{loadId}/commands/shed", POST=vens.accept_shed),
    resource("/api/fleet", GET=fleet.list_page, params=fleet.PARAMS),
    resource("/api/fleet/{venId}", GET=fleet.get_one),
    resource("/api/events", GET=events.list_all, POST=events.create),
    resource("/api/events/current", GET=events.get_current),
    resource("/api/events/history", GET=events.list_overlapping, params=INTERVAL_PARAMS),
    resource("/api/events/{eventId}", GET=events.get_one, DELETE=events.delete),
    resource("/api/events/{eventId}/metrics", GET=events.get_metrics),
    resource("/api/events/{eventId}/stop", POST=events.stop),
    resource("/", GET=page.get_page, params=None),
    resource("/page/{file}", GET=page.get_file, params=None),
    resource("/health", GET=health.say_alive, params=None),
    resource("/health/db-check", GET=health.check_database, params=None),
    resource("/metrics", GET=health.show_metrics, params=None),
    resource("/openapi.json", GET=contract.get_document, params=("version",)),
    resource("/docs", GET=contract.get_page, params=None),
    resource("/docs/{file}", GET=contract.get_asset, params=None),
]

# An error that is not here is unforeseen: the answer is a 500, and only the log says why.
ERRORS = {
    errors.ApiError: errors.answer_api_error,
    HTTPException: errors.answer_http_exception,
    ClientDisconnect: errors.answer_gone_client,
}


def create_app(settings: Settings | None = None) -> Starlette:
    """The app. Without `settings`, it reads them from the environment and .env; raises SettingsError.

    It starts without the database, and answers 503 to requests that need the database.
    """
    if settings is None:
        settings = read(environment())
        logs.configure(settings.log, "api")
    services = make_services(settings)
    app = Starlette(
        routes=ROUTES,
        middleware=_middleware(settings, services.get(CollectorRegistry)),
        exception_handlers=ERRORS,
        lifespan=_lifespan(services),
    )
    app.router.redirect_slashes = False
    app.state.services = services
    return app


def _middleware(settings: Settings, registry: CollectorRegistry) -> list[Middleware]:
    seconds = Histogram(
        "ecs_api_request_seconds",
        "Time to answer a request",
        labelnames=("route", "method", "status"),
        buckets=_SECONDS,
        registry=registry,
    )
    return [
        Middleware(Measure, seconds=seconds),
        Middleware(
            CORSMiddleware,
            allow_origins=split_list(settings.api.cors_origins),
            allow_methods=_METHODS,
            allow_headers=["*"],
            expose_headers=_EXPOSED_HEADERS,
        ),
        Middleware(AnyError),
        Middleware(SlashesInIds),
        Middleware(NoTrailingSlash),
        Middleware(Keys, keys=split_list(settings.api.keys)),
        Middleware(BoundedBody),
    ]


def _lifespan(services: Services) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def run(_: Starlette) -> AsyncIterator[None]:
        database = services.get(Database)
        await database.open()
        try:
            yield
        finally:
            await services.get(Live).close()
            await services.get(Totals).close()
            await database.close()

    return run
