"""What counting costs for a fleet that reports every quarter of an hour: CPU and WAL a day, loads included.

Readings are spread evenly over the quarter; the leader ticks every ten seconds, with a checkpoint every five minutes.
What VACUUM writes, and checkpoints that the size of the WAL forces, depend on the machine's speed: there are none.
"""

import argparse
import asyncio
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from ingest.database import leader_connection
from ingest.upkeep import loads, tick
from shared.commands.migrate import migrate
from shared.db import Connection
from shared.embedded.postgres import EmbeddedPostgres
from tests.benchmarks.machine import machine
from tests.support.servers import new_database, running, temporary_directory

_QUARTER, _TICK, _CHECKPOINT = timedelta(minutes=15), timedelta(seconds=10), timedelta(minutes=5)
_QUARTERS_A_DAY = 96
_READINGS = """
INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, payload, received_at, lists_loads)
SELECT 'ven-' || v, t, 1 + v % 7, 0, '{}', t, true
FROM (SELECT v, $1::timestamptz + interval '15 minutes' * (v - 1) / $2::integer AS t
      FROM generate_series(1, $2::integer) AS v) AS readings
"""
_LISTS = """
INSERT INTO ven_load_lists (ven_id, ts, load_ids, used_power_kw)
SELECT ven_id, ts, array_agg('load-' || l), array_agg(l) FROM ven_telemetry, generate_series(1, $2::integer) AS l
WHERE ts >= $1 AND ts < $1 + interval '15 minutes'
GROUP BY ven_id, ts
ORDER BY ts, ven_id
"""


async def fill(connection: Connection, start: datetime, vens: int, of_loads: int) -> None:
    """Store a reading of each VEN in the quarter of an hour that begins at `start`."""
    await connection.execute("SELECT make_raw_day($1)", start.replace(hour=0, minute=0))
    await connection.execute(_READINGS, start, vens)
    await connection.execute(_LISTS, start, of_loads)


async def count_quarter(connection: Connection, start: datetime) -> None:
    """Count a quarter of an hour as the leader would while it passes."""
    ticks, of_loads, at = tick.Counter(), loads.LoadCounter(), start
    while at < start + _QUARTER:
        at += _TICK
        await ticks.advance(connection, at)
        if (at - start) % _CHECKPOINT == timedelta(0):
            while await of_loads.step(connection):
                pass
            await connection.execute("CHECKPOINT")


async def measure(server: EmbeddedPostgres, vens: int, of_loads: int) -> None:
    """Count two quarters of an hour, so that every row exists, and measure the third."""
    with new_database(server.settings()) as db:
        migrate(db)
        connection = await leader_connection(db)
        now = datetime.now(UTC)
        first = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
        await tick.close(connection, first)
        await tick.begin(connection, first)
        for number in range(3):
            at = first + number * _QUARTER
            await fill(connection, at, vens, of_loads)
            await connection.execute("CHECKPOINT")
            before, began = await connection.fetchval("SELECT pg_current_wal_lsn()"), time.perf_counter()
            await count_quarter(connection, at)
        written = await connection.fetchval("SELECT pg_current_wal_lsn() - $1::pg_lsn", before)
        seconds = time.perf_counter() - began
        print(
            f"{vens:,} VENs x {of_loads} loads, a reading in 15 minutes. {machine()}\n"
            f"counting: {seconds * 1e6 / vens:.0f} us and {float(written) / vens:,.0f} bytes of WAL a message, "
            f"{float(written) * _QUARTERS_A_DAY / 2**30:.1f} GiB a day; "
            f"ven_open has {await connection.fetchval(_SIZE) / 2**20:.0f} MiB"
        )
        await connection.close()


_SIZE = "SELECT pg_total_relation_size('ven_open')"


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vens", type=int, default=100_000)
    parser.add_argument("--loads", type=int, default=8)
    parser.add_argument("--compress", choices=("off", "pglz"), default="off", help="wal_compression")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        steady = {"autovacuum": "off", "max_wal_size": "64GB", "checkpoint_timeout": "1h"}
        postgres = EmbeddedPostgres(directory / "pg", {**steady, "wal_compression": options.compress})
        server = stack.enter_context(running(postgres))
        asyncio.run(measure(server, options.vens, options.loads))


if __name__ == "__main__":
    main()
