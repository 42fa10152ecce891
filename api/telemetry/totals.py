"""Sums over the whole fleet, and where the stored data begins; requests share them."""

import asyncio
from datetime import timedelta

from msgspec import Struct

from api.database import Database
from api.telemetry import queries
from api.telemetry.queries import Row
from api.telemetry.shared_result import Shared
from api.web.errors import UnavailableError
from shared.db_errors import MIGRATE

# Bounds change once a day.
_BOUNDS_SECONDS = 30.0


class LoadTotals(Struct, frozen=True):
    """Sums in kW over loads of one type of online VENs."""

    type: str
    capacity_kw: float
    shed_capability_kw: float
    usage_kw: float
    controllable_kw: float


class Totals:
    """Shared results: of the fleet, its loads, ingest, and the bounds of stored data. `offline_after`: a VEN that is
    silent for longer is offline."""

    def __init__(self, database: Database, offline_after: timedelta, turn: asyncio.Lock) -> None:
        self._database = database
        self.offline_after = offline_after
        self.fleet = Shared(self._fleet, turn=turn)
        self.loads = Shared(self._loads, turn=turn)
        self.ingest = Shared(self._ingest, turn=turn)
        self.bounds = Shared(self._bounds, fresh=_BOUNDS_SECONDS, tolerated=0)

    async def close(self) -> None:
        """Cancel the computations in the background."""
        await self.fleet.close()
        await self.loads.close()
        await self.ingest.close()

    async def _fleet(self) -> Row:
        row = await queries.fleet(self._database, self.offline_after)
        if row is None:
            raise UnavailableError("the database gave no figures")
        return row

    async def _loads(self) -> list[LoadTotals]:
        rows = await queries.load_totals(self._database, self.offline_after)
        return sorted((LoadTotals(*row) for row in rows), key=lambda totals: totals.type)

    async def _ingest(self) -> Row:
        row = await queries.ingest(self._database)
        if row is None:
            raise UnavailableError("the database gave no figures")
        return row

    async def _bounds(self) -> Row:
        row = await queries.bounds(self._database)
        if row is None:
            raise UnavailableError(MIGRATE)
        return row
