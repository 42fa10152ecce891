"""Late readings are counted after all: their VEN's stretch again from raw rows, the network by the difference.

A reading is late when its time was counted before it came; its writer notes it. Counted = raw rows - noted ones: a
redo counts the noted readings it has picked, and deletes just their notes, in one transaction.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg

from ingest.upkeep import recount
from ingest.upkeep.alone import alone
from ingest.upkeep.fragments import FIVE_MINUTES, FRAGMENTS, NETWORK_TIERS, SHARED, floor, months
from ingest.upkeep.tick import read_state
from shared.advisory_locks import COUNTING
from shared.db import Connection
from shared.logs import get_logger
from shared.sql import compose, load_blocks

log = get_logger(__name__)

SQL = load_blocks(Path(__file__).with_name("late.sql"), FRAGMENTS)
_ADD_DIFFERENCE = {tier: compose(SQL["add_difference"], tier.names) for tier in NETWORK_TIERS}
# What one transaction redoes at most, so that it is no longer than a tick.
LATE_A_STEP = 10_000


class Stretch(NamedTuple):
    """Whole five minutes of a VEN, cut off at the watermark."""

    ven_id: str
    first: datetime
    last: datetime


def stretches(late: Iterable[asyncpg.Record]) -> list[Stretch]:
    """The stretches that late readings (ven_id, starts, ends; by VEN and time) change; touching ones are joined."""
    joined: list[Stretch] = []
    for row in late:
        last = joined[-1] if joined else None
        if last is not None and last.ven_id == row["ven_id"] and row["starts"] <= last.last:
            joined[-1] = last._replace(last=max(last.last, row["ends"]))
        else:
            joined.append(Stretch(row["ven_id"], row["starts"], row["ends"]))
    return joined


async def redo(connection: Connection, limit: int = LATE_A_STEP) -> int:
    """Count the oldest late readings, in one transaction; returns how many."""
    await connection.execute(SQL["create_redone"])
    async with alone(connection, COUNTING):
        late = await connection.fetch(SQL["pick"], limit)
        if late:
            watermark = (await read_state(connection))["watermark"]
            await _redo(connection, late, watermark)
    return len(late)


async def _redo(connection: Connection, late: list[asyncpg.Record], watermark: datetime) -> None:
    """Redo in this order: what was counted is compared before it is replaced; notes go before `reopen` looks for the
    last counted reading."""
    changed = stretches(late)
    for month in {m for each in changed for m in months(each.first, each.last)}:
        await connection.execute(SHARED["make_rollup_month"], month)
    where = [list(column) for column in zip(*changed, strict=True)]
    keys = [[row["ven_id"] for row in late], [row["ts"] for row in late]]
    await connection.execute(SQL["redo"], *where, *keys)
    differing = [row["bucket"] for row in await connection.fetch(SQL["differing"], *where, watermark)]
    await connection.execute(SQL["delete_vens_5m"], *where, watermark)
    await connection.execute(SQL["insert_vens_5m"], watermark)
    await connection.execute(SQL["delete_vens_15m"], *where)
    await connection.execute(SQL["insert_vens_15m"], *where, watermark)
    for tier, statement in _ADD_DIFFERENCE.items():
        await connection.execute(statement, watermark if tier.open else floor(watermark, tier.width))
    await connection.execute(SQL["forget"], *keys)
    reaching = sorted({each.ven_id for each in changed if each.last == watermark})
    await connection.execute(SQL["reopen"], watermark, reaching)
    await connection.execute(SQL["move_first"], min(keys[1]))
    if differing:
        log.warning("rollups_differed", five_minutes=len(differing), oldest=differing[0].isoformat())
        for bucket in differing:
            await recount.recount(connection, bucket, bucket + FIVE_MINUTES, watermark)
