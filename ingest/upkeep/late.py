"""Counts late readings: their VENs' stretches again from raw rows, and for the network the difference.

A reading is late if its time was counted before it came; its writer notes it in late_readings. At any moment, what is
counted is all raw rows but those noted. A redo picks noted readings, counts them and deletes their notes in one
transaction.
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

_FILE = Path(__file__).with_name("late.sql")
SQL = load_blocks(_FILE, {**FRAGMENTS, **load_blocks(_FILE)})
# At most so many readings in one transaction, so that it takes no longer than a tick.
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
    """Find the stretches that the `picked` readings change, and make the partitions of their months.

    Returns ts (of the first reading), first and last (from where to where the stretches reach).
    """
    await connection.execute(SQL["find_stretches"], watermark)
    found = await connection.fetchrow(SQL["first_picked"])
    assert found is not None  # noqa: S101 aggregates have a row
    await sums.make_months(connection, found["first"], found["last"])
    return found


async def _redo(connection: Connection, watermark: datetime) -> None:
    """Redo in this order: `differing` compares what is stored before it is replaced; `forget` deletes the notes before
    `reopen` looks for the last counted reading."""
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
