"""What counting takes of a core that it has to itself: a quarter of an hour of a fleet, counted as the leader does it.

The readings of each tick are stored in the order in which they would have come, and then the watermark goes over them;
loads are counted whenever five minutes are over. So what is counted is as fresh as in the field: mostly in
shared_buffers, seen by no VACUUM, and unknown to the planner's statistics.

The yardstick (yardstick.py) is measured in the same run, whenever five minutes are over.
"""

import argparse
import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from ingest.database import leader_connection
from ingest.upkeep import loads, sums, tick
from ingest.upkeep.fragments import FIVE_MINUTES, floor
from ingest.upkeep.new_lists import NewLists
from shared.config import Database
from shared.db import Connection
from shared.sql import load_blocks
from shared.tiers import WIDEST
from tests.benchmarks import yardstick
from tests.benchmarks.cpu import seconds_of
from tests.benchmarks.database import migrated_database
from tests.benchmarks.machine import machine

SQL = load_blocks(Path(__file__).with_name("counting.sql"))
START = datetime(2026, 7, 10, 12, tzinfo=UTC)


class Cost(NamedTuple):
    """CPU seconds of PostgreSQL's processes, and how many readings they counted."""

    readings: int
    vens: float
    loads: float
    yardstick: float

    def each(self, seconds: float) -> float:
        """CPU us a reading."""
        return 1e6 * seconds / self.readings


async def fill(connection: Connection, span: tuple[datetime, datetime], vens: int, every: timedelta) -> None:
    """Store the readings of a span, a multiple of `every`, of 8 loads each."""
    await connection.execute(SQL["telemetry"], *span, every, vens)
    await connection.execute(SQL["lists"], *span)


async def measure(db: Database, options: argparse.Namespace) -> Cost:
    """Store a quarter of an hour and count it, in ticks."""
    writer, leader = await leader_connection(db), await leader_connection(db)
    plain = await yardstick.connection_of(db)
    try:
        await writer.execute(SQL["make_day"], START)
        await sums.make_months(leader, START, START + WIDEST.width)
        pid = leader.get_server_pid()
        counter, load_counter, new_lists = tick.Counter(), loads.LoadCounter(), NewLists()
        await tick.close(leader, START)
        await tick.begin(leader, START)
        await new_lists.read(leader, START)
        readings, spent, at, stored = 0, [0.0, 0.0, 0.0], START, START
        while at < START + WIDEST.width:
            at += timedelta(seconds=options.tick)
            while stored < at:
                span = stored, stored + timedelta(seconds=max(options.tick, options.every))
                await fill(writer, span, options.vens, timedelta(seconds=options.every))
                stored = span[1]
            began = seconds_of([pid])
            readings += await counter.advance(leader, at)
            counted = seconds_of([pid])
            if not options.unread:
                await new_lists.read(leader, at)
            while await load_counter.step(leader):
                pass
            spent[0] += counted - began
            spent[1] += seconds_of([pid]) - counted
            if at == floor(at, FIVE_MINUTES):
                spent[2] += await yardstick.seconds(plain, at - FIVE_MINUTES, at)
        return Cost(readings, *spent)
    finally:
        for connection in (writer, leader, plain):
            await connection.close()


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vens", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=5, help="s between two readings of a VEN")
    parser.add_argument("--tick", type=int, default=10, help="s between two ticks")
    parser.add_argument("--unread", action="store_true", help="do not read new samples at each tick")
    options = parser.parse_args()
    with migrated_database() as db:
        cost = asyncio.run(measure(db, options))
    about = f"{options.vens:,} VENs x 8 loads every {options.every} s, ticks of {options.tick} s. {machine()}"
    table = Table(title=f"CPU us a reading: {about}")
    for head in ("readings", "VENs and network", "loads", "both", "yardstick", "both / yardstick"):
        table.add_column(head, justify="right")
    both = cost.vens + cost.loads
    figures = [f"{cost.each(seconds):.1f}" for seconds in (cost.vens, cost.loads, both, cost.yardstick)]
    table.add_row(f"{cost.readings:,}", *figures, f"{both / cost.yardstick:.1f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
