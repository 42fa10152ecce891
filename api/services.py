"""The wiring: makes everything that handlers use, from the settings."""

import asyncio
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry, Gauge

from api.database import Database
from api.fixtures.event_store import EventStore
from api.fixtures.ven_source import VenSource
from api.fixtures.ven_store import VenStore
from api.page.page import Page
from api.service.contract import Contract
from api.settings import Settings
from api.telemetry.history import Histories
from api.telemetry.live import Live
from api.telemetry.stats import LastNetworkStats
from api.telemetry.totals import Totals
from api.web.lookup import Services

_FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


def make_services(settings: Settings) -> Services:
    """The database, the metrics, the contract, the page, shared results of queries, and the fixtures in memory."""
    database = Database(settings.db, settings.api.statement_timeout)
    offline_after = timedelta(seconds=settings.dashboard.ven_offline_after)
    vens = VenStore(_FIXTURES / "vens.json")
    registry = CollectorRegistry()
    in_use = Gauge("ecs_api_pool_in_use", "Connections to the database in use", registry=registry)
    in_use.set_function(lambda: database.in_use)
    turn = asyncio.Lock()
    return Services(
        database,
        registry,
        Contract(),
        Page(),
        Totals(database, offline_after, turn),
        LastNetworkStats(),
        Histories(),
        Live(database, ZoneInfo(settings.dashboard.dashboard_timezone), turn),
        vens,
        VenSource(vens, database, offline_after, live=settings.dashboard.vens_source == "telemetry"),
        EventStore(_FIXTURES / "events.json"),
    )
