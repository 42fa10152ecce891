"""The plan of each hot query: through an index, and only in the partitions it needs."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api.telemetry.queries import HISTORY_SQL, SQL
from shared.config import Database
from tests.support.api_data import connected
from tests.support.servers import new_database

# Two closed days and a third whose first hours are rolled up but for the last minutes.
DAY = datetime(2026, 7, 10, tzinfo=UTC)
WATERMARK = DAY + timedelta(hours=2)
END = WATERMARK + timedelta(minutes=8)
START = DAY - timedelta(days=2)
TODAY = f"{DAY:%Y%m%d}"
RAW = ("ven_telemetry", "ven_load_samples")
ALL = (START, END, timedelta(minutes=15), None)

FILL = """
SELECT make_raw_day(day)
FROM generate_series(%(start)s::timestamptz, %(end)s::timestamptz + interval '2 days', '1 day') AS day;
SELECT make_rollup_month(%(start)s);
INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, payload, received_at)
SELECT 'v' || v, ts, 1, 0, ('"' || repeat('x', 200) || '"')::json, ts
FROM generate_series(%(start)s::timestamptz, %(end)s, '1 minute') AS ts, generate_series(1, 20) AS v;
INSERT INTO ven_load_samples (ven_id, ts, load_id, used_power_kw)
SELECT 'v' || v, ts, 'l' || l, 1
FROM generate_series(%(start)s::timestamptz, %(end)s, '1 minute') AS ts, generate_series(1, 20) AS v,
     generate_series(1, 2) AS l;
INSERT INTO vens (ven_id, first_seen_at, last_seen_at, telemetry_ts, loads_ts)
SELECT 'v' || v, %(start)s, now(), %(end)s, %(end)s FROM generate_series(1, 20) AS v;
INSERT INTO ven_loads (ven_id, load_id, ts, sampled)
SELECT 'v' || v, 'l' || l, %(start)s, true FROM generate_series(1, 20) AS v, generate_series(1, 2) AS l;
INSERT INTO network_power_5m SELECT bucket, 20, 0, NULL, NULL, 20
FROM generate_series(%(start)s::timestamptz, %(watermark)s::timestamptz - interval '5 minutes', '5 minutes') AS bucket;
INSERT INTO network_power_1m SELECT bucket, 20, 0, NULL, NULL, 20
FROM generate_series(%(start)s::timestamptz, %(watermark)s::timestamptz - interval '1 minute', '1 minute') AS bucket;
INSERT INTO ven_power_5m SELECT 'v' || v, bucket, 5, 5, 0 FROM network_power_5m, generate_series(1, 20) AS v;
INSERT INTO load_power_5m SELECT ven_id, 'l' || l, bucket, 5, 5, 0 FROM ven_power_5m, generate_series(1, 2) AS l;
UPDATE rollup_state SET closing = %(watermark)s, watermark = %(watermark)s;
"""


@pytest.fixture(scope="module")
def connection(postgres: Database, template: str) -> Iterator[psycopg.Connection]:
    """A connection that plans as the api's do, to three days of data."""
    with new_database(postgres, template) as database, connected(database) as made:
        made.cursor_factory = psycopg.ClientCursor
        made.execute(FILL, {"start": START, "end": END, "watermark": WATERMARK})
        made.execute("VACUUM ANALYZE")
        made.execute("SET plan_cache_mode = force_generic_plan")
        made.execute("SET jit = off")
        yield made


def scans(connection: psycopg.Connection, query: str, *values: Any) -> list[tuple[str, str]]:
    """(kind of scan, table) of each scan that was executed."""
    connection.execute(f"PREPARE q AS {query}".encode())
    try:
        places = f"({', '.join(['%s'] * len(values))})" if values else ""
        row = connection.execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE q{places}".encode(), values or None
        ).fetchone()
    finally:
        connection.execute("DEALLOCATE q")
    assert row is not None
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return [
        (node["Node Type"], node.get("Relation Name") or node.get("Index Name", ""))
        for node in _nodes(plan[0]["Plan"])
        if node["Actual Loops"] and "Scan" in node["Node Type"]
    ]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def raw_scans(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of partitions of raw tables."""
    return [
        (kind, table)
        for kind, table in found
        if table.startswith(RAW) and not kind.startswith("Bitmap Index")
    ]


HOT = {
    "network_5m": ALL,
    "network_1m": ALL[:3],
    "ven_5m": (*ALL, "v7"),
    "load_5m": (*ALL, "v7", "l1"),
}


@pytest.mark.parametrize("name", HOT)
def test_a_history_reads_raw_rows_only_after_the_watermark(connection: psycopg.Connection, name: str) -> None:
    raw = raw_scans(scans(connection, HISTORY_SQL[name], *HOT[name]))
    assert len(raw) == 1
    kind, table = raw[0]
    assert table.endswith(TODAY)
    assert kind in ("Index Scan", "Bitmap Heap Scan")


@pytest.mark.parametrize("name", HOT)
def test_a_history_of_the_past_reads_no_raw_rows(connection: psycopg.Connection, name: str) -> None:
    assert raw_scans(scans(connection, HISTORY_SQL[name], START, DAY, *HOT[name][2:])) == []


@pytest.mark.parametrize("name", HOT)
def test_a_dirty_bucket_costs_its_own_partition(connection: psycopg.Connection, name: str) -> None:
    bucket = DAY - timedelta(hours=5)
    with connection.transaction(force_rollback=True):
        connection.execute("INSERT INTO dirty_buckets (bucket, ven_id) VALUES (%s, 'v7')", [bucket])
        raw = raw_scans(scans(connection, HISTORY_SQL[name], START, DAY, *HOT[name][2:]))
    assert {table[-8:] for _, table in raw} == {f"{bucket:%Y%m%d}"}
    assert {kind for kind, _ in raw} <= {"Index Scan", "Bitmap Heap Scan"}


@pytest.mark.parametrize(("name", "table"), [("ven_5m", "ven_power_5m"), ("load_5m", "load_power_5m")])
def test_rollups_are_found_by_their_key(connection: psycopg.Connection, name: str, table: str) -> None:
    rollups = [
        (kind, of) for kind, of in scans(connection, HISTORY_SQL[name], *HOT[name]) if of.startswith(table)
    ]
    assert rollups
    assert all(kind != "Seq Scan" for kind, _ in rollups)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("network_raw", (timedelta(seconds=30),)),
        ("ven_raw", (timedelta(minutes=1), timedelta(minutes=1), "v7")),
        ("load_raw", (timedelta(minutes=1), timedelta(minutes=1), "v7", "l1")),
    ],
)
def test_raw_granularities_read_the_partitions_of_their_range(
    connection: psycopg.Connection, name: str, values: tuple[Any, ...]
) -> None:
    start = DAY - timedelta(minutes=30)
    raw = raw_scans(scans(connection, HISTORY_SQL[name], start, DAY + timedelta(minutes=30), *values))
    assert sorted(table[-8:] for _, table in raw) == [f"{start:%Y%m%d}", TODAY]
    assert {kind for kind, _ in raw} <= {"Index Scan", "Bitmap Heap Scan"}


@pytest.mark.parametrize(
    ("name", "values"), [("network_range", ()), ("ven_range", ("v7",)), ("load_range", ("v7", "l1"))]
)
def test_the_range_of_stored_data_is_found_at_the_ends_of_indexes(
    connection: psycopg.Connection, name: str, values: tuple[Any, ...]
) -> None:
    found = scans(connection, SQL[name], *values)
    small = ("rollup_state", "dirty_buckets", "vens", "ven_loads")
    assert {kind for kind, table in found if not table.startswith(small)} <= {"Index Only Scan", "Index Scan"}
    # The days ahead have partitions too, empty ones.
    assert all(table[-8:] >= TODAY for _, table in raw_scans(found))


@pytest.mark.parametrize(
    ("name", "values"), [("ven_loads", ("v7",)), ("load_totals", (timedelta(minutes=5),))]
)
def test_the_loads_now_are_found_by_ven_and_time(
    connection: psycopg.Connection, name: str, values: tuple[Any, ...]
) -> None:
    found = scans(connection, SQL[name], *values)
    assert [table for _, table in raw_scans(found)] == [f"ven_load_samples_{TODAY}"]
    indexed = [table for kind, table in found if kind in ("Index Scan", "Bitmap Index Scan")]
    assert any(table.startswith(f"ven_load_samples_{TODAY}") for table in indexed)
    assert not any("_ts_idx" in table and "_ven_id_ts_idx" not in table for table in indexed)
