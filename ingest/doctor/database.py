"""Checks whether PostgreSQL has what ingest, migrate and the api need."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg

from ingest.database import probe_connection
from ingest.db_errors import explain
from ingest.db_promises import doubts
from ingest.doctor.finding import Finding, found
from shared.commands import api_role
from shared.commands.libpq import one_line
from shared.commands.migrate import check_ground, migration_ids
from shared.config import Database
from shared.db import UNREACHABLE, libpq_arguments
from shared.errors import EcsError
from shared.sql import load_blocks

_SQL = load_blocks(Path(__file__).with_name("database.sql"))
# The oldest version that the test suite has run on.
_OLDEST = 15


async def look(settings: Database) -> AsyncIterator[Finding]:
    """The findings, one after the other; after a bad one, there may be no more."""
    try:
        connection = await probe_connection(settings)
    except (asyncpg.PostgresError, *UNREACHABLE) as exc:
        yield Finding("database", False, f"{explain(exc)} (DB_HOST={settings.host}, DB_PORT={settings.port})")
        return
    try:
        version, full = connection.get_server_version(), connection.get_settings().server_version
        doubtful = await doubts(connection)
    finally:
        await connection.close()
    yield Finding("database", True, f"DB_HOST={settings.host} answers, DB_NAME={settings.name} is UTF-8")
    yield found(
        "version",
        [] if version.major >= _OLDEST else [f"PostgreSQL {version.major} is too old: {_OLDEST} or newer"],
        f"PostgreSQL {full}",
    )
    yield found("promises", doubtful, "fsync and synchronous_commit are on, its clock is this machine's")
    try:
        with psycopg.connect(**libpq_arguments(settings), autocommit=True) as checking:
            for finding in _schema(checking, settings):
                yield finding
    except psycopg.Error as exc:
        yield Finding("rights", False, f"the database refuses a look at its schema: {one_line(exc)}")


def _schema(connection: psycopg.Connection[Any], settings: Database) -> Iterator[Finding]:
    login, superuser = connection.execute(_SQL["login"]).fetchone() or ("?", False)
    kind = "a superuser, which is more than is needed" if superuser else "not a superuser"
    try:
        check_ground(connection, settings)
    except EcsError as exc:
        yield Finding("rights", False, str(exc))
    else:
        yield Finding("rights", True, f"{login} may make tables and owns those that are there; it is {kind}")
    yield _role(connection, settings.api_role)
    yield _migrations(connection)


def _role(connection: psycopg.Connection[Any], role: str) -> Finding:
    if not role:
        return Finding("api role", True, "none (DB_API_ROLE is empty): the api reads as its login")
    known, joined = api_role.state(connection, role)
    if known and joined:
        return Finding("api role", True, f"{role} is there, and the login may act as it")
    return Finding("api role", False, f"run `ecs-backend migrate`; {api_role.request(connection, role)}")


def _migrations(connection: psycopg.Connection[Any]) -> Finding:
    there = connection.execute(_SQL["migrations"]).fetchone() == (True,)
    applied = {name for (name,) in connection.execute(_SQL["applied"])} if there else set()
    missing = [name for name in migration_ids() if name not in applied]
    trouble = (
        [f"{len(missing)} are missing, from {missing[0]} on: run `ecs-backend migrate`"] if missing else []
    )
    return found("migrations", trouble, f"all {len(applied)} are applied")
