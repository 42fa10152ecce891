"""VENs and the network of closed time counted again from raw rows; loads.py does the same of loads."""

from datetime import datetime, timedelta
from pathlib import Path

from ingest.upkeep.fragments import FIVE_MINUTES, FRAGMENTS, QUARTER, SHARED, floor, months
from shared.db import Connection
from shared.sql import load_blocks

SQL = load_blocks(Path(__file__).with_name("recount.sql"), FRAGMENTS)


def aligned(start: datetime, end: datetime, watermark: datetime) -> tuple[datetime, datetime]:
    """[start, end) widened to whole quarters of an hour, as far as `watermark` lets: what is open stays as it is."""
    widened = floor(end + QUARTER - timedelta(microseconds=1), QUARTER)
    return floor(start, QUARTER), min(widened, floor(watermark, FIVE_MINUTES))


async def recount(connection: Connection, start: datetime, end: datetime, watermark: datetime) -> None:
    """Count the VENs and the network of [start, end), `aligned`, again, in the transaction that holds the lock."""
    start, end = aligned(start, end, watermark)
    if start >= end:
        return
    quarters = floor(end, QUARTER)
    for month in months(start, end):
        await connection.execute(SHARED["make_rollup_month"], month)
    await connection.execute(SQL["delete_between"], start, end, quarters)
    await connection.execute(SQL["recount"], start, end)
    if start < quarters:
        await connection.execute(SHARED["quarters"], start, quarters)
