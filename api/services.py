"""What handlers work with, made once an app."""

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from prometheus_client import CollectorRegistry
from starlette.requests import Request

from api.database import Database
from api.fixtures.event_store import EventStore
from api.fixtures.ven_store import VenStore
from api.service.contract import Contract
from api.telemetry.totals import Totals


@dataclass(frozen=True)
class Services:
    """The database, the fixtures in memory, the contract, and what the numbers mean here."""

    database: Database
    totals: Totals
    vens: VenStore
    events: EventStore
    contract: Contract
    registry: CollectorRegistry
    offline_after: timedelta


def services(request: Request) -> Services:
    """Those of the app that answers `request`."""
    return cast(Services, request.app.state.services)
