"""Moves the watermark: a tick adds the readings of up to a minute to the open sums, a leap counts more in bulk.

The sums and the new watermark are committed together. docs/architecture.md, "Rollups", says why.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from ingest.upkeep import sums
from ingest.upkeep.alone import alone
from ingest.upkeep.fragments import FIVE_MINUTES, FRAGMENTS, MINUTE, floor
from ingest.upkeep.writers import wait_for_writers
from shared.advisory_locks import COUNTING
from shared.db import Connection
from shared.errors import EcsError
from shared.logs import get_logger
from shared.sql import load_blocks

log = get_logger(__name__)

_FILE = Path(__file__).with_name("tick.sql")
SQL = load_blocks(_FILE, {**FRAGMENTS, **load_blocks(_FILE)})

_QUICK_SECONDS, _SLOW_SECONDS = 0.5, 2.0
_LONGEST_STEP = timedelta(hours=6)


class NotMigratedError(EcsError):
    """rollup_state has no row: the schema is not this version's."""


class Counted(NamedTuple):
    """What one step of the watermark counted: how many readings, and where the watermark is now."""

    readings: int
    watermark: datetime


class Pace:
    """How long a step in bulk may be: longer after a quick one, shorter after a slow one, because others wait for the
    lock meanwhile."""

    def __init__(self) -> None:
        self.step = FIVE_MINUTES

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Take the time of a step, and choose how long the next one may be."""
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        if seconds < _QUICK_SECONDS:
            self.step = min(self.step * 2, _LONGEST_STEP)
        elif seconds > _SLOW_SECONDS:
            self.step = max(self.step / 2, FIVE_MINUTES)


class Counter:
    """Moves the watermark of VENs and the network. Remembers only how long a leap may be."""

    def __init__(self) -> None:
        self._pace = Pace()

    async def advance(self, connection: Connection, until: datetime) -> int:
        """Count everything before `until`, each step in a transaction; returns how many readings were counted."""
        await close(connection, until)
        await begin(connection, until)
        readings = 0
        while (counted := await self.step(connection, until)) is not None:
            readings += counted.readings
        return readings

    async def step(self, connection: Connection, until: datetime) -> Counted | None:
        """Count one more stretch; None once everything before `until` is counted. `close` must have closed `until`."""
        async with alone(connection, COUNTING):
            start = (await read_state(connection))["watermark"]
            if start >= until:
                return None
            leap = floor(min(start + self._pace.step, until), FIVE_MINUTES)
            if start == floor(start, FIVE_MINUTES) and leap > start:
                with self._pace.timed():
                    return await _leap(connection, start, leap)
            return await _tick(connection, start, min(floor(start, MINUTE) + MINUTE, until))


async def read_state(connection: Connection) -> dict[str, datetime]:
    """The row of rollup_state; raises NotMigratedError."""
    row = await connection.fetchrow(SQL["state"])
    if row is None:
        raise NotMigratedError("rollup_state is empty: run `ecs-backend migrate`")
    return dict(row)


async def close(connection: Connection, until: datetime) -> None:
    """From now on, writers note as late what they store before `until`. Returns when every writer that may not have
    known this has ended, so that its rows are visible. Waits even if `until` was closed before: the process that
    closed it may have died before it waited."""
    await connection.execute(SQL["move_closing"], until)
    await wait_for_writers(connection)


async def begin(connection: Connection, until: datetime) -> None:
    """If nothing has been counted yet, begin at the first reading, or at `until` if that is earlier."""
    await connection.execute(SQL["begin"], until)


async def _tick(connection: Connection, start: datetime, end: datetime) -> Counted:
    """Count [start, end), which lies within one minute; write the rows of wider buckets that end at `end`."""
    row = await connection.fetchrow(SQL["tick"], start, end)
    assert row is not None  # noqa: S101 a count always has a row
    if end == floor(end, FIVE_MINUTES):
        await sums.make_months(connection, end - FIVE_MINUTES, end)
        await connection.execute(SQL["close_vens"], end - FIVE_MINUTES, end)
        await sums.sum_up(connection, end - FIVE_MINUTES, end, "network", "ven")
        await connection.execute(SQL["forget_silent"], end)
    await _move(connection, start, end, row["first"])
    return Counted(row["readings"], end)


async def _leap(connection: Connection, start: datetime, end: datetime) -> Counted:
    """Count [start, end), both at the end of five minutes, straight into the tiers."""
    await sums.make_months(connection, start, end)
    row = await connection.fetchrow(SQL["leap"], start, end)
    assert row is not None  # noqa: S101 a count always has a row
    await sums.sum_up(connection, start, end, "network", "ven")
    await connection.execute(SQL["forget_silent"], end)
    await _move(connection, start, end, row["first"])
    return Counted(row["readings"], end)


async def _move(connection: Connection, start: datetime, end: datetime, first: datetime | None) -> None:
    """The last step of a transaction: who counts loads waits for the row from here until the commit."""
    moved = await connection.execute(SQL["move_watermark"], start, end, first)
    assert moved == "UPDATE 1", moved  # noqa: S101 nobody else moves it under the lock
