"""Whatever is asked through the api's own pool, nothing is written."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import msgspec
import pytest

from api.database import Database as Pool
from api.web.errors import UnavailableError
from shared.config import Database
from tests.support.servers import execute
from tests.torture.api import fill

WRITES = (
    "INSERT INTO vens (ven_id, first_seen_at) VALUES ('x', now())",
    "UPDATE vens SET used_power_kw = 0",
    "DELETE FROM vens",
    "TRUNCATE vens",
    "MERGE INTO vens USING (SELECT 1) ON true WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM vens RETURNING 1) SELECT count(*) FROM gone",
    "SELECT * FROM vens FOR UPDATE",
    "LOCK TABLE vens IN SHARE MODE",
    "CREATE TABLE t ()",
    "CREATE TEMPORARY TABLE vens_too AS SELECT * FROM vens",
    "DROP TABLE vens",
    "ALTER TABLE vens ADD COLUMN x int",
    "CREATE ROLE intruder LOGIN SUPERUSER",
    "ALTER ROLE ecs_api SUPERUSER",
    "COPY vens FROM PROGRAM 'echo'",
    "COPY vens TO PROGRAM 'cat'",
    "DO $$ BEGIN DELETE FROM vens; END $$",
    "SELECT make_raw_day('2020-01-01')",
    "REINDEX TABLE vens",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
)
# Anybody may make tables that end with their own connection.
PRIVILEGED = tuple(write for write in WRITES if "TEMPORARY" not in write)
# Each of these is a request of its own; a connection that is changed is not used again.
TRICKS = (
    "RESET ALL",
    "RESET ROLE",
    "SET ROLE NONE",
    "SET SESSION AUTHORIZATION DEFAULT",
    "SET default_transaction_read_only = off",
    "SELECT set_config('default_transaction_read_only', 'off', false)",
    "SELECT set_config('role', 'none', false)",
    "SELECT set_config('role', session_user, false)",
    "BEGIN READ WRITE",
    "DISCARD ALL",
)
# The server reports that a session has become a superuser's, and the pool ends it; it reports no other change of role.
LEAVES = ("SET ROLE NONE", *(trick for trick in TRICKS if "set_config('role'" in trick))
REFUSED = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ActiveSQLTransactionError,
    asyncpg.NoActiveSQLTransactionError,
    asyncpg.SyntaxOrAccessError,
    UnavailableError,
)


@pytest.fixture
def unchanged(database: Database) -> Iterator[None]:
    """The VENs, the tables and the roles are the same afterwards."""
    fill(database)
    ask = "SELECT (SELECT array_agg(v::text ORDER BY ven_id) FROM vens v), (SELECT count(*) FROM pg_class), "
    ask += "(SELECT array_agg(rolname ORDER BY rolname) FROM pg_roles), (SELECT count(*) FROM pg_proc)"
    before = execute(database, ask)
    yield
    assert execute(database, ask) == before


@asynccontextmanager
async def pool(settings: Database) -> AsyncIterator[Pool]:
    """A pool of one connection, so that a trick and a write meet in it."""
    its = Pool(msgspec.structs.replace(settings, pool_max=1), statement_timeout=5)
    await its.open()
    try:
        yield its
    finally:
        await its.close()


async def refused(its: Pool, role: str = "ecs_api") -> None:
    # An owner may build an index anew in a read-only session: that changes no row.
    writes = [write for write in PRIVILEGED if "REINDEX" not in write]
    for write in WRITES if role == "ecs_api" else writes:
        with pytest.raises(REFUSED):
            await its.fetch(write)
        row = await its.fetchrow("SELECT current_user AS role, count(*) AS vens FROM vens")
        assert row is not None
        assert (row["role"], row["vens"]) == (role, 2), write


@pytest.mark.parametrize("trick", ["SELECT 1", *TRICKS])
@pytest.mark.usefixtures("unchanged")
async def test_every_write_fails_after_any_trick_before_it(database: Database, trick: str) -> None:
    async with pool(database) as its:
        try:
            await its.fetch(trick)
        except REFUSED:
            assert trick not in ("RESET ALL", "RESET ROLE"), "this one is allowed, and must not help"
        noticed = trick not in LEAVES or execute(database, "SHOW is_superuser") == [("on",)]
        await refused(its, "ecs_api" if noticed else database.user)


@pytest.mark.usefixtures("unchanged")
async def test_copy_from_the_client_fails(database: Database) -> None:
    async with pool(database) as its, its._connection() as connection:
        with pytest.raises(REFUSED):
            await connection.copy_records_to_table("vens", records=[("x",)], columns=["ven_id"])


@pytest.mark.usefixtures("superuser", "unchanged")
async def test_a_login_of_its_own_cannot_write_whatever_it_sets(database: Database) -> None:
    execute(database, f"CREATE ROLE {database.name} LOGIN PASSWORD 'any' IN ROLE ecs_api")
    try:
        async with pool(msgspec.structs.replace(database, user=database.name, password="any")) as its:
            for trick in (
                *TRICKS,
                *(f"SET {of} {database.user}" for of in ("ROLE", "SESSION AUTHORIZATION")),
            ):
                async with its._connection() as connection:
                    with suppress(*REFUSED):
                        await connection.execute(trick)
                    for write in PRIVILEGED:
                        with pytest.raises(REFUSED):
                            await connection.execute(f"SET transaction_read_only = off; {write}")
                        await connection.execute("ROLLBACK")
            await refused(its)
    finally:
        execute(database, f"DROP ROLE {database.name}")


async def test_a_connection_that_breaks_as_it_is_returned_is_replaced(database: Database) -> None:
    async with pool(database) as its:
        async with its._connection() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            execute(database, "SELECT pg_terminate_backend(%s, 5000)", pid)
        row = await its.fetchrow("SELECT pg_backend_pid() AS pid")
        assert row is not None
        assert row["pid"] != pid
