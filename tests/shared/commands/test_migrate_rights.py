"""Migrations with the login that a managed PostgreSQL gives: the owner of its database, and nothing else."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import msgspec
import pytest

from api.database import Database as Pool
from api.web.errors import UnavailableError
from shared.commands.migrate import migrate, migration_ids
from shared.config import Database
from shared.db import WrongEncodingError
from shared.errors import StartupError
from tests.support.api_client import serving
from tests.support.servers import as_environment, execute, new_database

pytestmark = pytest.mark.usefixtures("superuser")

_TABLES = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"


@pytest.fixture
def role(postgres: Database) -> Iterator[str]:
    """The name of a role that is not there; dropped at the end if it is then."""
    name = f"role_{time.monotonic_ns()}"
    yield name
    execute(postgres, f"DROP ROLE IF EXISTS {name}")


@contextmanager
def login(server: Database, options: str = "") -> Iterator[Database]:
    """A login with `options` of CREATE ROLE, to the database of `server`."""
    name = f"login_{time.monotonic_ns()}"
    execute(server, f"CREATE ROLE {name} LOGIN PASSWORD 'any' {options}")
    try:
        yield msgspec.structs.replace(server, user=name, password="any")
    finally:
        execute(server, f"DROP ROLE {name}")


@contextmanager
def owner(server: Database, role: str, options: str = "") -> Iterator[Database]:
    """The login of a new database's owner, who is not a superuser; the api takes `role`."""
    with login(server, options) as own:
        with new_database(server) as made:
            execute(server, f"ALTER DATABASE {made.name} OWNER TO {own.user}")
            yield msgspec.structs.replace(own, name=made.name, api_role=role)
        if role:
            # Before the login, which may have granted it.
            execute(server, f"DROP ROLE IF EXISTS {role}")


async def the_api_reads(settings: Database) -> object:
    """The role of the api's sessions after an answer; checks that they cannot write."""
    async with serving(settings) as api:
        assert (await api.get("/health/db-check")).status_code == 200
        assert (await api.get("/api/stats/network")).status_code == 200
        its: Pool = api.app.state.services.get(Pool)
        with pytest.raises((asyncpg.ReadOnlySQLTransactionError, UnavailableError)):
            await its.fetch("DELETE FROM vens")
        return (await its.fetch("SELECT current_user"))[0][0]


async def test_an_owner_migrates_with_a_role_granted_before(postgres: Database, role: str) -> None:
    with owner(postgres, role) as own:
        execute(postgres, f"CREATE ROLE {role} NOLOGIN")
        execute(postgres, f"GRANT {role} TO {own.user}")
        assert migrate(own) == migration_ids()
        assert migrate(own) == []
        assert await the_api_reads(own) == role
        assert len(migrate(own, rollback=99)) == len(migration_ids())
        assert migrate(own) == migration_ids()


@pytest.mark.parametrize("there", [False, True])
def test_what_to_ask_an_administrator_for_is_said(postgres: Database, role: str, there: bool) -> None:
    with owner(postgres, role) as own:
        if there:
            execute(postgres, f"CREATE ROLE {role} NOLOGIN")
        with pytest.raises(StartupError) as caught:
            migrate(own)
        create = "" if there else f'CREATE ROLE "{role}" NOLOGIN; '
        assert f'run: {create}GRANT "{role}" TO "{own.user}"; or' in str(caught.value)
        assert "\n" not in str(caught.value)
        assert execute(own, _TABLES) == [(0,)]


async def test_an_owner_that_may_make_roles_makes_it(postgres: Database, role: str) -> None:
    with owner(postgres, role, "CREATEROLE") as own:
        assert migrate(own) == migration_ids()
        assert await the_api_reads(own) == role


async def test_a_role_lost_after_the_migrations_is_made_again(postgres: Database, role: str) -> None:
    with new_database(postgres) as made:
        lost = msgspec.structs.replace(made, api_role=role)
        migrate(lost)
        execute(made, f"DROP OWNED BY {role}")
        execute(made, f"DROP ROLE {role}")
        assert migrate(lost) == []
        assert await the_api_reads(lost) == role


async def test_without_a_role_the_api_reads_as_its_login(postgres: Database) -> None:
    with owner(postgres, "") as own:
        assert migrate(own) == migration_ids()
        assert await the_api_reads(own) == own.user


async def test_without_a_role_a_superusers_connection_is_kept(database: Database) -> None:
    one = msgspec.structs.replace(database, api_role="", pool_max=1)
    async with serving(one) as api:
        its: Pool = api.app.state.services.get(Pool)
        first, second = [(await its.fetch("SELECT pg_backend_pid()"))[0][0] for _ in range(2)]
        assert first == second


def test_a_login_that_may_only_connect_is_told_so(postgres: Database, tmp_path: Path) -> None:
    with new_database(postgres) as made, login(made) as own:
        done = subprocess.run(
            [sys.executable, "-m", "shared.commands.cli", "migrate"],
            env={"PATH": "/usr/bin:/bin", **as_environment(own)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert "owner: ALTER DATABASE" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_tables_of_another_login_are_named_as_that(database: Database) -> None:
    with login(database) as own, pytest.raises(StartupError, match=f"belong to {database.user}"):
        migrate(own)


def test_tables_of_somebody_else_do_not_disturb(postgres: Database, role: str) -> None:
    with owner(postgres, role) as own:
        execute(postgres, f"CREATE ROLE {role} NOLOGIN")
        execute(postgres, f"GRANT {role} TO {own.user}")
        execute(msgspec.structs.replace(postgres, name=own.name), "CREATE TABLE theirs ()")
        assert migrate(own) == migration_ids()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_is_not_utf8_is_refused(postgres: Database, encoding: str) -> None:
    name = f"ecs_{encoding}_{time.monotonic_ns()}".lower()
    execute(postgres, f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(WrongEncodingError, match=f"is {encoding}: make one with ENCODING 'UTF8'"):
            migrate(msgspec.structs.replace(postgres, name=name))
    finally:
        execute(postgres, f"DROP DATABASE {name}")
