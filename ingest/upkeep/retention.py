"""What has outlived its retention goes: raw days, rollup months, network rollups, dead letters."""

from datetime import datetime, timedelta
from pathlib import Path

from ingest.upkeep import rollup
from shared.config import Retention
from shared.db import Connection
from shared.logs import get_logger
from shared.sql import load_blocks

log = get_logger(__name__)

SQL = load_blocks(Path(__file__).with_name("retention.sql"))

# Firmware gone wrong may send nothing but dead letters, thousands a second, and good messages need the disk too.
DEAD_LETTERS_BYTES = 1024**3


async def drop_expired(connection: Connection, now: datetime, settings: Retention) -> None:
    """Drop everything that is older at `now` than the settings keep it."""
    await drop_raw_days(connection, now - timedelta(days=settings.raw_retention_days))
    rollups_until = now - timedelta(days=settings.rollup_retention_days)
    loads_until = now - timedelta(days=settings.load_rollup_retention_days)
    await _drop_partitions(connection, "ven_power_5m", rollups_until)
    await _drop_partitions(connection, "load_power_5m", loads_until)
    letters_until = now - timedelta(days=settings.dead_letter_retention_days)
    for name, until in (("delete_network", rollups_until), ("delete_dead_letters", letters_until)):
        done = await connection.execute(SQL[name], until)
        if done != "DELETE 0":
            log.info("deleted_expired", query=name, rows=int(done.split()[-1]), before=until.isoformat())


async def trim_dead_letters(connection: Connection, limit: int = DEAD_LETTERS_BYTES) -> int:
    """Keep the dead letters seen last, up to `limit` bytes of them; returns how many went."""
    # The file does not shrink, so this alone does not tell; but it is cheap, and below it there is nothing to do.
    if await connection.fetchval(SQL["dead_letters_bytes"]) <= limit:
        return 0
    dropped = int((await connection.execute(SQL["trim_dead_letters"], limit)).split()[-1])
    if dropped:
        log.warning("dropped_dead_letters", rows=dropped, kept_bytes=limit)
    return dropped


async def reuse_dead_letters(connection: Connection) -> None:
    """Make the room of dropped dead letters usable at once."""
    await connection.execute(SQL["vacuum_dead_letters"])


async def drop_raw_days(connection: Connection, until: datetime) -> None:
    """Drop the raw partitions of days that ended by `until` and are rolled up.

    First writers stop taking rows that old, then whatever late rows there are go into the rollups, and
    only then the days go: no row is dropped that a rollup does not hold.
    """
    ends = await connection.fetchval(SQL["expired_days"], until)
    if ends is not None:
        await connection.execute(SQL["move_raw_from"], ends)
        await rollup.older_transactions_ended(connection)
        while await connection.fetchval(SQL["dirty_before"], ends):
            await rollup.redo_dirty(connection)
        for table in ("ven_telemetry", "ven_load_samples"):
            await _drop_partitions(connection, table, ends)


async def _drop_partitions(connection: Connection, table: str, until: datetime) -> None:
    for row in await connection.fetch(SQL["expired_partitions"], table, until):
        if row["half_detached"]:
            await connection.execute(row["finalize"])
        else:
            # Marks the table as ours to drop, should this be cut short between the two.
            await connection.execute(row["comment"])
            await connection.execute(row["detach"])
        await connection.execute(row["drop"])
        log.info("dropped_partition", partition=row["partition"], finished_earlier_drop=row["half_detached"])
    for row in await connection.fetch(SQL["detached_partitions"], table):
        await connection.execute(row["drop"])
        log.info("dropped_partition", partition=row["partition"], finished_earlier_drop=True)
