"""Counts loads, in steps of whole five minutes, after the VENs: most rows are loads', and must not delay the VENs'.

Loads have a watermark, a lock and notes of late lists of their own. The rest is as in tick.py, late.py and recount.py.
"""

from datetime import datetime
from pathlib import Path

from ingest.upkeep import sums
from ingest.upkeep.alone import alone
from ingest.upkeep.fragments import FIVE_MINUTES, FRAGMENTS, floor
from ingest.upkeep.late import LATE_A_STEP, create_work, find_stretches
from ingest.upkeep.recount import aligned
from ingest.upkeep.tick import Pace, read_state
from shared.advisory_locks import COUNTING_LOADS
from shared.db import Connection
from shared.sql import load_blocks

_FILE = Path(__file__).with_name("loads.sql")
SQL = load_blocks(_FILE, {**FRAGMENTS, **load_blocks(_FILE)})


class LoadCounter:
    """Moves the watermark of loads. Remembers only how long a step may be."""

    def __init__(self) -> None:
        self._pace = Pace()

    async def step(self, connection: Connection) -> datetime | None:
        """Count the next five minutes or more, as far as VENs are counted; None if there is nothing to count."""
        async with alone(connection, COUNTING_LOADS):
            state = await read_state(connection)
            start = state["loads_watermark"]
            end = (
                floor(min(start + self._pace.step, state["watermark"]), FIVE_MINUTES)
                if state["begun"]
                else start
            )
            if start >= end:
                return None
            with self._pace.timed():
                await _count(connection, start, end)
        return end


async def _count(connection: Connection, start: datetime, end: datetime) -> None:
    await sums.make_months(connection, start, end)
    await connection.execute(SQL["join_by_hash"])
    statement = "count_five_minutes" if end - start == FIVE_MINUTES else "count_lists"
    await connection.execute(SQL[statement], start, end)
    await sums.sum_up(connection, start, end, "load")
    await connection.execute(SQL["forget_silent_lists"], end)
    moved = await connection.execute(SQL["move_loads_watermark"], start, end)
    assert moved == "UPDATE 1", moved  # noqa: S101 nobody else moves it under the lock


async def redo(connection: Connection, limit: int = LATE_A_STEP) -> int:
    """Count the oldest late lists, in one transaction; returns how many."""
    await create_work(connection)
    async with alone(connection, COUNTING_LOADS):
        picked = int((await connection.execute(SQL["pick_lists"], limit)).split()[-1])
        if picked:
            watermark = (await read_state(connection))["loads_watermark"]
            await find_stretches(connection, watermark)
            await connection.execute(SQL["forget_lists"])
            await connection.execute(SQL["delete_loads"])
            await connection.execute(SQL["count_loads"])
            await sums.redo_wider(connection, "load", watermark)
            await connection.execute(SQL["reopen_lists"], watermark)
    return picked


async def recount(connection: Connection, start: datetime, end: datetime, watermark: datetime) -> None:
    """Count the loads of [start, end), `aligned`, again, in the transaction that holds the lock."""
    start, end = aligned(start, end, watermark)
    if start >= end:
        return
    await sums.make_months(connection, start, end)
    await sums.delete_between(connection, start, end, "load")
    await connection.execute(SQL["join_by_hash"])
    await connection.execute(SQL["recount_loads"], start, end)
    await sums.sum_up(connection, start, end, "load")
