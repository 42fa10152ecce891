"""Sums over the whole fleet that cost more than a request should: computed at most once a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct

from api.database import Database
from api.telemetry import queries
from api.web.errors import UnavailableError

T = TypeVar("T")

_FRESH_SECONDS = 1.0
# A result stays fresh for this many times what it cost, if that is longer: of a fleet so busy that a sum takes a
# second, asking every second must not keep a core of the database busy.
_FRESH_FOR_COST = 5.0
_AHEAD = timedelta(days=1)


class Shared(Generic[T]):
    """One result for everybody who asks while it is computed, or within a second of its start (or five times what
    it took, if that is longer)."""

    def __init__(self, compute: Callable[[], Awaitable[T]]) -> None:
        self._compute = compute
        self._lock = asyncio.Lock()
        self._stale_at = self._ended = 0.0
        self._result: T | None = None
        self._failure: UnavailableError | None = None

    async def get(self) -> T:
        """The result; raises UnavailableError if the database could not tell."""
        asked = time.monotonic()
        async with self._lock:
            if self._ended < asked and time.monotonic() >= self._stale_at:
                await self._refresh()
            if self._failure is not None:
                raise UnavailableError(str(self._failure)) from self._failure.__cause__
            assert self._result is not None  # noqa: S101 computed, and no failure
            return self._result

    async def _refresh(self) -> None:
        begun = time.monotonic()
        try:
            self._result, self._failure = await self._compute(), None
            cost = time.monotonic() - begun
            self._stale_at = begun + max(_FRESH_SECONDS, _FRESH_FOR_COST * cost)
        except UnavailableError as exc:
            # Those who waited meanwhile need not wait for the same again; the next one to ask does.
            self._failure, self._stale_at = exc, 0.0
        self._ended = time.monotonic()


class LoadTotals(Struct, frozen=True):
    """Sums in kW over loads of one type of online VENs."""

    type: str
    capacity_kw: float
    shed_capability_kw: float
    usage_kw: float
    controllable_kw: float


class Totals:
    """The sums over all loads, and the network's energy of today. `offline_after`: how long a silent VEN is online."""

    def __init__(self, database: Database, offline_after: timedelta, day_zone: ZoneInfo) -> None:
        self._database = database
        self.offline_after = offline_after
        self._day_zone = day_zone
        self.loads = Shared(self._loads)
        self.energy_today_kwh = Shared(self._energy_today_kwh)

    async def _loads(self) -> list[LoadTotals]:
        rows = await queries.load_totals(self._database, self.offline_after)
        return sorted((LoadTotals(*row) for row in rows), key=lambda totals: totals.type)

    async def _energy_today_kwh(self) -> float:
        now = datetime.now(UTC)
        midnight = now.astimezone(self._day_zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        row = await queries.energy_since(self._database, midnight.astimezone(UTC), now + _AHEAD)
        return row["used_kw"] * row["bases"] / 12 if row else 0.0
