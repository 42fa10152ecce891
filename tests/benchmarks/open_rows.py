"""Whether `ven_open` grows: a fleet reports for an hour, and each tick of the leader updates a row of every VEN.

Readings go straight into the raw table, so that only the leader and autovacuum use the machine. They are dated two
seconds ahead, so that no tick has counted their time yet.
"""

import argparse
import time
from contextlib import ExitStack

import psycopg
from rich.console import Console
from rich.table import Table

from shared.config import Database, Ingest, Mqtt
from tests.benchmarks.cpu import leaders_seconds
from tests.benchmarks.database import migrated_database
from tests.benchmarks.machine import machine
from tests.support.servers import (
    Process,
    as_environment,
    free_port,
    temporary_directory,
    wait_until,
)

_EVERY_SECONDS, _SHOW_SECONDS = 5, 300
_READINGS = """
INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, payload, received_at, lists_loads)
SELECT 'ven-' || v, now() + interval '2 seconds', 1 + mod(v, 7), 0, '{}', now(), false
FROM generate_series(1, %s) AS v
"""
_SIZES = """
SELECT pg_relation_size('ven_open') / 1048576.0, pg_indexes_size('ven_open') / 1048576.0,
       n_dead_tup, autovacuum_count, n_tup_upd, n_tup_hot_upd,
       extract(epoch FROM now() - (SELECT watermark FROM rollup_state))
FROM pg_stat_user_tables WHERE relname = 'ven_open'
"""
_HEADS = ("minute", "table, MiB", "index, MiB", "dead rows", "vacuums", "updates", "HOT, %", "behind, s")


def soak(db: Database, vens: int, minutes: float) -> Table:
    """Returns a table of the size of ven_open and its updates, a row every five minutes."""
    table = Table(title=f"ven_open while {vens:,} VENs report every {_EVERY_SECONDS} s. {machine()}")
    for head in (*_HEADS, "counting, us a reading"):
        table.add_column(head, justify="right")
    began, shown, readings = time.monotonic(), 0.0, 0
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name, autocommit=True) as connection:
        while time.monotonic() < began + minutes * 60:
            due = time.monotonic() + _EVERY_SECONDS
            connection.execute(_READINGS, [vens])
            readings += vens
            if time.monotonic() - shown >= _SHOW_SECONDS:
                shown = time.monotonic()
                _show(table, connection, (shown - began) / 60, leaders_seconds(db) / readings)
            time.sleep(max(0.0, due - time.monotonic()))
        _show(table, connection, minutes, leaders_seconds(db) / readings)
    return table


def _begun(db: Database) -> bool:
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name) as connection:
        found = connection.execute("SELECT 1 FROM rollup_state WHERE isfinite(watermark)").fetchone()
        return found is not None


def _show(table: Table, connection: psycopg.Connection, minute: float, counting: float) -> None:
    row = connection.execute(_SIZES).fetchone()
    assert row is not None
    heap, index, dead, vacuums, updates, hot, behind = row
    table.add_row(
        *(f"{minute:.0f}", f"{heap:.1f}", f"{index:.1f}", f"{dead:,}", f"{vacuums}", f"{updates:,}"),
        *(f"{100 * hot / max(1, updates):.0f}", f"{behind:.1f}", f"{counting * 1e6:.1f}"),
    )


def main() -> None:
    """Parse the command line, soak, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vens", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        db = stack.enter_context(migrated_database())
        # Without a broker, the leader has ingest to itself.
        mqtt = Mqtt(host="127.0.0.1", port=free_port())
        env = as_environment(db, mqtt, Ingest(http_port=free_port()))
        process = Process(directory, "ingest", env=env)
        stack.callback(process.kill)
        wait_until(lambda: _begun(db), 30, process.output)
        Console(width=130).print(soak(db, options.vens, options.minutes))


if __name__ == "__main__":
    main()
