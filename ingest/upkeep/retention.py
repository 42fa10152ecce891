"""Drops what has outlived its retention: raw days, rollup months, network rollups, dead letters."""

from datetime import datetime, timedelta
from pathlib import Path

from ingest.upkeep import late, loads
from ingest.upkeep.fragments import FRAGMENTS
from ingest.upkeep.writers import wait_for_writers
from shared import tiers
from shared.config import Retention
from shared.db import Connection
from shared.logs import get_logger
from shared.sql import compose, load_blocks
from shared.tiers import Bound

log = get_logger(__name__)

SQL = load_blocks(Path(__file__).with_name("retention.sql"), FRAGMENTS)
_MOVE_BOUND = {bound: compose(SQL["move_bound"], {"bound": bound.column}) for bound in tiers.BOUNDS}
# For the network's tables, which have no partitions.
_DELETE_BEFORE = {
    table: compose(SQL["delete_before"], {"table": table})
    for table in (tier.table("network") for tier in tiers.of("network"))
}

# Faulty firmware may send thousands of dead letters a second, and good messages need the disk too.
DEAD_LETTERS_BYTES = 1024**3


async def drop_expired(connection: Connection, now: datetime, settings: Retention) -> None:
    """Drop everything that is older at `now` than the settings allow."""
    await drop_raw_days(connection, now - timedelta(days=settings.raw_retention_days))
    for bound in tiers.BOUNDS:
        await _drop_tiers(connection, bound, now - timedelta(days=getattr(settings, bound.setting)))
    letters_until = now - timedelta(days=settings.dead_letter_retention_days)
    done = await connection.execute(SQL["delete_dead_letters"], letters_until)
    _say_deleted("dead letters", done, letters_until)


async def _drop_tiers(connection: Connection, bound: Bound, until: datetime) -> None:
    """Move a bound, then drop the rows of its tiers before it: the api reads no tier before its bound."""
    begins: datetime = await connection.fetchval(_MOVE_BOUND[bound], until)
    for table in tiers.kept_from(bound):
        if table in _DELETE_BEFORE:
            _say_deleted(table, await connection.execute(_DELETE_BEFORE[table], begins), begins)
        else:
            await _drop_partitions(connection, table, begins)


def _say_deleted(what: str, done: str, before: datetime) -> None:
    rows = int(done.split()[-1])
    if rows:
        log.info("deleted_expired", what=what, rows=rows, before=before.isoformat())


async def trim_dead_letters(connection: Connection, limit: int = DEAD_LETTERS_BYTES) -> int:
    """Keep the dead letters seen last, up to `limit` bytes of them; returns how many were deleted."""
    # A cheap early exit. The file does not shrink, so a large one proves nothing; but a small one has nothing to trim.
    if await connection.fetchval(SQL["dead_letters_bytes"]) <= limit:
        return 0
    dropped = int((await connection.execute(SQL["trim_dead_letters"], limit)).split()[-1])
    if dropped:
        log.warning("dropped_dead_letters", rows=dropped, kept_bytes=limit)
    return dropped


async def reuse_dead_letters(connection: Connection) -> None:
    """Make the space of deleted dead letters usable at once."""
    await connection.execute(SQL["vacuum_dead_letters"])


async def drop_raw_days(connection: Connection, until: datetime) -> None:
    """Drop the raw partitions of days that ended by `until` and are counted.

    In this order: writers stop taking rows from before `raw_from`; late readings and lists from before it are counted;
    the days are dropped. Raw rows of one hold before `raw_from` stay: a recount from there on needs each VEN's reading
    before it.
    """
    ends = await connection.fetchval(SQL["expired_days"], until)
    if ends is not None:
        raw_from = await connection.fetchval(SQL["move_raw_from"], ends)
        await wait_for_writers(connection)
        while await connection.fetchval(SQL["late_before"], raw_from):
            await late.redo(connection)
            await loads.redo(connection)
        for table in ("ven_telemetry", "ven_load_lists"):
            await _drop_partitions(connection, table, ends)


async def _drop_partitions(connection: Connection, table: str, until: datetime) -> None:
    for row in await connection.fetch(SQL["expired_partitions"], table, until):
        if row["half_detached"]:
            await connection.execute(row["finalize"])
        else:
            # Marks the table as ours: if the process ends before the table is dropped, a later run drops it.
            await connection.execute(row["comment"])
            await connection.execute(row["detach"])
        await connection.execute(row["drop"])
        log.info("dropped_partition", partition=row["partition"], finished_earlier_drop=row["half_detached"])
    for row in await connection.fetch(SQL["detached_partitions"], table):
        await connection.execute(row["drop"])
        log.info("dropped_partition", partition=row["partition"], finished_earlier_drop=True)
