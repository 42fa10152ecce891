"""What handlers work with, made once an app."""

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from prometheus_client import CollectorRegistry
from starlette.requests import Request

from api.contract import Contract
from api.database import Database
from api.fixture_events import EventStore
from api.fixture_vens import VenStore
from api.totals import Totals


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
