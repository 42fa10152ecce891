"""The plan of each hot query: through an index, and only in the partitions it needs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api.telemetry import queries
from api.telemetry.queries import SQL
from shared.config import Database
from shared.tiers import Kind
from tests.support.api_data import connected
from tests.support.plans import RAW, nodes, raw_rows
from tests.support.servers import new_database

# Two counted days and a third whose first hours are counted but for the last minutes.
DAY = datetime(2026, 7, 10, tzinfo=UTC)
WATERMARK = DAY + timedelta(hours=2, minutes=4)
CLOSED = DAY + timedelta(hours=2)
END = WATERMARK + timedelta(minutes=8)
START = DAY - timedelta(days=2)
TODAY = f"{DAY:%Y%m%d}"
ALL = (START, END, timedelta(minutes=15), None)

PARTITIONS = """
SELECT make_raw_day(day)
FROM generate_series(%(start)s::timestamptz, %(end)s::timestamptz + interval '2 days', '1 day') AS day;
SELECT make_rollup_month(%(start)s);
SELECT make_rollup_month(%(start)s::timestamptz - interval '1 month');
SELECT make_rollup_month(%(start)s::timestamptz + interval '1 month');
"""
ROWS = """
INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, payload, received_at)
SELECT 'v' || v, ts, 1, 0, ('"' || repeat('x', 200) || '"')::json, ts
FROM generate_series(%(start)s::timestamptz, %(end)s, '1 minute') AS ts, generate_series(1, 20) AS v;
INSERT INTO ven_load_lists (ven_id, ts, load_ids, used_power_kw)
SELECT 'v' || v, ts, '{l1,l2}', '{1,1}'
FROM generate_series(%(start)s::timestamptz, %(end)s, '1 minute') AS ts, generate_series(1, 20) AS v;
INSERT INTO vens (ven_id, first_seen_at, last_seen_at, telemetry_ts, loads_ts)
SELECT 'v' || v, %(start)s, now(), %(end)s, %(end)s FROM generate_series(1, 20) AS v;
INSERT INTO ven_loads (ven_id, load_id, ts, sampled)
SELECT 'v' || v, 'l' || l, %(start)s, true FROM generate_series(1, 20) AS v, generate_series(1, 2) AS l;
INSERT INTO network_power_1m SELECT bucket, 20, 0, 0, 20 * 60000000::bigint, 0, NULL
FROM generate_series(%(start)s::timestamptz, %(watermark)s::timestamptz - interval '1 minute', '1 minute') AS bucket;
INSERT INTO network_power_5m
SELECT date_bin('5 minutes', bucket, 'epoch'), sum(used_uwh), 0, 0, sum(covered_us), 0, NULL
FROM network_power_1m WHERE bucket < %(closed)s GROUP BY 1;
INSERT INTO network_power_15m
SELECT date_bin('15 minutes', bucket, 'epoch'), sum(used_uwh), 0, 0, sum(covered_us), 0, NULL
FROM network_power_1m WHERE bucket < %(closed)s GROUP BY 1;
INSERT INTO ven_power_5m
SELECT 'v' || v, bucket, 5, 5, 0, 1, 0, NULL FROM network_power_5m, generate_series(1, 20) AS v;
INSERT INTO ven_power_15m
SELECT 'v' || v, bucket, 5, 5, 0, 1, 0, NULL FROM network_power_15m, generate_series(1, 20) AS v;
INSERT INTO network_power_15m SELECT bucket, 20, 0, 0, 1, 0, NULL
FROM generate_series(%(start)s::timestamptz - interval '1 year', %(start)s::timestamptz - interval '15 minutes',
                     '15 minutes') AS bucket;
INSERT INTO load_power_5m SELECT ven_id, 'l' || l, bucket, 5, 5, 1 FROM ven_power_5m, generate_series(1, 2) AS l;
INSERT INTO load_power_15m SELECT ven_id, 'l' || l, bucket, 5, 5, 1 FROM ven_power_15m, generate_series(1, 2) AS l;
INSERT INTO ven_open
SELECT 'v' || v, %(watermark)s::timestamptz - interval '1 minute', %(watermark)s::timestamptz + interval '15 minutes',
       1, 0, NULL, %(watermark)s, %(closed)s, 0, 0, 0, 0, 0, NULL
FROM generate_series(1, 20) AS v;
UPDATE rollup_state SET closing = %(watermark)s, watermark = %(watermark)s, loads_watermark = %(closed)s,
    history_from = '-infinity', first_at = %(start)s;
"""
# VEN_OFFLINE_AFTER has changed every five hours, and the last time ten minutes before the end.
CHANGED_HOLDS = """
INSERT INTO holds
SELECT since, interval '960 s' FROM generate_series(%(start)s::timestamptz, %(watermark)s, '5 hours') AS since;
INSERT INTO holds VALUES (%(watermark)s::timestamptz - interval '2 minutes', '960 s');
"""
FIGURES = {"start": START, "end": END, "watermark": WATERMARK, "closed": CLOSED}


@pytest.fixture(scope="module")
def connection(postgres: Database, template: str) -> Iterator[psycopg.Connection]:
    """A connection that plans as the api's do, to three days of data."""
    with new_database(postgres, template) as database, connected(database) as made:
        made.cursor_factory = psycopg.ClientCursor
        made.execute(PARTITIONS + ROWS, FIGURES)
        made.execute("VACUUM ANALYZE")
        plan_as_the_api(made)
        yield made


def plan_as_the_api(connection: psycopg.Connection) -> None:
    """The settings of its sessions that plans depend on."""
    connection.execute("SET plan_cache_mode = force_generic_plan")
    connection.execute("SET jit = off")


def scans(connection: psycopg.Connection, query: str, *values: Any) -> list[tuple[str, str]]:
    """(kind of scan, table) of each scan that was executed."""
    return [
        (node["Node Type"], node.get("Relation Name") or node.get("Index Name", ""))
        for node in executed(connection, query, *values)
        if node["Actual Loops"] and "Scan" in node["Node Type"]
    ]


def rows_read(connection: psycopg.Connection, query: str, *values: Any) -> int:
    """How many raw rows were read, those that a filter left out too."""
    return raw_rows(executed(connection, query, *values))


def executed(connection: psycopg.Connection, query: str, *values: Any) -> list[dict[str, Any]]:
    """The nodes of the plan, as it was executed."""
    connection.execute(f"PREPARE q AS {query}".encode())
    try:
        return execute(connection, *values)
    finally:
        connection.execute("DEALLOCATE q")


def execute(connection: psycopg.Connection, *values: Any) -> list[dict[str, Any]]:
    """The same of the prepared statement q."""
    places = f"({', '.join(['%s'] * len(values))})" if values else ""
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE q{places}"
    row = connection.execute(explain.encode(), values or None).fetchone()
    assert row is not None
    return nodes(row[0])


def raw_scans(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of partitions of raw tables."""
    return [
        (kind, table)
        for kind, table in found
        if table.startswith(RAW) and not kind.startswith("Bitmap Index")
    ]


VEN, LOAD = ("v7",), ("v7", "l1")
HOT: dict[str, tuple[str, tuple[str, ...]]] = {
    "ven 5m as kept": (queries.VEN_AS_KEPT[300], VEN),
    "load 5m as kept": (queries.LOAD_AS_KEPT[300], LOAD),
    "ven 15m": (queries.VEN_TIERS[900], VEN),
    "ven 5m": (queries.VEN_TIERS[300], VEN),
    "load 15m": (queries.LOAD_TIERS[900], LOAD),
    "load 5m": (queries.LOAD_TIERS[300], LOAD),
}
# The same with the range of what is stored.
RANGED = {f"{name}, with the range": (queries.RANGE_AND[text], ids) for name, (text, ids) in HOT.items()}
# Readings of the 12 minutes that are open and the one before them; for a load, the samples of its VEN's two loads too.
OPEN_ROWS = {VEN: 13, LOAD: 13 * 3}
# The first and the last row after the tier's end; for a load, of its VEN's two.
RANGE_ROWS = {VEN: 2, LOAD: 2 * 2}
INDEXED = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}


def of(found: list[tuple[str, str]], table: str) -> list[tuple[str, str]]:
    """Those of a table and its partitions, or of their indexes."""
    return [(kind, scanned) for kind, scanned in found if scanned.startswith(table)]


@pytest.mark.parametrize("name", HOT)
def test_a_history_reads_raw_rows_only_of_what_is_open(connection: psycopg.Connection, name: str) -> None:
    statement, ids = HOT[name]
    raw = raw_scans(scans(connection, statement, *ALL, *ids))
    assert {table[-8:] for _, table in raw} == {TODAY}
    assert {kind for kind, _ in raw} <= INDEXED
    assert rows_read(connection, statement, *ALL, *ids) <= OPEN_ROWS[ids]


@pytest.mark.parametrize("name", RANGED)
def test_a_range_with_its_history_reads_hardly_more_raw_rows(
    connection: psycopg.Connection, name: str
) -> None:
    statement, ids = RANGED[name]
    raw = raw_scans(scans(connection, statement, *ALL, *ids))
    # The days ahead have partitions too, empty ones.
    assert all(table[-8:] >= TODAY for _, table in raw)
    assert {kind for kind, _ in raw} <= INDEXED
    assert rows_read(connection, statement, *ALL, *ids) <= OPEN_ROWS[ids] + RANGE_ROWS[ids]


@pytest.mark.parametrize("name", HOT)
def test_a_history_of_the_past_reads_no_raw_rows(connection: psycopg.Connection, name: str) -> None:
    statement, ids = HOT[name]
    assert raw_scans(scans(connection, statement, START, DAY, *ALL[2:], *ids)) == []


@pytest.mark.parametrize("name", [*HOT, *RANGED])
def test_a_plan_made_for_empty_tables_reads_no_more_rows(
    postgres: Database, template: str, name: str
) -> None:
    statement, ids = {**HOT, **RANGED}[name]
    extra = RANGE_ROWS[ids] if name in RANGED else 0
    with new_database(postgres, template) as database, connected(database) as connection:
        connection.cursor_factory = psycopg.ClientCursor
        connection.execute(PARTITIONS, FIGURES)
        plan_as_the_api(connection)
        connection.execute(f"PREPARE q AS {statement}".encode())
        execute(connection, *ALL, *ids)
        connection.execute(ROWS, FIGURES)
        assert raw_rows(execute(connection, *ALL, *ids)) <= OPEN_ROWS[ids] + extra
        assert raw_rows(execute(connection, START, DAY, *ALL[2:], *ids)) <= extra


@pytest.mark.parametrize("name", HOT)
def test_a_history_does_not_prepare_other_days(connection: psycopg.Connection, name: str) -> None:
    """To open the partitions of a month takes as long as all the rest, even if none is read."""
    statement, ids = HOT[name]
    span = (DAY - timedelta(hours=2), DAY - timedelta(hours=1), *ALL[2:])
    planned = {node.get("Relation Name", "") for node in executed(connection, statement, *span, *ids)}
    raw = {table[-8:] for table in planned if table.startswith(RAW)}
    assert raw == {f"{DAY - timedelta(days=n):%Y%m%d}" for n in (1, 2)}


@pytest.mark.parametrize("name", HOT)
def test_a_history_costs_the_same_after_changes_of_the_hold(
    connection: psycopg.Connection, name: str
) -> None:
    statement, ids = HOT[name]
    with connection.transaction(force_rollback=True):
        before = executed(connection, statement, *ALL, *ids)
        connection.execute(CHANGED_HOLDS, FIGURES)
        after = executed(connection, statement, *ALL, *ids)
    assert raw_rows(after) == raw_rows(before) <= OPEN_ROWS[ids]


@pytest.mark.parametrize("name", HOT)
def test_a_late_reading_costs_its_own_partition(connection: psycopg.Connection, name: str) -> None:
    statement, ids = HOT[name]
    late = DAY - timedelta(hours=5)
    with connection.transaction(force_rollback=True):
        for table in ("late_readings", "late_lists"):
            connection.execute(f"INSERT INTO {table} VALUES ('v7', %s)".encode(), [late])
        raw = raw_scans(scans(connection, statement, START, DAY, *ALL[2:], *ids))
    assert {table[-8:] for _, table in raw} == {f"{late:%Y%m%d}"}
    assert {kind for kind, _ in raw} <= INDEXED


@pytest.mark.parametrize("name", HOT)
def test_tiers_are_found_by_their_key(connection: psycopg.Connection, name: str) -> None:
    statement, ids = HOT[name]
    kind, width, *_ = name.split()
    tier = of(scans(connection, statement, *ALL, *ids), f"{kind}_power_{width}")
    assert {table for _, table in tier if not table.endswith("key")} <= {f"{kind}_power_{width}_20260701"}
    assert tier
    assert all(scan != "Seq Scan" for scan, _ in tier)


@pytest.mark.parametrize("width", [60, 300, 900])
def test_the_networks_tiers_are_read_by_time(connection: psycopg.Connection, width: int) -> None:
    span = (CLOSED - timedelta(hours=1), CLOSED, timedelta(minutes=15), None)
    found = scans(connection, queries.NETWORK_TIERS[width], *span)
    assert [kind for kind, _ in of(found, "network_power")] in (
        ["Index Scan"],
        ["Bitmap Heap Scan", "Bitmap Index Scan"],
    )
    assert raw_scans(found) == []


@pytest.mark.parametrize(
    ("statement", "ids"), [(queries.VEN_RAW, VEN), (queries.LOAD_RAW, LOAD), (queries.NETWORK_RAW, ())]
)
def test_raw_granularities_read_the_partitions_of_their_range(
    connection: psycopg.Connection, statement: str, ids: tuple[str, ...]
) -> None:
    start = DAY - timedelta(minutes=30)
    span = (start, DAY + timedelta(minutes=30), timedelta(seconds=30), None)
    raw = raw_scans(scans(connection, statement, *span, *ids))
    assert {table[-8:] for _, table in raw} == {f"{start:%Y%m%d}", TODAY}
    assert {kind for kind, _ in raw} <= INDEXED


def test_seconds_of_the_network_find_carries_by_key(connection: psycopg.Connection) -> None:
    span = (DAY + timedelta(hours=1), DAY + timedelta(hours=1, minutes=1), timedelta(seconds=1), None)
    read = rows_read(connection, queries.NETWORK_RAW, *span)
    # A minute's readings, and one before of each of 20 VENs.
    assert read <= 2 * 20 + 20


def test_the_networks_tail_reads_raw_rows_from_the_watermark_on(connection: psycopg.Connection) -> None:
    found = scans(connection, queries.NETWORK_LIVE, DAY)
    raw = raw_scans(found)
    # The days ahead have partitions too, empty ones.
    assert {table[-8:] for _, table in raw} >= {TODAY}
    assert all(table[-8:] >= TODAY for _, table in raw)
    assert {kind for kind, table in raw if table.endswith(TODAY)} <= INDEXED
    assert of(found, "ven_power") == []
    # 9 minutes of 20 VENs.
    assert rows_read(connection, queries.NETWORK_LIVE, DAY) <= 9 * 20


def test_the_networks_tail_needs_neither_vacuum_nor_statistics(postgres: Database, template: str) -> None:
    with new_database(postgres, template) as database, connected(database) as connection:
        connection.cursor_factory = psycopg.ClientCursor
        connection.execute(PARTITIONS, FIGURES)
        plan_as_the_api(connection)
        connection.execute(f"PREPARE q AS {queries.NETWORK_LIVE}".encode())
        execute(connection, DAY)
        connection.execute(ROWS, FIGURES)
        plan = execute(connection, DAY)
        assert raw_rows(plan) <= 9 * 20
        # Rows that an index leaves out are not in the plan: by the key, it would be walked whole.
        indexes = {node["Index Name"] for node in plan if "Index Name" in node}
        assert {name for name in indexes if name.startswith(f"ven_telemetry_{TODAY}")} == {
            f"ven_telemetry_{TODAY}_ts_idx"
        }


def test_what_is_before_a_range_is_found_by_key(connection: psycopg.Connection) -> None:
    ids: dict[Kind, tuple[str, ...]] = {"network": (), "ven": VEN, "load": LOAD}
    for kind, statement in queries.BEFORE.items():
        found = scans(connection, statement, DAY, *ids[kind])
        assert {scan for scan, _ in found} <= {"Index Scan", "Index Only Scan"}


@pytest.mark.parametrize(("name", "values"), [("ven_range", VEN), ("load_range", LOAD)])
def test_the_range_of_what_is_stored_is_at_ends_of_indexes(
    connection: psycopg.Connection, name: str, values: tuple[str, ...]
) -> None:
    found = scans(connection, SQL[name], *values)
    small = ("rollup_state", "late_", "vens", "ven_loads", "holds")
    assert {kind for kind, table in found if table and not table.startswith(small)} <= {
        "Index Only Scan",
        "Index Scan",
    }
    assert all(table[-8:] >= TODAY for _, table in raw_scans(found))


@pytest.mark.parametrize(
    ("name", "values"), [("ven_loads", ("v7",)), ("load_totals", (timedelta(minutes=5),))]
)
def test_the_loads_now_are_found_by_ven_and_time(
    connection: psycopg.Connection, name: str, values: tuple[Any, ...]
) -> None:
    found = scans(connection, SQL[name], *values)
    assert [table for _, table in raw_scans(found)] == [f"ven_load_lists_{TODAY}"]
    indexed = [table for kind, table in found if kind in ("Index Scan", "Bitmap Index Scan")]
    assert any(table.startswith(f"ven_load_lists_{TODAY}") for table in indexed)
    assert not any("_date_bin_idx" in table for table in indexed)
