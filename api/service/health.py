"""/health, /health/db-check and /metrics."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from api.database import Database
from api.service.schema import applied_migrations, missing_tables
from api.web.errors import UnavailableError
from api.web.lookup import service
from api.web.resource import json
from shared.commands.migrate import migration_ids


async def say_alive(_: Request) -> Response:
    """GET /health: 200 while the process lives."""
    return json({"status": "ok"})


async def check_database(request: Request) -> Response:
    """GET /health/db-check: 200, or 503 with what is wrong with the database."""
    its = service(request, Database)
    missing = await missing_tables(its)
    if missing:
        raise UnavailableError(f"missing in the database: {', '.join(missing)}; run `ecs-backend migrate`")
    applied = await applied_migrations(its)
    behind = [name for name in migration_ids() if name not in applied]
    if behind:
        raise UnavailableError(f"migrations behind: {', '.join(behind)}; run `ecs-backend migrate`")
    return json({"status": "ok"})


async def show_metrics(request: Request) -> Response:
    """GET /metrics: figures for Prometheus."""
    return Response(generate_latest(service(request, CollectorRegistry)), media_type=CONTENT_TYPE_LATEST)
