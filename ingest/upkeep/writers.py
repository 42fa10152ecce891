"""Waits for the transactions that are writing readings."""

import asyncio
from pathlib import Path

from shared.db import Connection
from shared.logs import get_logger
from shared.sql import load_blocks

log = get_logger(__name__)

SQL = load_blocks(Path(__file__).with_name("writers.sql"))
_POLL_SECONDS = 0.02
_SAY_AFTER_SECONDS = 10.0


async def wait_for_writers(connection: Connection) -> None:
    """Wait until every transaction that now holds a writer's lock on ven_telemetry has ended, prepared ones too.

    Writers take that lock before they read `closing` and `raw_from`, so a writer that takes it later reads what was
    committed before this call. Transactions that write only other tables are not waited for.
    """
    waiting = {row["transaction"] for row in await connection.fetch(SQL["writers"])}
    waited = 0.0
    while waiting:
        await asyncio.sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS
        writers = [row for row in await connection.fetch(SQL["writers"]) if row["transaction"] in waiting]
        waiting = {row["transaction"] for row in writers}
        if waited - _POLL_SECONDS < _SAY_AFTER_SECONDS <= waited:
            log.warning("counting_waits_for_writers", writers=[row["who"] for row in writers])
    if waited >= _SAY_AFTER_SECONDS:
        log.info("writers_done", seconds=round(waited, 1))
