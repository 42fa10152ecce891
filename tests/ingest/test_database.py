"""Every session of ingest has the limits that docs/architecture.md names."""

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable

import asyncpg
import msgspec
import pytest

from ingest import database as connections
from ingest.db_errors import explain
from shared.config import Database
from shared.db import UNREACHABLE, Connection
from tests.support.servers import execute

MAKERS = {
    "ecs-ingest": connections.writer_connection,
    "ecs-ingest-leader": connections.leader_connection,
    "ecs-rebuild": connections.rebuild_connection,
    "ecs-ingest-probe": connections.probe_connection,
}
LIMITS = {
    "idle_in_transaction_session_timeout": "90000",
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
# On a Unix socket PostgreSQL shows 0 for these, so what was asked for is read instead of what holds.
ASKED = "SELECT name, reset_val FROM pg_settings WHERE name = ANY ($1::text[]) AND source = 'client'"


@pytest.mark.parametrize("name", MAKERS)
async def test_every_session_ends_if_its_machine_vanishes(name: str, database: Database) -> None:
    make: Callable[[Database], Awaitable[Connection]] = MAKERS[name]
    connection = await make(database)
    try:
        rows = await connection.fetch(ASKED, list(LIMITS))
        assert {row["name"]: row["reset_val"] for row in rows} == LIMITS
        assert await connection.fetchval("SHOW application_name") == name
        assert await connection.fetchval("SHOW timezone") == "UTC"
    finally:
        await connection.close()


async def test_a_database_that_is_not_utf8_is_refused_in_a_line(postgres: Database) -> None:
    name = f"ecs_latin1_{time.monotonic_ns()}"
    execute(postgres, f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        for make in MAKERS.values():
            with pytest.raises(UNREACHABLE) as caught:
                await make(msgspec.structs.replace(postgres, name=name))
            assert explain(caught.value).startswith("the database's encoding is LATIN1: make one with")
    finally:
        execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def test_every_maker_of_a_connection_is_tested() -> None:
    made = {value for name, value in vars(connections).items() if name.endswith("_connection")}
    assert made == set(MAKERS.values())


async def _unheard(error: BaseException, *, task: bool) -> list[str]:
    """What asyncio's own handler would log of an unhandled error."""
    said: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(connections.leave_lost)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger("asyncio"), "error", lambda text, **_: said.append(text))
        left: asyncio.Future[None]
        if task:

            async def fail() -> None:
                raise error

            left = loop.create_task(fail())
        else:
            left = loop.create_future()
            left.set_exception(error)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del left
        gc.collect()
    return said


async def test_a_future_of_a_lost_connection_is_not_an_error() -> None:
    assert await _unheard(asyncpg.ConnectionDoesNotExistError("closed"), task=False) == []


async def test_every_other_error_that_nobody_took_is_told() -> None:
    assert len(await _unheard(ValueError("x"), task=False)) == 1
    assert len(await _unheard(asyncpg.ConnectionDoesNotExistError("closed"), task=True)) == 1
