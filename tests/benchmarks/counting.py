"""What counting takes of a core that it has to itself: a quarter of an hour of a fleet, counted as the leader does it.

Readings are stored beforehand, in the order in which they would have come. Then the watermark goes over them, a tick
at a time, and loads are counted whenever five minutes are over.
"""

import argparse
import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from ingest.database import leader_connection
from ingest.upkeep import loads, sums, tick
from shared.commands.migrate import migrate
from shared.config import Database
from shared.db import Connection
from shared.embedded.postgres import EmbeddedPostgres
from shared.sql import load_blocks
from shared.tiers import WIDEST
from tests.benchmarks.cpu import seconds_of
from tests.benchmarks.machine import machine
from tests.support.servers import new_database, running, temporary_directory

SQL = load_blocks(Path(__file__).with_name("counting.sql"))
START = datetime(2026, 7, 10, 12, tzinfo=UTC)


class Cost(NamedTuple):
    """CPU seconds of PostgreSQL's process, and how many readings it counted."""

    readings: int
    vens: float
    loads: float

    def each(self, seconds: float) -> float:
        """CPU us a reading."""
        return 1e6 * seconds / self.readings


async def fill(connection: Connection, vens: int, every: timedelta) -> None:
    """Store the readings of a quarter of an hour, of 8 loads each."""
    await connection.execute("SET synchronous_commit = off")
    await connection.execute(SQL["make_day"], START)
    minute = timedelta(minutes=1)
    for n in range(WIDEST.width // minute):
        span = START + n * minute, START + (n + 1) * minute
        await connection.execute(SQL["telemetry"], *span, every, vens)
        await connection.execute(SQL["samples"], *span)
    await sums.make_months(connection, START, START + WIDEST.width)
    await connection.execute("VACUUM (ANALYZE) ven_telemetry, ven_load_samples")


async def count(connection: Connection, pause: timedelta) -> Cost:
    """Count them, in ticks of `pause`."""
    pid = connection.get_server_pid()
    counter, load_counter = tick.Counter(), loads.LoadCounter()
    await tick.close(connection, START)
    await tick.begin(connection, START)
    readings, spent, at = 0, [0.0, 0.0], START
    while at < START + WIDEST.width:
        at += pause
        began = seconds_of([pid])
        readings += await counter.advance(connection, at)
        counted = seconds_of([pid])
        while await load_counter.step(connection):
            pass
        spent[0] += counted - began
        spent[1] += seconds_of([pid]) - counted
    return Cost(readings, *spent)


async def measure(db: Database, options: argparse.Namespace) -> Cost:
    """Store and count."""
    connection = await leader_connection(db)
    try:
        await fill(connection, options.vens, timedelta(seconds=options.every))
        return await count(connection, timedelta(seconds=options.tick))
    finally:
        await connection.close()


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vens", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=5, help="s between two readings of a VEN")
    parser.add_argument("--tick", type=int, default=10, help="s between two ticks")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        server = stack.enter_context(running(EmbeddedPostgres(directory / "pg")))
        db = stack.enter_context(new_database(server.settings()))
        migrate(db)
        cost = asyncio.run(measure(db, options))
    about = f"{options.vens:,} VENs x 8 loads every {options.every} s, ticks of {options.tick} s. {machine()}"
    table = Table(title=f"CPU us a reading: {about}")
    for head in ("readings", "VENs and network", "loads", "both"):
        table.add_column(head, justify="right")
    figures = (cost.vens, cost.loads, cost.vens + cost.loads)
    table.add_row(f"{cost.readings:,}", *(f"{cost.each(seconds):.1f}" for seconds in figures))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
