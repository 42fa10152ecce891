"""Counts the VENs and the network of closed time again, from raw rows; loads.py does the same for loads."""

from datetime import datetime, timedelta
from pathlib import Path

from ingest.upkeep import sums
from ingest.upkeep.fragments import FIVE_MINUTES, FRAGMENTS, floor
from shared.db import Connection
from shared.sql import load_blocks
from shared.tiers import WIDEST

SQL = load_blocks(Path(__file__).with_name("recount.sql"), FRAGMENTS)


def aligned(start: datetime, end: datetime, watermark: datetime) -> tuple[datetime, datetime]:
    """[start, end) widened to whole buckets of every tier, but not beyond the last whole five minutes before
    `watermark`: open buckets stay as they are."""
    widened = floor(end + WIDEST.width - timedelta(microseconds=1), WIDEST.width)
    return floor(start, WIDEST.width), min(widened, floor(watermark, FIVE_MINUTES))


async def recount(connection: Connection, start: datetime, end: datetime, watermark: datetime) -> None:
    """Count the VENs and the network of [start, end), `aligned`, again, in the transaction that holds the lock."""
    start, end = aligned(start, end, watermark)
    if start >= end:
        return
    await sums.make_months(connection, start, end)
    await sums.delete_between(connection, start, end, "network", "ven")
    await connection.execute(SQL["recount"], start, end)
    await sums.sum_up(connection, start, end, "network", "ven")
