"""Rollups are exact, and the three traps that would make them wrong: transactions held open on purpose."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.message import Outcome
from ingest.partitions import Partitions, TooOldError
from ingest.upkeep import retention, rollup
from ingest.write.batch import Store
from shared import db
from shared.config import Database, Retention
from shared.db import Connection
from tests.support import model
from tests.support.model import R
from tests.support.samples import message, payload_of
from tests.support.servers import eventually

# Buckets closed for an hour, whatever the clock says.
START = int(time.time()) // 3600 * 3600 - 7200
NOW = datetime.fromtimestamp(START + 7200, UTC)


@asynccontextmanager
async def connecting(database: Database, count: int = 1) -> AsyncIterator[list[Connection]]:
    connections = [await db.connect(database, application=f"test-{n}") for n in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.terminate()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with connecting(database) as (made,):
        yield made


async def write(connection: Connection, *readings: R, store: Store | None = None) -> list[Outcome]:
    store = store or Store("test", Partitions())
    await store.prepare(connection)
    batch = [message("volttron/metering", payload_of(r), received_at=START + 7200) for r in readings]
    return await store.write(connection, batch)


async def network(connection: Connection, table: str = "network_power_5m") -> list[tuple[Any, ...]]:
    rows = await connection.fetch(
        f"SELECT extract(epoch FROM bucket)::bigint, used_kw, shed_kw, requested_kw, event_id, ven_count"
        f" FROM {table} ORDER BY bucket"
    )
    return [tuple(row) for row in rows]


def expected(readings: list[R], granularity: int) -> list[tuple[Any, ...]]:
    return [
        (
            p.start,
            pytest.approx(p.used),
            pytest.approx(p.shed),
            p.requested and pytest.approx(p.requested),
            p.event,
            p.vens,
        )
        for p in model.history(readings, granularity)
    ]


async def test_a_closed_bucket_holds_the_sum_of_the_vens_means(connection: Connection) -> None:
    readings = [
        R("a", START, 1.0, 0.5, 2.0, "e1", (("x", 0.25, 0.0),)),
        R("a", START + 60, 3.0, 0.5, 4.0, "e2", (("x", 0.75, 0.5),)),
        R("a", START + 120, 5.0),
        R("b", START + 299, 10.0, 0.0, 7.0, None),
    ]
    await write(connection, *readings)
    await rollup.roll_up(connection, NOW)
    # a: mean 3, asked (2 + 4) / 2; b: 10, and asks for nothing outside an event.
    assert await network(connection) == [(START, 13.0, pytest.approx(1 / 3), 3.0, "e2", 2)]
    assert await network(connection, "network_power_1m") == expected(readings, 60)
    loads = await connection.fetch("SELECT load_id, readings, used_sum_kw, shed_sum_kw FROM load_power_5m")
    assert [tuple(row) for row in loads] == [("x", 2, 1.0, 0.5)]


async def test_open_buckets_are_left_alone_until_they_close(connection: Connection) -> None:
    await write(connection, R("a", START, 1.0))
    await rollup.roll_up(connection, datetime.fromtimestamp(START + 300, UTC))
    assert await network(connection) == []
    await rollup.roll_up(connection, datetime.fromtimestamp(START + 300, UTC) + rollup.GRACE)
    assert [row[0] for row in await network(connection)] == [START]


async def test_late_rows_are_marked_in_their_transaction_and_redone(connection: Connection) -> None:
    early, late = (
        R("a", START, 1.0, loads=(("x", 1.0, 0.0),)),
        R("a", START + 30, 3.0, loads=(("x", 3.0, 0.0),)),
    )
    await write(connection, early, R("b", START, 1.0))
    await rollup.roll_up(connection, NOW)
    await write(connection, late)
    assert await connection.fetchval("SELECT count(*) FROM dirty_buckets") == 1
    await rollup.roll_up(connection, NOW)
    assert await connection.fetchval("SELECT count(*) FROM dirty_buckets") == 0
    assert await network(connection) == expected([early, late, R("b", START, 1.0)], 300)
    assert await connection.fetchval("SELECT used_sum_kw FROM load_power_5m") == 4.0


async def test_late_rows_of_a_month_that_was_never_rolled_up_are_redone_too(connection: Connection) -> None:
    await write(connection, R("a", START, 1.0))
    await rollup.roll_up(connection, NOW)
    await write(connection, late := R("a", START - 29 * 86400, 3.0))
    await rollup.roll_up(connection, NOW)
    assert [row[0] for row in await network(connection)] == [late.ts, START]


async def test_a_writer_that_spans_the_watermarks_move_is_waited_for(database: Database) -> None:
    async with connecting(database, 2) as (writer, leader):
        await write(writer, R("a", START, 1.0))
        held = writer.transaction()
        await held.start()
        # It has stored a row and read the old closing, and commits only after buckets were closed.
        await writer.execute(
            "INSERT INTO ven_telemetry VALUES ('b', to_timestamp($1), 5, 0, null, null, null, '{}', now())",
            START + 10,
        )
        rolling = asyncio.create_task(rollup.roll_up(leader, NOW))
        async with connecting(database) as (watcher,):
            await eventually(lambda: watcher.fetchval("SELECT closing > '-infinity' FROM rollup_state"))
            assert not await watcher.fetchval("SELECT isfinite(watermark) FROM rollup_state")
        await held.commit()
        await rolling
        assert await network(leader) == [(START, 6.0, 0.0, None, None, 2)]


async def test_a_mark_that_commits_after_the_leader_read_marks_survives(database: Database) -> None:
    async with connecting(database, 2) as (writer, leader):
        await write(writer, R("a", START, 1.0))
        await rollup.roll_up(leader, NOW)
        await write(writer, R("a", START + 10, 3.0))
        held = writer.transaction()
        await held.start()
        await write(writer, R("a", START + 20, 8.0))
        # The leader sees and settles the first mark alone; the second is still under its writer.
        assert await rollup.redo_dirty(leader) == 1
        assert await network(leader) == [(START, 2.0, 0.0, None, None, 1)]
        await held.commit()
        assert await rollup.redo_dirty(leader) == 1
        assert await network(leader) == [(START, 4.0, 0.0, None, None, 1)]


async def test_raw_days_go_only_when_rolled_up_and_later_rows_for_them_are_refused(
    connection: Connection,
) -> None:
    old = START - 10 * 86400
    await write(connection, R("a", old, 4.0), R("a", START, 1.0))
    limit = NOW - timedelta(days=5)
    await retention.drop_raw_days(connection, limit)
    assert await connection.fetchval("SELECT count(*) FROM ven_telemetry") == 2, "not rolled up yet"
    await rollup.roll_up(connection, NOW)
    await write(connection, R("a", old + 10, 6.0))
    await retention.drop_raw_days(connection, limit)
    assert await connection.fetchval("SELECT count(*) FROM ven_telemetry") == 1
    assert (await network(connection))[0] == (old // 300 * 300, 5.0, 0.0, None, None, 1), (
        "the late row counted"
    )
    with pytest.raises(TooOldError):
        await write(connection, R("a", old + 20, 9.0))
    await rollup.roll_up(connection, NOW)
    assert (await network(connection))[0][1] == 5.0


async def test_a_writer_with_rows_of_a_day_that_is_dropped_is_waited_for(database: Database) -> None:
    old = START - 10 * 86400
    async with connecting(database, 2) as (writer, leader):
        store = Store("test", Partitions())
        await write(writer, R("a", old, 4.0), store=store)
        await rollup.roll_up(leader, NOW)
        held = writer.transaction()
        await held.start()
        await write(writer, R("b", old, 6.0), store=store)
        dropping = asyncio.create_task(retention.drop_raw_days(leader, NOW - timedelta(days=5)))
        async with connecting(database) as (watcher,):
            await eventually(lambda: watcher.fetchval("SELECT isfinite(raw_from) FROM rollup_state"))
            assert await watcher.fetchval(
                "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ven_telemetry'::regclass"
            )
        await held.commit()
        await dropping
        assert (await network(leader))[0][1] == 10.0
        assert await leader.fetchval("SELECT count(*) FROM ven_telemetry") == 0


async def test_a_drop_cut_short_is_finished(connection: Connection) -> None:
    old = START - 10 * 86400
    await write(connection, R("a", old, 4.0), R("a", START, 1.0))
    await rollup.roll_up(connection, NOW)
    name = f"ven_load_samples_{datetime.fromtimestamp(old, UTC):%Y%m%d}"
    await connection.execute(f"COMMENT ON TABLE {name} IS 'expired'")
    await connection.execute(f"ALTER TABLE ven_load_samples DETACH PARTITION {name}")
    await retention.drop_raw_days(connection, NOW - timedelta(days=5))
    assert await connection.fetchval("SELECT to_regclass($1)", name) is None


async def test_everything_has_its_own_retention(connection: Connection) -> None:
    old = START - 20 * 86400
    await write(connection, R("a", old, 4.0, loads=(("x", 1.0, 0.0),)), R("a", START, 1.0))
    await rollup.roll_up(connection, NOW)
    await connection.execute(
        "INSERT INTO dead_letters (message_sha256, received_at, times_seen, topic, payload, payload_bytes, error)"
        " SELECT n::text::bytea, now() - n * interval '9 days', 1, 't', '', 0, 'e' FROM generate_series(0, 1) n"
    )
    keep = Retention(
        raw_retention_days=30,
        rollup_retention_days=10,
        load_rollup_retention_days=60,
        dead_letter_retention_days=5,
    )
    await retention.drop_expired(connection, NOW, keep)
    assert [row[0] for row in await network(connection)] == [START]
    assert await connection.fetchval("SELECT count(*) FROM dead_letters") == 1
    assert await connection.fetchval("SELECT count(*) FROM ven_telemetry") == 2
    assert await connection.fetchval("SELECT count(*) FROM load_power_5m") == 1


async def test_dead_letters_take_no_more_of_the_disk_than_they_may(connection: Connection) -> None:
    async def flood(first: int, last: int) -> None:
        for n in range(first, last):
            await connection.execute(
                "INSERT INTO dead_letters (message_sha256, received_at, times_seen, topic, payload, payload_bytes,"
                " error) VALUES ($1::int::text::bytea, now() + $1 * interval '1 s', 1, 't', $2, 90000, 'e')",
                n,
                random.randbytes(60_000),
            )

    async def kept() -> list[int]:
        rows = await connection.fetch(
            "SELECT convert_from(message_sha256, 'UTF8')::int FROM dead_letters ORDER BY 1"
        )
        return [row[0] for row in rows]

    limit = 50 * (60_000 + 1024)
    await flood(0, 40)
    assert await retention.trim_dead_letters(connection, limit) == 0
    await flood(40, 100)
    assert await retention.trim_dead_letters(connection, limit) == 50
    assert await kept() == list(range(50, 100))
    await retention.reuse_dead_letters(connection)
    size = await connection.fetchval("SELECT pg_total_relation_size('dead_letters')")
    await flood(100, 140)
    assert await retention.trim_dead_letters(connection, limit) == 40
    assert await kept() == list(range(90, 140))
    # The room of those that went is used again.
    assert await connection.fetchval("SELECT pg_total_relation_size('dead_letters')") < size * 1.2


async def test_a_rebuild_puts_right_what_was_damaged_and_takes_dirty_buckets_along(
    connection: Connection,
) -> None:
    readings = [
        R(v, START + 60 * n, n + len(v), loads=(("x", n, 0.0),)) for n in range(30) for v in ("a", "bb")
    ]
    await write(connection, *readings)
    await rollup.roll_up(connection, NOW)
    await write(connection, late := R("a", START + 5, 50.0))
    for table in ("network_power_5m", "network_power_1m", "ven_power_5m", "load_power_5m"):
        await connection.execute(f"DELETE FROM {table} WHERE bucket > to_timestamp({START + 900})")
    done: list[float] = []
    assert await rollup.rebuild(connection, None, None, done.append)
    assert done[-1] == 1.0
    assert await network(connection) == expected([*readings, late], 300)
    assert await network(connection, "network_power_1m") == expected([*readings, late], 60)
    assert await connection.fetchval("SELECT count(*) FROM load_power_5m") == 12
    assert await connection.fetchval("SELECT count(*) FROM dirty_buckets") == 0
