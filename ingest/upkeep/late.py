"""Late readings are counted after all: their VEN's stretch again from raw rows, the network by the difference.

A reading is late when its time was counted before it came; its writer notes it. Counted = raw rows - noted ones: a
redo counts the noted readings it has picked, and deletes just their notes, in one transaction.
"""

from datetime import datetime
from pathlib import Path

import asyncpg

from ingest.upkeep import recount, sums
from ingest.upkeep.alone import alone
from ingest.upkeep.fragments import FIVE_MINUTES, FRAGMENTS
from ingest.upkeep.tick import read_state
from shared.advisory_locks import COUNTING
from shared.db import Connection
from shared.logs import get_logger
from shared.sql import load_blocks

log = get_logger(__name__)

SQL = load_blocks(Path(__file__).with_name("late.sql"), FRAGMENTS)
# What one transaction redoes at most, so that it is no longer than a tick.
LATE_A_STEP = 10_000


async def redo(connection: Connection, limit: int = LATE_A_STEP) -> int:
    """Count the oldest late readings, in one transaction; returns how many."""
    await create_work(connection)
    async with alone(connection, COUNTING):
        picked = int((await connection.execute(SQL["pick"], limit)).split()[-1])
        if picked:
            await _redo(connection, (await read_state(connection))["watermark"])
    return picked


async def create_work(connection: Connection) -> None:
    """Make the temporary tables that a redo works on."""
    await connection.execute(SQL["create_work"])


async def find_stretches(connection: Connection, watermark: datetime) -> asyncpg.Record:
    """Find what is `picked` changes, and make the months of it; returns the first reading's time, from, to."""
    await connection.execute(SQL["find_stretches"], watermark)
    found = await connection.fetchrow(SQL["first_picked"])
    assert found is not None  # noqa: S101 aggregates have a row
    await sums.make_months(connection, found["first"], found["last"])
    return found


async def _redo(connection: Connection, watermark: datetime) -> None:
    """Redo in this order: what was counted is compared before it is replaced; notes go before `reopen` looks for the
    last counted reading."""
    found = await find_stretches(connection, watermark)
    await connection.execute(SQL["redo"])
    differing = [row["bucket"] for row in await connection.fetch(SQL["differing"], watermark)]
    await connection.execute(SQL["delete_counted"], watermark)
    await connection.execute(SQL["insert_redone"], watermark)
    await sums.redo_wider(connection, "ven", watermark)
    await sums.add_difference(connection, watermark)
    await connection.execute(SQL["forget"])
    await connection.execute(SQL["reopen"], watermark)
    await connection.execute(SQL["move_first"], found["ts"])
    if differing:
        log.warning("rollups_differed", five_minutes=len(differing), oldest=differing[0].isoformat())
        for bucket in differing:
            await recount.recount(connection, bucket, bucket + FIVE_MINUTES, watermark)
