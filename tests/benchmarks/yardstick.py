"""The yardstick of counting, because machines differ, and one machine from hour to hour: CPU time of the least that a
sum over time can cost, one window of VEN and time over the same readings, for one power."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from shared.config import Database
from shared.db import Connection, connect
from shared.sql import load_blocks
from tests.benchmarks.cpu import seconds_of

_SQL = load_blocks(Path(__file__).with_suffix(".sql"))
# As counting has it. Readings are found by a bitmap of their times, whatever statistics the planner has.
_PLAIN = {
    "work_mem": "64MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "enable_seqscan": "off",
    "enable_indexscan": "off",
}


class Yardstick(NamedTuple):
    """CPU seconds of PostgreSQL for a window over so many readings."""

    readings: int
    seconds: float


async def connection_of(db: Database) -> Connection:
    """A connection of its own, so that nothing else is in its CPU time."""
    return await connect(db, application="yardstick", server_settings=_PLAIN)


async def seconds(connection: Connection, since: datetime, until: datetime) -> float:
    """CPU seconds of a plain window over the readings of [since, until)."""
    pid = connection.get_server_pid()
    began = seconds_of([pid])
    await connection.fetch(_SQL["window"], since, until)
    return seconds_of([pid]) - began


async def of_last_minute(db: Database) -> Yardstick:
    """The same over the last minute that is counted."""
    connection = await connection_of(db)
    try:
        minute = await connection.fetchrow(_SQL["last_minute"])
        assert minute is not None
        return Yardstick(minute["readings"], await seconds(connection, minute["since"], minute["until"]))
    finally:
        await connection.close()
