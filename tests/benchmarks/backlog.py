"""How fast the leader counts a backlog: readings of 8 loads that all came after their time was counted."""

import asyncio
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from ingest.database import leader_connection
from ingest.upkeep import late, loads, tick
from shared.commands.migrate import migrate
from shared.embedded.postgres import EmbeddedPostgres
from tests.benchmarks.machine import machine
from tests.support.leader import count
from tests.support.servers import new_database, running, temporary_directory

_LOADS = 8
# A VEN's readings of a stretch, in the order of time.
_READINGS = """
INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, payload, received_at, lists_loads)
SELECT 'ven-' || v, t + v % 60 * interval '1 second', 1 + v % 7, 0, ('{"filler":"' || repeat('x', 900) || '"}')::json,
       now(), true
FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 second', $3::interval) AS t,
     generate_series(1, $4::integer) AS v
"""
_LISTS = """
INSERT INTO ven_load_lists (ven_id, ts, load_ids, used_power_kw)
SELECT ven_id, ts, array_agg('load-' || l), array_agg(l) FROM ven_telemetry, generate_series(1, $1::integer) AS l
GROUP BY ven_id, ts
ORDER BY ts, ven_id
"""
_NOTES = "INSERT INTO {} (ven_id, ts) SELECT ven_id, ts FROM ven_telemetry"


class Case(NamedTuple):
    """A backlog: how many VENs, of how many hours, with a reading every how many seconds."""

    name: str
    vens: int
    hours: int
    every: int


CASES = (
    Case("one VEN, a day at 5 s", 1, 24, 5),
    Case("all of 1,000 VENs, a day at 5 min", 1000, 24, 300),
    Case("1,000 VENs, a night at 60 s", 1000, 8, 60),
    Case("10,000 VENs, a night at 15 min", 10_000, 8, 900),
)


async def measure(server: EmbeddedPostgres, case: Case) -> tuple[int, float, float]:
    """Returns how many readings there are, and the seconds to count them for VENs and the network, and for loads."""
    with new_database(server.settings()) as db:
        migrate(db)
        connection = await leader_connection(db)
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        start = end - timedelta(hours=case.hours)
        for day in {start.date(), end.date()}:
            await connection.execute(
                "SELECT make_raw_day($1)", datetime(day.year, day.month, day.day, tzinfo=UTC)
            )
        await count(connection, end + timedelta(minutes=15))
        await connection.execute(_READINGS, start, end, timedelta(seconds=case.every), case.vens)
        await connection.execute(_LISTS, _LOADS)
        for table in ("late_readings", "late_lists"):
            await connection.execute(_NOTES.format(table))
        readings = 0
        began = time.perf_counter()
        while redone := await late.redo(connection):
            readings += redone
        counted = time.perf_counter()
        while await loads.redo(connection):
            pass
        ended = time.perf_counter()
        assert await tick.Counter().step(connection, end) is None
        await connection.close()
    return readings, counted - began, ended - counted


def run() -> None:
    """Measure and print."""
    table = Table(title=f"A backlog counted, {machine()}")
    for head in ("backlog", "readings", "VENs and network, s", "µs a reading", "loads, s", "µs a reading"):
        table.add_column(head, justify="left" if head == "backlog" else "right")
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        server = stack.enter_context(running(EmbeddedPostgres(directory / "pg")))
        for case in CASES:
            readings, vens, of_loads = asyncio.run(measure(server, case))
            per = [f"{seconds * 1e6 / readings:.1f}" for seconds in (vens, of_loads)]
            table.add_row(case.name, f"{readings:,}", f"{vens:.1f}", per[0], f"{of_loads:.1f}", per[1])
    Console(width=120).print(table)


if __name__ == "__main__":
    run()
