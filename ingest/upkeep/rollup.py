"""Closed buckets of raw rows become rollups; closed buckets that got late rows are computed again.

Why the order of steps is what it is, and what can go wrong otherwise: docs/architecture.md, "Rollups".
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from shared.db import Connection
from shared.logs import get_logger
from shared.sql import load_blocks

log = get_logger(__name__)

SQL = load_blocks(Path(__file__).with_name("rollup.sql"))

BASE = timedelta(minutes=5)
# A bucket is closed this long after its end: most of what belongs to it has come by then.
GRACE = timedelta(seconds=20)
# What one transaction computes at most, so that none is long.
STEP = timedelta(hours=1)
DIRTY_BUCKETS_A_STEP = 50
_POLL_SECONDS = 0.05
_SAY_AFTER_SECONDS = 10.0


def floor(moment: datetime) -> datetime:
    """The start of the base bucket that `moment` lies in."""
    return moment - (moment - datetime.min.replace(tzinfo=UTC)) % BASE


async def roll_up(connection: Connection, now: datetime) -> int:
    """Bring rollups up to the last bucket closed at `now`, then redo dirty ones; returns how many steps."""
    await close_buckets(connection, floor(now - GRACE))
    return await _compute_closed(connection) + await _redo_all_dirty(connection)


async def close_buckets(connection: Connection, until: datetime) -> None:
    """From now on writers mark as dirty what they store before `until`; returns when every writer that
    may not have known has ended, so that its rows can be seen."""
    await connection.execute(SQL["close_buckets"], until)
    await older_transactions_ended(connection)


async def older_transactions_ended(connection: Connection) -> None:
    """Wait until every transaction that writes now has ended."""
    newest = await connection.fetchval(SQL["newest_transaction"])
    waited = 0.0
    while not await connection.fetchval(SQL["transactions_ended"], newest):
        await asyncio.sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS
        if waited - _POLL_SECONDS < _SAY_AFTER_SECONDS <= waited:
            log.warning("rollup_waits_for_old_transactions")


async def _compute_closed(connection: Connection) -> int:
    steps = 0
    while True:
        async with connection.transaction():
            await connection.execute(SQL["lock_rollups"])
            state = await _state(connection)
            start = state["watermark"]
            if not state["begun"]:
                first = await connection.fetchval(SQL["first_reading"], state["raw_from"])
                start = min(floor(first), state["closing"]) if first else state["closing"]
            end = min(start + STEP, state["closing"])
            if state["begun"] and start >= end:
                return steps
            await compute(connection, start, end)
            await connection.execute(SQL["move_watermark"], end)
        steps += 1
        log.debug("rolled_up", start=start.isoformat(), end=end.isoformat())


async def compute(connection: Connection, start: datetime, end: datetime) -> None:
    """Fill the rollups of [start, end), which hold nothing yet."""
    if start >= end:
        return
    for moment in (start, end):
        await connection.execute(SQL["make_rollup_month"], moment)
    for name in ("rollup_network_1m", "rollup_vens_and_network_5m", "rollup_loads_5m"):
        await connection.execute(SQL[name], start, end)


async def _redo_all_dirty(connection: Connection) -> int:
    steps = 0
    while await redo_dirty(connection):
        steps += 1
    return steps


async def redo_dirty(connection: Connection, buckets: int = DIRTY_BUCKETS_A_STEP) -> int:
    """Compute the oldest dirty buckets again, in one transaction; returns how many marks that settled."""
    async with connection.transaction():
        await connection.execute(SQL["lock_rollups"])
        # Read first, delete only these: a mark that is committed meanwhile speaks of rows not seen here.
        marks = await connection.fetch(SQL["read_dirty"], buckets)
        if marks:
            await _redo(connection, marks)
            await connection.execute(SQL["delete_dirty"], [mark["id"] for mark in marks])
    if marks:
        log.info("redid_dirty_buckets", marks=len(marks), oldest=marks[0]["bucket"].isoformat())
    return len(marks)


async def _redo(connection: Connection, marks: Sequence[asyncpg.Record]) -> None:
    pairs = sorted({(mark["ven_id"], mark["bucket"]) for mark in marks})
    vens, times = [ven_id for ven_id, _ in pairs], [bucket for _, bucket in pairs]
    buckets = sorted(set(times))
    # A late row may be of a month that nothing was rolled up for.
    for month in {bucket.replace(day=1) for bucket in buckets}:
        await connection.execute(SQL["make_rollup_month"], month)
    for name in ("delete_vens_5m", "redo_vens_5m", "delete_loads_5m", "redo_loads_5m"):
        await connection.execute(SQL[name], vens, times)
    for name in ("delete_network", "redo_network_1m", "redo_network_5m"):
        await connection.execute(SQL[name], buckets)


async def rebuild(
    connection: Connection,
    start: datetime | None,
    end: datetime | None,
    progress: Callable[[float], None],
) -> tuple[datetime, datetime] | None:
    """Compute all rollups of [start, end) again from raw rows, as far as raw rows reach and rollups go.

    Works beside ingest. `progress` hears the part done, 0 to 1. Returns the range, None if it is empty.
    """
    state = await _state(connection)
    first = await connection.fetchval(SQL["first_reading"], state["raw_from"])
    if first is None or not state["begun"]:
        return None
    start = floor(max(filter(None, (start, first))))
    end = min(filter(None, (end and floor(end + BASE - timedelta(microseconds=1)), state["watermark"])))
    if start >= end:
        return None
    done = start
    while done < end:
        until = min(done + STEP, end)
        await _rebuild_step(connection, done, until)
        done = until
        progress((done - start) / (end - start))
    return start, end


async def _rebuild_step(connection: Connection, start: datetime, end: datetime) -> None:
    async with connection.transaction():
        await connection.execute(SQL["lock_rollups"])
        marks = await connection.fetch(SQL["read_dirty_between"], start, end)
        await connection.execute(SQL["delete_between"], start, end)
        await compute(connection, start, end)
        await connection.execute(SQL["delete_dirty"], [mark["id"] for mark in marks])


async def _state(connection: Connection) -> asyncpg.Record:
    row = await connection.fetchrow(SQL["state"])
    if row is None:
        raise asyncpg.NoDataFoundError("rollup_state is empty")
    return row
