"""Closed time is counted again: on request, and after an older version."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ingest.upkeep import history
from shared import tiers
from shared.commands.migrate import migrate, migration_ids
from shared.config import Database
from shared.db import Connection
from tests.ingest.upkeep.support import END, START, at, connecting, count, network, stored, write
from tests.support.model import R
from tests.support.servers import new_database

LOADS = [tier.table("load") for tier in tiers.of("load")]
# How many ids their rows begin with.
OTHERS = {
    **{tier.table("network"): 0 for tier in tiers.of("network")},
    **{tier.table("ven"): 1 for tier in tiers.of("ven")},
}
READINGS = [
    R(v, START + 60 * n, n + len(v), 0.5, 1.0, "e" if n % 3 else None, (("x", n, 0.5),))
    for n in range(60)
    for v in ("a", "bb")
]


async def everything(connection: Connection) -> dict[str, object]:
    tables: dict[str, object] = {table: await stored(connection, table, ids) for table, ids in OTHERS.items()}
    for table in LOADS:
        rows = await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        tables[table] = [tuple(row) for row in rows]
    return tables


async def test_a_rebuild_gives_the_same_to_the_last_digit(connection: Connection) -> None:
    await write(connection, *READINGS)
    await count(connection, START + 3600 + 400)
    expected = await everything(connection)
    for table in tiers.TABLES:
        await connection.execute(
            f"DELETE FROM {table} WHERE bucket >= $1 AND bucket < $2", at(START + 600), at(START + 3300)
        )
    await connection.execute("UPDATE ven_power_5m SET used_uwh = used_uwh + 5")
    assert await history.rebuild(connection, None, None, lambda _: None)
    assert await everything(connection) == expected


async def test_a_rebuild_tells_its_progress_and_its_range(connection: Connection) -> None:
    await write(connection, *READINGS)
    await count(connection, START + 3600 + 400)
    parts: list[float] = []
    assert await history.rebuild(connection, None, None, parts.append) == (at(START), at(START + 3900))
    assert parts == sorted(parts)
    assert parts[-1] == 1.0


async def test_counting_goes_on_after_a_rebuild(connection: Connection) -> None:
    await write(connection, *READINGS)
    await count(connection, START + 3600 + 400)
    await history.rebuild(connection, None, None, lambda _: None)
    await count(connection)
    assert (await network(connection))[3900]


async def test_a_rebuild_leaves_what_is_late_to_the_leader(connection: Connection) -> None:
    await write(connection, *READINGS)
    await count(connection)
    before = await everything(connection)
    await write(connection, R("a", START + 30, 50.0))
    assert await history.rebuild(connection, None, None, lambda _: None)
    assert await everything(connection) == before


async def test_a_rebuild_counts_what_was_late_and_is_counted(connection: Connection) -> None:
    await write(connection, *READINGS)
    await count(connection)
    before = await everything(connection)
    await write(connection, R("a", START + 30, 50.0))
    await count(connection)
    counted = await everything(connection)
    assert counted != before
    assert await history.rebuild(connection, None, None, lambda _: None)
    assert await everything(connection) == counted


async def test_nothing_to_rebuild(connection: Connection) -> None:
    assert await history.rebuild(connection, None, None, lambda _: None) is None


@asynccontextmanager
async def _migrated_from_before(postgres: Database) -> AsyncIterator[Connection]:
    """A database that a version before 0006 filled, and that is migrated since."""
    newer = [name for name in migration_ids() if name > "0006"]
    with new_database(postgres) as database:
        migrate(database)
        migrate(database, rollback=len(newer))
        async with connecting(database) as (connection,):
            await _store_as_before(connection)
        migrate(database)
        async with connecting(database) as (connection,):
            yield connection


async def test_older_rollups_are_carried_over_as_mean_times_width(postgres: Database) -> None:
    async with _migrated_from_before(postgres) as connection:
        state = await connection.fetchrow("SELECT watermark, history_from FROM rollup_state")
        assert state is not None
        assert state["watermark"] == state["history_from"] == at(START + 3600)
        carried = await network(connection)
        assert carried[-86400] == pytest.approx((2.0, 600.0))
        assert carried[0] == pytest.approx((1.0, 600.0))


async def test_older_history_is_counted_again_from_raw_rows(postgres: Database) -> None:
    async with _migrated_from_before(postgres) as connection:
        await count(connection, START + 4000)
        for kind in (history.VENS, history.LOADS):
            backfill = history.Backfill(kind)
            while await backfill.step(connection):
                pass
        assert await connection.fetchval("SELECT history_from = '-infinity' FROM rollup_state")
        counted = await network(connection)
        # What lies before the first raw row stays as it was carried over.
        assert counted[-86400] == pytest.approx((2.0, 600.0))
        # a: 6 kW from the start on, b: 12 kW from 200 s on.
        assert counted[0] == pytest.approx((0.5 + 12 * 100 / 3600, 400.0))
        loads_of = await connection.fetch("SELECT used_uwh FROM load_power_5m WHERE bucket = $1", at(START))
        assert [row["used_uwh"] for row in loads_of] == [500_000_000]


async def _store_as_before(connection: Connection) -> None:
    """Raw rows and rollups as versions before 0006 stored them."""
    for moment in (at(START), at(START - 86400)):
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        await connection.execute("SELECT make_raw_day($1)", day)
        await connection.execute("SELECT make_rollup_month($1)", moment)
    for ven, ts, kw in (("a", START, 6.0), ("b", START + 200, 12.0), ("a", START + 3500, 6.0)):
        await connection.execute(
            "INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, payload, received_at)"
            " VALUES ($1, $2, $3, 0, '{}', now())",
            ven,
            at(ts),
            kw,
        )
        await connection.execute(
            "INSERT INTO ven_load_samples (ven_id, ts, load_id, used_power_kw) SELECT $1, $2, 'x', $3 WHERE $1 = 'a'",
            ven,
            at(ts),
            kw,
        )
    for bucket, kw in ((START - 86400, 12.0), (START, 6.0)):
        for ven in ("a", "b"):
            await connection.execute(
                "INSERT INTO ven_power_5m VALUES ($1, $2, 2, $3, 0, null, null)", ven, at(bucket), 2 * kw
            )
    await connection.execute("INSERT INTO network_power_5m VALUES ($1, 12, 0, null, null, 2)", at(START))
    await connection.execute("UPDATE rollup_state SET closing = $1, watermark = $1", at(START + 3600))


async def test_the_migration_can_be_taken_back(postgres: Database) -> None:
    newer = [name for name in migration_ids() if name > "0006"]
    with new_database(postgres) as database:
        migrate(database)
        async with connecting(database) as (connection,):
            await write(connection, *READINGS)
            await count(connection, END)
        migrate(database, rollback=len(newer))
        async with connecting(database) as (connection,):
            mean = await connection.fetchval(
                "SELECT used_sum_kw / readings FROM ven_power_5m WHERE ven_id = 'a' AND bucket = $1",
                at(START),
            )
            assert mean == pytest.approx((1 + 2 + 3 + 4 + 5) / 5)
            assert await connection.fetchval("SELECT count(*) FROM load_power_5m") > 20
        migrate(database)
        async with connecting(database) as (connection,):
            assert (await network(connection))[0][0] == pytest.approx((3 + 3.5) * 300 / 3600, abs=0.1)
