"""What has outlived its retention is dropped, and nothing else."""

import asyncio
import random
from datetime import datetime, timedelta

import pytest

from ingest.partitions import Partitions, TooOldError
from ingest.upkeep import history, retention
from ingest.write.batch import Store
from shared.config import Database, Retention
from shared.db import Connection
from tests.ingest.upkeep.support import END, START, at, connecting, count, network, stored, write
from tests.support.model import R
from tests.support.servers import eventually

DAY = 86400
# Midnight of ten days ago, and a reading in that day.
OLD_DAY = (START - 10 * DAY) // DAY * DAY
OLD = OLD_DAY + 3600
LIMIT = at(END) - timedelta(days=5)


async def readings(connection: Connection) -> int:
    count: int = await connection.fetchval("SELECT count(*) FROM ven_telemetry")
    return count


async def drop_old_day(connection: Connection) -> None:
    """Store a reading in the old day, count it, and drop the day."""
    await write(connection, R("a", OLD, 4.0), R("a", START, 1.0))
    await count(connection)
    await retention.drop_raw_days(connection, LIMIT)


async def test_raw_days_stay_until_they_are_counted(connection: Connection) -> None:
    await write(connection, R("a", OLD, 4.0), R("a", START, 1.0))
    await retention.drop_raw_days(connection, LIMIT)
    assert await readings(connection) == 2
    await count(connection)
    await retention.drop_raw_days(connection, LIMIT)
    assert await readings(connection) == 1


async def test_what_is_late_is_counted_before_its_day_goes(connection: Connection) -> None:
    await write(connection, R("a", OLD, 4.0), R("a", START, 1.0))
    await count(connection)
    await write(connection, R("a", OLD + 60, 6.0))
    await retention.drop_raw_days(connection, LIMIT)
    assert await readings(connection) == 1
    used = sum(
        sums.used for key, sums in (await stored(connection, "network_power_5m")).items() if key[0] < 0
    )
    assert used == round(4.0 * 60e6 / 3.6) + round(6.0 * 960e6 / 3.6)


async def test_rows_for_a_day_that_went_are_refused(connection: Connection) -> None:
    await drop_old_day(connection)
    raw_from: datetime = await connection.fetchval("SELECT raw_from FROM rollup_state")
    assert raw_from == at(OLD_DAY + DAY + 960), "a hold after what is kept"
    for too_old in (OLD + 20, OLD_DAY + DAY + 959):
        with pytest.raises(TooOldError):
            await write(connection, R("a", too_old, 9.0))


async def test_late_rows_of_the_first_day_kept_are_counted(connection: Connection) -> None:
    await drop_old_day(connection)
    before = await stored(connection, "network_power_5m")
    await write(connection, R("a", OLD_DAY + DAY + 960, 6.0))
    await count(connection)
    assert len(await stored(connection, "network_power_5m")) > len(before)


async def test_a_redo_just_after_raw_from_has_what_came_before(connection: Connection) -> None:
    kept = OLD_DAY + DAY
    await write(connection, R("a", OLD, 4.0), R("a", kept + 30, 6.0), R("a", START, 1.0))
    await count(connection)
    await retention.drop_raw_days(connection, at(kept))
    await write(connection, R("a", kept + 961, 12.0))
    await count(connection)
    sums = (await stored(connection, "network_power_5m"))[(kept + 900 - START,)]
    # The reading of 30 s speaks until 961 s, though raw rows are only taken from 960 s on.
    assert sums.used == round(6e6 * 931 / 3.6) - round(6e6 * 870 / 3.6) + round(12e6 * 239 / 3.6)


async def test_raw_days_wait_for_older_history(connection: Connection) -> None:
    await write(connection, R("a", OLD, 4.0), R("a", START, 1.0))
    await count(connection)
    await connection.execute("UPDATE rollup_state SET history_from = $1", at(START))
    await retention.drop_raw_days(connection, LIMIT)
    assert await readings(connection) == 2
    backfill = history.Backfill(history.VENS)
    while await backfill.step(connection):
        pass
    await retention.drop_raw_days(connection, LIMIT)
    assert await readings(connection) == 1


async def test_a_writer_of_a_day_that_is_dropped_is_waited_for(database: Database) -> None:
    async with connecting(database, 3) as (writer, leader, watcher):
        store = Store("test", Partitions())
        await write(writer, R("a", OLD, 4.0), store=store)
        await count(leader)
        held = writer.transaction()
        await held.start()
        await write(writer, R("b", OLD, 6.0), store=store)
        dropping = asyncio.create_task(retention.drop_raw_days(leader, LIMIT))
        await eventually(lambda: watcher.fetchval("SELECT isfinite(raw_from) FROM rollup_state"))
        assert await watcher.fetchval(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ven_telemetry'::regclass"
        )
        await held.commit()
        await dropping
        assert sum(kwh for kwh, _ in (await network(leader)).values()) == pytest.approx(10 * 960 / 3600)
        assert await readings(leader) == 0


async def test_a_drop_cut_short_is_finished(connection: Connection) -> None:
    await write(connection, R("a", OLD, 4.0), R("a", START, 1.0))
    await count(connection)
    name = f"ven_load_lists_{at(OLD):%Y%m%d}"
    await connection.execute(f"COMMENT ON TABLE {name} IS 'expired'")
    await connection.execute(f"ALTER TABLE ven_load_lists DETACH PARTITION {name}")
    await retention.drop_raw_days(connection, LIMIT)
    assert await connection.fetchval("SELECT to_regclass($1)", name) is None


KEEP = Retention(
    raw_retention_days=15,
    fine_rollup_retention_days=35,
    load_rollup_retention_days=60,
    rollup_retention_days=200,
    dead_letter_retention_days=5,
)


async def test_each_tier_has_its_own_retention(connection: Connection) -> None:
    old = START - 100 * DAY
    await write(connection, R("a", START, 1.0))
    await count(connection)
    for table, ids in (("ven_power", "'a',"), ("load_power", "'a', 'x',"), ("network_power", "")):
        for width in (5, 15):
            await connection.execute("SELECT make_rollup_month($1)", at(old))
            sums = "1, 1, 1" if table == "load_power" else "1, 1, 1, 1, 1, null"
            await connection.execute(f"INSERT INTO {table}_{width}m VALUES ({ids} $1, {sums})", at(old))
    await retention.drop_expired(connection, at(END), KEEP)

    async def has(table: str) -> bool:
        found: bool = await connection.fetchval(
            f"SELECT EXISTS (SELECT 1 FROM {table} WHERE bucket = $1)", at(old)
        )
        return found

    assert not await has("network_power_5m")
    assert await has("network_power_15m")
    assert not await has("ven_power_5m")
    assert await has("ven_power_15m")
    assert not await has("load_power_5m")
    assert not await has("load_power_15m")


async def test_each_tier_begins_where_its_retention_says(connection: Connection) -> None:
    await write(connection, R("a", START, 1.0))
    await count(connection)
    await retention.drop_expired(connection, at(END), KEEP)
    bounds = await connection.fetchrow("SELECT fine_from, coarse_from, loads_from FROM rollup_state")
    assert bounds
    assert [(at(END) - bound).days for bound in bounds] == [35, 200, 60]


async def test_raw_days_go_after_their_retention(connection: Connection) -> None:
    await write(connection, R("a", START - 20 * DAY, 4.0), R("a", START - 10 * DAY, 4.0), R("a", START, 1.0))
    await count(connection)
    assert await readings(connection) == 3
    await retention.drop_expired(connection, at(END), KEEP)
    assert await readings(connection) == 2


async def test_dead_letters_go_after_their_retention(connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO dead_letters (message_sha256, received_at, times_seen, topic, payload, payload_bytes, error)"
        " SELECT n::text::bytea, now() - n * interval '9 days', 1, 't', '', 0, 'e' FROM generate_series(0, 1) n"
    )
    await retention.drop_expired(connection, at(END), KEEP)
    assert await connection.fetchval("SELECT message_sha256 FROM dead_letters") == b"0"
    assert await connection.fetchval("SELECT count(*) FROM dead_letters") == 1


# Enough for 50 of the dead letters of `flood`.
LETTERS_LIMIT = 50 * (60_000 + 1024)


async def flood(connection: Connection, first: int, last: int) -> None:
    """Store dead letters of 60 kB, numbered and a second apart."""
    for n in range(first, last):
        await connection.execute(
            "INSERT INTO dead_letters (message_sha256, received_at, times_seen, topic, payload, payload_bytes,"
            " error) VALUES ($1::int::text::bytea, now() + $1 * interval '1 s', 1, 't', $2, 90000, 'e')",
            n,
            random.randbytes(60_000),
        )


async def numbers(connection: Connection) -> list[int]:
    rows = await connection.fetch(
        "SELECT convert_from(message_sha256, 'UTF8')::int FROM dead_letters ORDER BY 1"
    )
    return [row[0] for row in rows]


async def test_dead_letters_within_the_limit_stay(connection: Connection) -> None:
    await flood(connection, 0, 40)
    assert await retention.trim_dead_letters(connection, LETTERS_LIMIT) == 0
    assert await numbers(connection) == list(range(40))


async def test_beyond_the_limit_the_dead_letters_seen_last_stay(connection: Connection) -> None:
    await flood(connection, 0, 100)
    assert await retention.trim_dead_letters(connection, LETTERS_LIMIT) == 50
    assert await numbers(connection) == list(range(50, 100))


async def test_the_space_of_trimmed_dead_letters_is_used_again(connection: Connection) -> None:
    await flood(connection, 0, 100)
    await retention.trim_dead_letters(connection, LETTERS_LIMIT)
    await retention.reuse_dead_letters(connection)
    size = await connection.fetchval("SELECT pg_total_relation_size('dead_letters')")
    await flood(connection, 100, 140)
    assert await retention.trim_dead_letters(connection, LETTERS_LIMIT) == 40
    assert await numbers(connection) == list(range(90, 140))
    assert await connection.fetchval("SELECT pg_total_relation_size('dead_letters')") < size * 1.2
