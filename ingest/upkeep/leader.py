"""What the leader does: partitions, counting, late readings, older history, retention. Loads are a job of their own."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

from ingest.health import Asker, State
from ingest.partitions import Partitions
from ingest.upkeep import history, late, loads, retention, sums, tick
from ingest.upkeep.horizon import Horizon
from ingest.upkeep.lead import Lead
from ingest.upkeep.new_lists import NewLists
from shared import advisory_locks
from shared.config import Dashboard, Database, Retention
from shared.db import Connection
from shared.logs import get_logger
from shared.sql import load_blocks

log = get_logger(__name__)

SQL = load_blocks(Path(__file__).with_name("leader.sql"))
# A turn that has taken so long starts no more steps of older history, so that the next tick is in time.
_TURN_SECONDS = 4.0
# A turn counts late readings for about so long: a fifth of a core at most, so that live readings are not delayed. While
# the broker has a backlog it is the shorter time, but a step at least: such a flood is often late itself.
_REDO_SECONDS, _REDO_SECONDS_IN_A_FLOOD = 1.0, 0.2
# From one tick to the next: longer if a tick is expensive, because half of its cost is per VEN, not per reading; but
# while a dashboard is open, the api reads once a second, from raw rows, what is not counted yet.
_LEAST_PAUSE_SECONDS, _MOST_PAUSE_SECONDS = 5.0, 10.0
_PAUSE_FOR_COST = 80.0
_UPKEEP_SECONDS = 600.0
_TRIM_SECONDS = 60.0
_RAW_DAYS_AHEAD = 2
_ROLLUPS_AHEAD = timedelta(days=31)
# A late reading this close to the watermark was delayed on its way, not kept by its VEN: the horizon learns from it.
_JUST_LATE = timedelta(minutes=1)


class Leader:
    """Runs in every ingest process; one of them counts VENs and the network, one counts loads.

    `flooded`: whether the broker has a backlog for this process.
    """

    def __init__(
        self,
        settings: Database,
        keep: Retention,
        dashboard: Dashboard,
        state: State,
        flooded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._keep = keep
        self._hold = timedelta(seconds=dashboard.ven_offline_after)
        self._metrics = state.metrics
        self._flooded = flooded
        self._leads = [
            Lead("count", advisory_locks.LEADER, settings, state.database, self._turn, look=self._look),
            Lead(
                "count loads",
                advisory_locks.LOADS_LEADER,
                settings,
                state.database,
                self._loads_turn,
                asker=Asker.LOADS_LEADER,
            ),
        ]
        self._counter, self._load_counter, self._horizon = tick.Counter(), loads.LoadCounter(), Horizon()
        self._new_lists = NewLists()
        self._backfill, self._loads_backfill = history.Backfill(history.VENS), history.Backfill(history.LOADS)
        self._upkeep_at = self._trim_at = 0.0

    async def run(self) -> None:
        """Lead whenever nobody else does, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for lead in self._leads:
                tasks.create_task(lead.run(), name="lead")

    async def _turn(self, connection: Connection) -> float:
        began = time.monotonic()
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        upkeep = began >= self._upkeep_at
        if upkeep:
            await make_partitions_ahead(connection, now)
        if await connection.fetchval(SQL["change_hold"], self._hold):
            log.info("hold_changed", seconds=self._hold.total_seconds())
        counted = await self._counter.advance(connection, now - timedelta(seconds=self._horizon.seconds))
        cost = time.monotonic() - began
        self._metrics.tick_seconds.observe(cost)
        self._horizon.learn(await connection.fetchval(SQL["just_late"], _JUST_LATE), counted)
        await self._redo(late.redo, connection)
        while time.monotonic() - began < _TURN_SECONDS and await self._backfill.step(connection):
            pass
        await self._trim(connection)
        if upkeep:
            await retention.drop_expired(connection, now, self._keep)
            self._upkeep_at = time.monotonic() + _UPKEEP_SECONDS
        pause = min(max(_LEAST_PAUSE_SECONDS, _PAUSE_FOR_COST * cost), _MOST_PAUSE_SECONDS)
        return max(0.0, pause - (time.monotonic() - began))

    async def _loads_turn(self, connection: Connection) -> float:
        began = time.monotonic()
        await self._new_lists.read(connection, await connection.fetchval("SELECT clock_timestamp()"))
        while await self._load_counter.step(connection):
            pass
        await self._redo(loads.redo, connection)
        while time.monotonic() - began < _TURN_SECONDS and await self._loads_backfill.step(connection):
            pass
        return _LEAST_PAUSE_SECONDS

    async def _redo(self, redo: Callable[[Connection], Awaitable[int]], connection: Connection) -> None:
        began = time.monotonic()
        while await redo(connection):
            if time.monotonic() - began >= (_REDO_SECONDS_IN_A_FLOOD if self._flooded() else _REDO_SECONDS):
                return

    async def _trim(self, connection: Connection) -> None:
        if time.monotonic() < self._trim_at:
            return
        self._trim_at = time.monotonic() + _TRIM_SECONDS
        dropped = await retention.trim_dead_letters(connection)
        if dropped:
            self._metrics.dead_letters_dropped.inc(dropped)
            await retention.reuse_dead_letters(connection)

    async def _look(self, connection: Connection) -> None:
        """Update the metrics of the fleet and of counting; the lags are computed when /metrics is read."""
        fleet = await connection.fetchrow(SQL["count_vens"], self._hold)
        if fleet is not None:
            self._metrics.vens_known.set(fleet["known"])
            self._metrics.vens_online.set(fleet["online"])
        row = await connection.fetchrow(SQL["progress"])
        if row is not None and row["watermark"] is not None:
            watermark, of_loads = row["watermark"], row["loads_watermark"]
            self._metrics.rollup_lag.set_function(lambda: time.time() - watermark)
            self._metrics.loads_lag.set_function(lambda: time.time() - of_loads)
            self._metrics.late_waiting.set(row["waiting"])


async def make_partitions_ahead(connection: Connection, now: datetime) -> None:
    """Make the partitions of raw rows until 2 days ahead, and of rollups until 31 days ahead."""
    days = [now + timedelta(days=n) for n in range(-1, _RAW_DAYS_AHEAD + 1)]
    await Partitions().ensure(connection, [round(day.timestamp() * 1e6) for day in days])
    await sums.make_months(connection, now, now + _ROLLUPS_AHEAD)
