"""How long a migration that carries rows over stops ingest: 0026, from a row for each load to a row for each list.

Alone: `python -m tests.benchmarks.carry_over`. The schema goes back to what it was before, a day of readings is stored
in it, and then it is migrated.
"""

import argparse
import time

import psycopg

from shared.commands.migrate import migrate, migration_ids
from shared.config import Database
from tests.benchmarks.database import migrated_database
from tests.benchmarks.machine import machine

_DAY = "2026-07-10 00:00Z"
_FILL = (
    "SELECT make_raw_day(%(day)s::timestamptz)",
    """INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, payload, received_at, lists_loads)
       SELECT 'ven-' || lpad(v::text, 5, '0'), t + v * interval '1 ms', 5, 0, '{}', t, true
       FROM generate_series(%(day)s::timestamptz, %(day)s::timestamptz + interval '24 hours' - interval '1 us',
                            interval '24 hours' / %(each)s) AS t,
            generate_series(1, %(vens)s) AS v
       ORDER BY t, v""",
    """INSERT INTO ven_load_samples
       SELECT ven_id, ts, 'load-' || l, 'water_heater', 'Load number ' || l, l, 0, 0.5, 7.5
       FROM ven_telemetry, generate_series(1, 8) AS l""",
    "VACUUM (ANALYZE)",
)


def fill(db: Database, vens: int, each: int) -> None:
    """Store a day of `each` readings of each VEN, with eight loads."""
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name, autocommit=True) as connection:
        for statement in _FILL:
            values = {"day": _DAY, "vens": vens, "each": each}
            connection.execute(statement, values if "%(" in statement else None)


def main() -> None:
    """Fill, migrate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vens", type=int, default=10_000)
    parser.add_argument("--each", type=int, default=96, help="readings of a VEN")
    options = parser.parse_args()
    with migrated_database() as db:
        migrate(db, rollback=len([name for name in migration_ids() if name >= "0026"]))
        fill(db, options.vens, options.each)
        began = time.monotonic()
        migrate(db)
        seconds = time.monotonic() - began
    lists = options.vens * options.each
    print(
        f"{lists:,} lists of 8 loads in {seconds:.0f} s: {1e6 * seconds / lists:.0f} us a list. {machine()}"
    )


if __name__ == "__main__":
    main()
