"""The api and its database: it can only read, and a database in trouble is a 503 in bounded time."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import asyncpg
import msgspec
import psutil
import pytest

from api import database as pool
from api.database import Database as Pool
from api.telemetry import history
from api.web.errors import UnavailableError
from shared.commands.migrate import migrate
from shared.config import Api, Database
from shared.embedded.postgres import EmbeddedPostgres
from tests.support import servers
from tests.support.api_client import Client, serving
from tests.support.api_data import connected, execute, roll_up, store
from tests.support.model import R

TELEMETRY = (
    "/api/stats/network",
    "/api/stats/loads",
    "/api/stats/network/history",
    "/api/vens/a/history",
    "/api/vens/a/loads",
    "/api/vens/a/loads/l/history",
)
# Figures of the network are answered for a moment from what was computed before.
UNSHARED = tuple(path for path in TELEMETRY if not path.startswith("/api/stats/"))


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Client]:
    async with serving(database) as client:
        yield client


def pool_of(api: Client) -> Pool:
    found: Pool = api.app.state.services.get(Pool)
    return found


async def test_a_healthy_database(api: Client) -> None:
    assert (await api.get("/health/db-check")).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "before", ["SELECT 1", "RESET ALL", "RESET ROLE", "SET default_transaction_read_only = on"]
)
async def test_a_write_through_the_apis_own_connections_fails(api: Client, before: str) -> None:
    its = pool_of(api)
    await its.fetch(before)
    row = await its.fetchrow(
        "SELECT current_user AS role, current_setting('default_transaction_read_only') AS read_only"
    )
    assert row is not None
    assert (row["role"], row["read_only"]) == ("ecs_api", "on")
    for write in (
        "INSERT INTO vens (ven_id, first_seen_at) VALUES ('x', now())",
        "DELETE FROM vens",
        "CREATE TABLE t ()",
    ):
        with pytest.raises((asyncpg.ReadOnlySQLTransactionError, UnavailableError)):
            await its.fetch(write)


async def test_a_write_fails_even_in_a_transaction_that_may_write(database: Database) -> None:
    one = msgspec.structs.replace(database, pool_max=1)
    async with serving(one) as api, pool_of(api)._connection() as connection:
        await connection.execute("BEGIN READ WRITE")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM vens")
        await connection.execute("ROLLBACK")


async def session_of(its: Pool) -> tuple[object, ...]:
    """What a session of the pool is: who, how long it may take, whether it may write; the pool has just one."""
    row = await its.fetchrow(
        "SELECT current_user, current_setting('statement_timeout'), current_setting('transaction_read_only'),"
        " current_setting('default_transaction_read_only'), current_setting('timezone')"
    )
    assert row is not None
    return tuple(row)


async def test_no_request_changes_the_session_it_uses(database: Database) -> None:
    store(database, [R("a", 1_783_684_800, 1, loads=(("l", 1, 0),))])
    one = msgspec.structs.replace(database, pool_max=1)
    async with serving(one, api=Api(statement_timeout=0.3)) as api:
        its = pool_of(api)
        wanted = ("ecs_api", "300ms", "on", "on", "UTC")
        assert await session_of(its) == wanted
        for path in (*TELEMETRY, *(path.replace("/a/", "/'; SET ROLE postgres; --/") for path in TELEMETRY)):
            for query in (
                "",
                "?granularity=1d&timezone=Asia/Kolkata",
                "?fill=locf&start=1",
                "?start=';RESET ALL",
            ):
                await api.get(f"{path}{query}")
                assert await session_of(its) == wanted
        with connected(database) as connection, connection.transaction():
            connection.execute("LOCK TABLE ven_telemetry, vens IN ACCESS EXCLUSIVE MODE")
            assert (await api.get("/api/vens/a/history")).status_code == 503
            gone = asyncio.create_task(api.get("/api/vens/a/history"))
            await servers.eventually(lambda: its.in_use == 1)
            gone.cancel()
            await asyncio.wait([gone])
        assert await session_of(its) == wanted


@pytest.mark.parametrize(
    "query",
    [
        "",
        "granularity=5m",
        "granularity=15m",
        "granularity=1h&timezone=Asia/Kolkata",
        "granularity=10s",
        "granularity=1mo",
        "start=1970-01-01",
        "start={middle}",
        "end={middle}",
        "start={middle}&end={last}",
        "start={middle}&end={last}&granularity=10s",
        "fill=null",
        "fill=null&end={last}",
    ],
)
@pytest.mark.parametrize("of", ["", "loads/l/"])
async def test_a_history_is_one_round_trip(
    database: Database, monkeypatch: pytest.MonkeyPatch, of: str, query: str
) -> None:
    """For two VENs, one of which is younger than the fleet, with counted, late and not yet counted readings."""
    last = time.time() // 60 * 60
    times = [last - 120 * n for n in range(60)]
    readings = [R(ven, int(at), n, 0, loads=(("l", n, 0),)) for n, at in enumerate(times) for ven in "ab"]
    store(database, [each for each in readings if each.ven == "b" or each.ts > times[40]])
    await roll_up(database, times[10])
    store(database, [R("a", int(times[30]) + 7, 50, loads=(("l", 9, 0),))], late=True)
    asked = query.format(middle=int(times[20]), last=int(last))
    paths = [f"/api/vens/{ven}/{of}history?{asked}" for ven in "ab"]
    async with serving(msgspec.structs.replace(database, pool_max=1)) as api:
        async with pool_of(api)._connection() as connection:
            queries: list[str] = []
            connection.add_query_logger(lambda query: queries.append(query.query))
        for path in paths:
            whole, found, began = {}, {}, None
            # Until no bucket begins between the two.
            while began != (began := time.time() // 10):
                with monkeypatch.context() as patched:
                    patched.setattr(history, "_likely", lambda *_: None)
                    whole = (await api.get(path)).json()
                queries.clear()
                found = (await api.get(path)).json()
                assert len(queries) == 1, queries
            assert found["granularity"] == whole["granularity"]
            # The open bucket goes on.
            assert found["points"][:-1] == whole["points"][:-1]
            assert len(found["points"]) == len(whole["points"])


@pytest.mark.parametrize(("fleet", "own", "finer", "coarser"), [(60, 1, "5m", "15m"), (200, 60, "15m", "1h")])
async def test_a_ven_younger_than_the_fleet_gets_its_own_granularity(
    database: Database, fleet: int, own: int, finer: str, coarser: str
) -> None:
    """Ages in days. In the second case both granularities are made of the same tier."""
    day, now = 86_400, int(time.time())
    ages = {"old": fleet, "young": own}
    store(
        database,
        [R(ven, now - age * day, 1) for ven, age in ages.items()] + [R(ven, now - 600, 1) for ven in ages],
    )
    await roll_up(database, now - 60)
    async with serving(database) as api:
        for ven, granularity in (("young", finer), ("old", coarser)):
            found = (await api.get(f"/api/vens/{ven}/history")).json()
            asked = (await api.get(f"/api/vens/{ven}/history?granularity={granularity}")).json()
            assert found["granularity"] == granularity
            assert found["points"][:-1] == asked["points"][:-1] != []


async def test_no_more_connections_than_the_setting_allows(database: Database) -> None:
    async with serving(msgspec.structs.replace(database, pool_max=2)) as api:
        await asyncio.gather(*(api.get("/api/vens/a/loads") for _ in range(20)))
        with connected(database) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'ecs-api'",
                [database.name],
            ).fetchone()
        assert row == (2,)


async def test_when_every_connection_is_busy_the_answer_is_try_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_ACQUIRE_SECONDS", 0.2)
    async with serving(msgspec.structs.replace(database, pool_max=1)) as api:
        await api.get("/health/db-check")
        its = pool_of(api)
        holding = asyncio.create_task(its.fetch("SELECT pg_sleep(1)"))
        await servers.eventually(lambda: its.in_use == 1)
        assert "ecs_api_pool_in_use 1.0" in (await api.get("/metrics")).text
        answer = await api.get("/api/stats/network")
        assert answer.status_code == 503
        assert "DB_POOL_MAX" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) > 0
        await holding
        assert (await api.get("/api/stats/network")).status_code == 200


async def test_a_query_that_takes_too_long_is_given_up(database: Database) -> None:
    store(database, [R("a", 1_783_684_800, 1)])
    async with serving(database, api=Api(statement_timeout=0.2)) as api:
        with connected(database) as connection, connection.transaction():
            connection.execute("LOCK TABLE ven_telemetry IN ACCESS EXCLUSIVE MODE")
            assert "API_STATEMENT_TIMEOUT" in await api.detail(503, "/api/vens/a/history")
        assert (await api.get("/api/vens/a/history")).status_code == 200


@pytest.mark.parametrize("table", ["vens", "rollup_state", "late_readings", "holds", "ven_loads"])
async def test_a_missing_table_says_to_migrate(api: Client, database: Database, table: str) -> None:
    execute(database, f"ALTER TABLE {table} RENAME TO hidden")
    checked = await api.detail(503, "/health/db-check")
    assert table in checked
    assert "ecs-backend migrate" in checked
    failing = [path for path in TELEMETRY if (await api.get(path)).status_code == 503]
    assert failing
    for path in failing:
        detail = await api.detail(503, path)
        assert "ecs-backend migrate" in detail
        assert "hidden" not in detail
        assert "relation" not in detail
    execute(database, f"ALTER TABLE hidden RENAME TO {table}")
    assert (await api.get("/health/db-check")).status_code == 200


async def test_migrations_that_are_behind_are_named(api: Client, database: Database) -> None:
    execute(database, "DELETE FROM _yoyo_migration WHERE migration_id = '0003.rollups'")
    detail = await api.detail(503, "/health/db-check")
    assert "migrations behind: 0003.rollups" in detail


async def test_an_empty_database_says_to_migrate_and_serves_once_it_is(postgres: Database) -> None:
    with servers.new_database(postgres) as empty:
        async with serving(empty) as api:
            for path in ("/health/db-check", *TELEMETRY):
                assert "ecs-backend migrate" in await api.detail(503, path)
            await asyncio.to_thread(migrate, empty)
            assert (await api.get("/health/db-check")).status_code == 200
            assert (await api.get("/api/stats/network/history")).json()["points"] == []


@contextmanager
def login(database: Database, options: str) -> Iterator[Database]:
    """A login of its own, with `options` of CREATE ROLE."""
    name = f"login_{time.monotonic_ns()}"
    execute(database, f"CREATE ROLE {name} LOGIN PASSWORD 'any' {options}")
    try:
        yield msgspec.structs.replace(database, user=name, password="any")
    finally:
        execute(database, f"DROP ROLE {name}")


@pytest.mark.usefixtures("superuser")
async def test_a_login_of_its_own_that_may_act_as_ecs_api_is_enough(database: Database) -> None:
    with login(database, "IN ROLE ecs_api") as own:
        async with serving(own) as api:
            assert (await api.get("/health/db-check")).status_code == 200
            assert (await api.get("/api/stats/network")).status_code == 200


@pytest.mark.usefixtures("superuser")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("", "GRANT ecs_api"),
        ("IN ROLE ecs_api CONNECTION LIMIT 0", "no connection left"),
    ],
)
async def test_a_refused_connection_says_why_in_our_words(
    database: Database, options: str, says: str
) -> None:
    with login(database, options) as refused:
        async with serving(refused) as api:
            detail = await api.detail(503, "/api/stats/network")
            assert says in detail
            assert refused.user not in detail


async def test_a_login_or_a_database_that_is_not_there(database: Database) -> None:
    for wrong, says in (({"user": "nobody_at_all"}, "DB_USER"), ({"name": "nothing_at_all"}, "DB_NAME")):
        async with serving(msgspec.structs.replace(database, **wrong)) as api:
            detail = await api.detail(503, "/health/db-check")
            assert says in detail
            assert "at_all" not in detail


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server that a test may stop."""
    with servers.temporary_directory() as directory:
        server = EmbeddedPostgres(directory / "pg", {"fsync": "off", "full_page_writes": "off"})
        server.start()
        try:
            migrate(server.settings())
            yield server
        finally:
            server.stop()


async def test_it_recovers_when_the_database_comes_back(own_server: EmbeddedPostgres) -> None:
    async with serving(own_server.settings()) as api:
        assert (await api.get("/api/stats/network")).status_code == 200
        for stop in (own_server.stop, own_server.kill):
            stop()
            started = time.monotonic()
            for path in ("/health/db-check", *UNSHARED):
                assert (await api.get(path)).status_code == 503
            assert time.monotonic() - started < 5
            assert (await api.get("/health")).status_code == 200
            own_server.start()
            assert (await api.get("/health/db-check")).status_code == 200
            assert (await api.get("/api/stats/network")).status_code == 200


async def test_it_starts_without_its_database_and_serves_later(
    own_server: EmbeddedPostgres,
) -> None:
    settings = own_server.settings()
    own_server.stop()
    async with serving(settings) as api:
        assert (await api.get("/api/stats/network")).status_code == 503
        own_server.start()
        assert (await api.get("/api/stats/network")).status_code == 200


async def test_a_database_that_hangs_is_given_up_in_bounded_time(
    own_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_CONNECT_SECONDS", "_ACQUIRE_SECONDS", "_GRACE_SECONDS"):
        monkeypatch.setattr(pool, name, 0.5)
    async with serving(own_server.settings(), api=Api(statement_timeout=0.5)) as api:
        assert (await api.get("/api/stats/network")).status_code == 200
        assert own_server.process is not None
        server = psutil.Process(own_server.process.pid)
        frozen = [server, *server.children(recursive=True)]
        for process in frozen:
            process.send_signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            answers = await asyncio.gather(*(api.get(path) for path in UNSHARED))
            assert {answer.status_code for answer in answers} == {503}
            assert time.monotonic() - started < 8
        finally:
            for process in frozen:
                process.send_signal(signal.SIGCONT)
        assert (await api.get("/api/stats/network")).status_code == 200
