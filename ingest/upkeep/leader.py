"""One of the ingest processes leads: it makes partitions, rolls up and drops. Another takes over when it dies."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import asyncpg

from ingest.database import leader_connection
from ingest.health import Asker, State
from ingest.partitions import Partitions
from ingest.upkeep import retention, rollup
from shared import advisory_locks, db
from shared.config import Database, Retention
from shared.db import Connection
from shared.logs import get_logger

log = get_logger(__name__)

_TICK_SECONDS = 5.0
_UPKEEP_SECONDS = 600.0
_TRIM_SECONDS = 60.0
_RAW_DAYS_AHEAD = 2
_ROLLUP_MONTHS_AHEAD = 1


class Leader:
    """Runs in every ingest process; works only while its session holds the advisory lock."""

    def __init__(self, settings: Database, keep: Retention, state: State) -> None:
        self._settings = settings
        self._keep = keep
        self._state = state
        self._connection: Connection | None = None
        self._leads = False
        self._upkeep_at = 0.0
        self._trim_at = 0.0

    async def run(self) -> None:
        """Lead whenever nobody else does, until cancelled."""
        try:
            while True:
                try:
                    await self._tick()
                    self._state.database.worked(Asker.LEADER)
                except (asyncpg.PostgresError, *db.UNREACHABLE) as exc:
                    if db.cancelled():
                        raise asyncio.CancelledError from exc
                    await self._stumble(exc)
                await asyncio.sleep(_TICK_SECONDS)
        finally:
            if self._connection is not None:
                self._connection.terminate()

    async def _tick(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection, self._leads = await leader_connection(self._settings), False
        if not self._leads:
            self._leads = await self._connection.fetchval(
                "SELECT pg_try_advisory_lock($1)", advisory_locks.LEADER
            )
            self._upkeep_at = 0.0
            if self._leads:
                log.info("leading")
        if self._leads:
            await self._lead(self._connection)
        await self._show(self._connection)

    async def _lead(self, connection: Connection) -> None:
        now = datetime.now(UTC)
        upkeep = time.monotonic() >= self._upkeep_at
        if upkeep:
            await make_partitions_ahead(connection, now)
        await rollup.roll_up(connection, now)
        if time.monotonic() >= self._trim_at:
            self._trim_at = time.monotonic() + _TRIM_SECONDS
            await self._trim(connection)
        if upkeep:
            await retention.drop_expired(connection, now, self._keep)
            self._upkeep_at = time.monotonic() + _UPKEEP_SECONDS

    async def _trim(self, connection: Connection) -> None:
        dropped = await retention.trim_dead_letters(connection)
        if dropped:
            self._state.metrics.dead_letters_dropped.inc(dropped)
            await retention.reuse_dead_letters(connection)

    async def _show(self, connection: Connection) -> None:
        watermark, dirty = await connection.fetchrow(rollup.SQL["progress"]) or (None, 0)
        if watermark is not None:
            self._state.metrics.rollup_lag.set(time.time() - watermark)
        self._state.metrics.rollup_dirty.set(dirty)

    async def _stumble(self, error: BaseException) -> None:
        self._state.database.failed(Asker.LEADER, error)
        # A fresh session: the lock is given up with the old one, and whoever is well may lead.
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def make_partitions_ahead(connection: Connection, now: datetime) -> None:
    """Make the partitions that the next days and weeks will need."""
    days = [now + timedelta(days=n) for n in range(-1, _RAW_DAYS_AHEAD + 1)]
    await Partitions().ensure(connection, [round(day.timestamp() * 1e6) for day in days])
    for month in range(_ROLLUP_MONTHS_AHEAD + 1):
        await connection.execute(rollup.SQL["make_rollup_month"], now + timedelta(days=31 * month))
