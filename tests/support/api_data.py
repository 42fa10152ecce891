"""Rows for tests of the api, put into its tables by plain SQL. Times are s since the epoch."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ingest.database import leader_connection
from ingest.upkeep import late as late_readings
from ingest.upkeep import loads
from ingest.upkeep.tick import Counter
from shared.config import Database
from tests.support.model import R
from tests.support.servers import connect

HOUR, DAY = 3600, 86400


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def iso(seconds: float) -> str:
    return f"{at(seconds):%Y-%m-%dT%H:%M:%SZ}"


@contextmanager
def connected(database: Database) -> Iterator[psycopg.Connection]:
    with connect(database, autocommit=True) as connection:
        yield connection


def execute(database: Database, statement: str, *values: Any) -> None:
    """Run one statement, `%s` for each value."""
    with connected(database) as connection:
        connection.execute(statement.encode(), values or None)


def store(database: Database, readings: Iterable[R], *, late: bool = False) -> None:
    """Store readings with their loads, as ingest would; `late`: also note that they came late."""
    readings = list(readings)
    with connected(database) as connection:
        for day in sorted({r.ts // DAY for r in readings}):
            connection.execute("SELECT make_raw_day(%s)", [at(day * DAY)])
        cursor = connection.cursor()
        cursor.executemany(
            _TELEMETRY,
            [(r.ven, at(r.ts), r.used, r.shed, r.requested, r.event, r.loads is not None) for r in readings],
        )
        with_lists = [(r, r.loads) for r in readings if r.loads is not None]
        if with_lists:
            cursor.executemany(_LIST, [(r.ven, at(r.ts), *_arrays(loads)) for r, loads in with_lists])
            known = [(r.ven, load, at(r.ts)) for r, loads in with_lists for load, *_ in loads]
            if known:
                cursor.executemany(_KNOWN, known)
        cursor.executemany(_VEN, [_ven(r) for r in readings])
        if late:
            cursor.executemany(
                "INSERT INTO late_readings VALUES (%s, %s)", [(r.ven, at(r.ts)) for r in readings]
            )
            lists = [(r.ven, at(r.ts)) for r in readings if r.loads is not None]
            cursor.executemany("INSERT INTO late_lists VALUES (%s, %s)", lists)


def _arrays(loads: Iterable[tuple[str, float, float]]) -> Iterator[list[Any]]:
    """The loads' ids, used powers and shed powers."""
    rows = [(load, float(used), float(shed)) for load, used, shed in loads]
    return ([row[column] for row in rows] for column in range(3))


def _ven(r: R) -> tuple[Any, ...]:
    loads_ts = None if r.loads is None else at(r.ts)
    return r.ven, at(r.ts), r.used, r.shed, r.requested, r.event, loads_ts


async def roll_up(database: Database, until: float) -> None:
    """Do the leader's work: count everything before `until`, and what came late."""
    connection = await leader_connection(database)
    try:
        await Counter().advance(connection, at(until))
        while await late_readings.redo(connection):
            pass
        counter = loads.LoadCounter()
        while await counter.step(connection):
            pass
        while await loads.redo(connection):
            pass
    finally:
        await connection.close()


def hold(database: Database, seconds: float, since: float | None = None) -> None:
    """Let readings from `since` on (None: all) speak for `seconds`."""
    execute(
        database,
        "INSERT INTO holds VALUES (%s, make_interval(secs => %s))"
        " ON CONFLICT (since) DO UPDATE SET hold = excluded.hold",
        "-infinity" if since is None else at(since),
        seconds,
    )


def drop_raw(database: Database, before: int) -> None:
    """Delete raw rows before a UTC midnight, as retention does: raw data then begins a hold later."""
    assert before % DAY == 0
    with connected(database) as connection:
        connection.execute(
            "UPDATE rollup_state SET raw_from = %s + (SELECT max(hold) FROM holds)", [at(before)]
        )
        for table in ("ven_telemetry", "ven_load_lists"):
            connection.execute(f"DELETE FROM {table} WHERE ts < %s".encode(), [at(before)])


def drop_fine(database: Database, before: int) -> None:
    """Delete rows of 1 and 5 minutes before a time, as retention does."""
    with connected(database) as connection:
        connection.execute("UPDATE rollup_state SET fine_from = %s", [at(before)])
        for table in ("network_power_1m", "network_power_5m", "ven_power_5m", "load_power_5m"):
            connection.execute(f"DELETE FROM {table} WHERE bucket < %s".encode(), [at(before)])


def ven(database: Database, ven_id: str, **columns: Any) -> None:
    """A row of `vens`, online unless the columns say otherwise; "ago" columns count s back from now."""
    times = {
        "first_seen_at": ago(DAY),
        "last_seen_at": ago(0),
        "telemetry_ts": ago(0),
        "telemetry_received_at": ago(0),
    }
    _insert(database, "vens", {"ven_id": ven_id, **times, **columns})


def load(database: Database, ven_id: str, load_id: str, **columns: Any) -> None:
    """A row of `ven_loads`."""
    _insert(
        database,
        "ven_loads",
        {"ven_id": ven_id, "load_id": load_id, "ts": ago(DAY), "sampled": True, **columns},
    )


def sample(database: Database, ven_id: str, load_id: str, ts: datetime, **columns: Any) -> None:
    """A row of `ven_load_samples`: a load of the list of its VEN and time."""
    execute(database, "SELECT make_raw_day(%s)", ts.replace(hour=0, minute=0, second=0, microsecond=0))
    execute(database, _SAMPLE, ven_id, ts, load_id, *map(columns.get, _SAMPLE_COLUMNS))


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def _insert(database: Database, table: str, columns: dict[str, Any]) -> None:
    names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
    execute(database, f"INSERT INTO {table} ({names}) VALUES ({places})", *columns.values())


_TELEMETRY = """
INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, requested_reduction_kw, event_id,
                           lists_loads, payload, received_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, '{}', now())
"""
_LIST = """
INSERT INTO ven_load_lists (ven_id, ts, load_ids, used_power_kw, shed_power_kw)
VALUES (%s, %s, %s, %s::float8[], %s::float8[])
"""
_SAMPLE = """
INSERT INTO ven_load_lists AS l
VALUES (%s, %s, ARRAY[%s], ARRAY[%s], ARRAY[%s], ARRAY[%s::float8], ARRAY[%s::float8], ARRAY[%s::float8],
        ARRAY[%s::float8])
ON CONFLICT (ven_id, ts) DO UPDATE SET
    load_ids = l.load_ids || excluded.load_ids, load_types = l.load_types || excluded.load_types,
    names = l.names || excluded.names, used_power_kw = l.used_power_kw || excluded.used_power_kw,
    shed_power_kw = l.shed_power_kw || excluded.shed_power_kw,
    shed_capability_kw = l.shed_capability_kw || excluded.shed_capability_kw,
    capacity_kw = l.capacity_kw || excluded.capacity_kw
"""
_SAMPLE_COLUMNS = ("load_type", "name", "used_power_kw", "shed_power_kw", "shed_capability_kw", "capacity_kw")
_KNOWN = """
INSERT INTO ven_loads (ven_id, load_id, ts, sampled) VALUES (%s, %s, %s, true) ON CONFLICT DO NOTHING
"""
_VEN = """
INSERT INTO vens (ven_id, first_seen_at, last_seen_at, telemetry_ts, used_power_kw, shed_power_kw,
                  requested_reduction_kw, event_id, loads_ts, telemetry_received_at)
VALUES (%s, now(), now(), %s, %s, %s, %s, %s, %s, now())
ON CONFLICT (ven_id) DO UPDATE SET
    telemetry_ts = excluded.telemetry_ts, used_power_kw = excluded.used_power_kw,
    shed_power_kw = excluded.shed_power_kw, requested_reduction_kw = excluded.requested_reduction_kw,
    event_id = excluded.event_id, loads_ts = coalesce(excluded.loads_ts, vens.loads_ts)
WHERE excluded.telemetry_ts > vens.telemetry_ts OR vens.telemetry_ts IS NULL
"""
