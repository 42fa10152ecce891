"""Two batches at a time: the next is copied while one is finished, and nothing depends on which fails."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
import pytest

from ingest.health import State
from ingest.message import Message
from ingest.partitions import Partitions
from ingest.write import retry
from ingest.write.batch import Store
from ingest.write.inbox import Inbox
from ingest.write.writer import Writer
from shared.config import Database
from tests.support.samples import reading, status
from tests.support.servers import connect, eventually, execute

NOW = float(int(time.time()))
_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
_COPIED = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'ecs-ingest' AND state = 'idle in transaction'"
)
_TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'ecs-ingest' AND datname = current_database()"
)


class Writing:
    """A writer with an inbox of batches of two, and the messages that it acknowledged, in order."""

    def __init__(self, database: Database, batch_max: int = 2) -> None:
        self.database = database
        self.state = State()
        self.inbox = Inbox(batch_max, linger=0)
        self.acked: list[list[Message]] = []
        store = Store("test", Partitions())
        self.writer = Writer(database, self.inbox, store, self.state, self.acked.append)

    def put(self, *messages: Message) -> None:
        for message in messages:
            self.inbox.put(message)

    def outcomes(self) -> dict[str, float]:
        return {kind.value: counter._value.get() for kind, counter in self.state.metrics.outcomes.items()}

    def stored(self) -> list[tuple[str, float]]:
        return execute(self.database, "SELECT ven_id, used_power_kw FROM ven_telemetry ORDER BY ven_id, ts")

    async def until(self, query: str, count: int) -> None:
        await eventually(lambda: execute(self.database, query) == [(count,)])

    async def until_acked(self, *batches: list[Message]) -> None:
        await eventually(lambda: len(self.acked) >= len(batches), explain=lambda: str(self.outcomes()))
        assert self.acked == list(batches)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Writing"]:
        """Write in the background; at the end, drain."""
        task = asyncio.create_task(self.writer.run())
        try:
            yield self
        finally:
            self.inbox.close()
            async with asyncio.timeout(20):
                await task


@pytest.fixture
async def writing(database: Database) -> AsyncIterator[Writing]:
    async with Writing(database).running() as running:
        yield running


@contextmanager
def held(database: Database, table: str) -> Iterator[psycopg.Connection]:
    """Lock `table` against writes while the block runs."""
    with connect(database) as connection:
        connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield connection


async def test_the_next_batch_is_copied_while_one_is_finished(writing: Writing) -> None:
    first = [reading("a", NOW, 1), reading("b", NOW, 2)]
    second = [reading("a", NOW + 1, 3), reading("b", NOW + 1, 4)]
    with held(writing.database, "vens"):
        writing.put(*first)
        await writing.until(_WAITING, 1)
        writing.put(*second)
        await writing.until(_COPIED, 1)
        assert writing.acked == []
        assert writing.stored() == []
        assert len(writing.writer) == 4
        assert writing.writer.oldest_received_at == first[0].received_at
    await writing.until_acked(first, second)
    assert writing.stored() == [("a", 1), ("a", 3), ("b", 2), ("b", 4)]


async def test_a_batch_that_failed_goes_before_the_one_behind_it(
    writing: Writing,
) -> None:
    first = [reading("a", NOW, 1), status("a", "online", NOW)]
    # Copied behind it, and with the same key: it waits for the first to commit, or to fail.
    second = [reading("a", NOW, 9), status("a", "offline", NOW + 1)]
    third = [reading("a", NOW + 1, 2), reading("c", NOW, 3)]
    with held(writing.database, "vens"):
        writing.put(*first)
        await writing.until(_WAITING, 1)
        writing.put(*second, *third)
        await writing.until(_WAITING, 2)
        execute(writing.database, _TERMINATE + " AND query LIKE '%INTO vens%'")
        # The first again, by itself.
        await writing.until(_WAITING, 1)
    await writing.until_acked(first, second, third)
    assert writing.stored() == [("a", 1), ("a", 2), ("c", 3)]
    assert writing.outcomes() == {"stored": 5, "duplicate": 1, "dead_lettered": 0, "ignored": 0}
    assert execute(writing.database, "SELECT status FROM vens WHERE ven_id = 'a'") == [("offline",)]


async def test_a_copy_that_nobody_reads_ends_with_its_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_BACKOFF_SECONDS", (0.01, 0.01))
    lost: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    batch = [reading("a", NOW + n, n, filler="x" * 20_000) for n in range(100)]
    async with Writing(database, batch_max=len(batch)).running() as writing:
        # Makes the day's partition.
        writing.put(first := reading("a", NOW - 1, 1))
        await writing.until_acked([first])
        with held(database, "ven_telemetry"):
            writing.put(*batch)
            for _ in range(3):
                # More than the socket holds: asyncpg waits until it may write on, and PostgreSQL waits for the lock.
                await writing.until(_WAITING, 1)
                execute(database, _TERMINATE)
        await writing.until_acked([first], batch)
    assert len(writing.stored()) == len(batch) + 1
    gc.collect()
    assert lost == []


async def test_a_batch_is_withdrawn_while_its_copy_waits_to_be_read(database: Database) -> None:
    lost: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    first = [reading("a", NOW + n, 1, filler="x" * 20_000) for n in range(100)]
    second = [reading("a", NOW + n, 2, filler="x" * 20_000) for n in range(100)]
    async with Writing(database, batch_max=100).running() as writing:
        with held(database, "vens"):
            writing.put(*first)
            await writing.until(_WAITING, 1)
            writing.put(*second)
            await writing.until(_WAITING, 2)
            execute(database, _TERMINATE + " AND query LIKE '%INTO vens%'")
            await writing.until(_WAITING, 1)
        await writing.until_acked(first, second)
    assert writing.stored() == [("a", 1)] * 100
    gc.collect()
    assert lost == []


async def test_poison_in_the_batch_behind_costs_neither_batch_anything(writing: Writing) -> None:
    execute(writing.database, "ALTER TABLE ven_telemetry ADD CONSTRAINT no_13 CHECK (used_power_kw <> 13)")
    first, second = (
        [reading("a", NOW, 1), reading("b", NOW, 2)],
        [reading("a", NOW + 1, 13), reading("b", NOW + 1, 4)],
    )
    with held(writing.database, "vens"):
        writing.put(*first)
        await writing.until(_WAITING, 1)
        writing.put(*second)
    await writing.until_acked(first, second)
    assert writing.stored() == [("a", 1), ("b", 2), ("b", 4)]
    assert writing.outcomes() == {"stored": 3, "duplicate": 0, "dead_lettered": 1, "ignored": 0}


async def test_poison_that_shows_only_as_a_batch_is_finished_is_found(writing: Writing) -> None:
    execute(writing.database, "ALTER TABLE ven_statuses ADD CONSTRAINT no_x CHECK (status <> 'x')")
    first, second = (
        [status("a", "x", NOW), reading("b", NOW, 2)],
        [reading("a", NOW + 1, 3), reading("b", NOW + 1, 4)],
    )
    writing.put(*first, *second)
    await writing.until_acked(first, second)
    assert writing.stored() == [("a", 3), ("b", 2), ("b", 4)]
    assert writing.outcomes() == {"stored": 3, "duplicate": 0, "dead_lettered": 1, "ignored": 0}


@pytest.mark.parametrize(
    ("table", "check"), [("ven_telemetry", "used_power_kw > 99"), ("vens", "ven_id = 'x'")]
)
async def test_a_database_that_refuses_every_message_is_waited_for(
    writing: Writing, table: str, check: str
) -> None:
    execute(writing.database, f"ALTER TABLE {table} ADD CONSTRAINT absurd CHECK ({check})")
    messages = [reading("a", NOW, 1), reading("b", NOW, 2), status("a", "online", NOW)]
    writing.put(*messages)
    await eventually(lambda: "refuses every message" in str(writing.state.problems()))
    assert writing.acked == []
    execute(writing.database, f"ALTER TABLE {table} DROP CONSTRAINT absurd")
    await eventually(lambda: sum(map(len, writing.acked)) == 3)
    assert writing.outcomes() == {"stored": 3, "duplicate": 0, "dead_lettered": 0, "ignored": 0}
    assert execute(writing.database, "SELECT ven_id FROM vens ORDER BY 1") == [("a",), ("b",)]


async def test_a_key_that_two_batches_share_is_stored_once(writing: Writing) -> None:
    batches = [[reading("a", NOW, n), reading("b", NOW + n, n)] for n in range(6)]
    for batch in batches:
        writing.put(*batch)
    await writing.until_acked(*batches)
    assert writing.stored() == [("a", 0), *(("b", n) for n in range(6))]
    assert writing.outcomes() == {"stored": 7, "duplicate": 5, "dead_lettered": 0, "ignored": 0}


async def test_closing_writes_what_is_finished_and_what_is_copied(database: Database) -> None:
    writing = Writing(database)
    first, second = [reading("a", NOW, 1), reading("b", NOW, 2)], [reading("a", NOW + 1, 3)]
    with held(database, "vens"):
        task = asyncio.create_task(writing.writer.run())
        writing.put(*first)
        await writing.until(_WAITING, 1)
        writing.put(*second)
        await writing.until(_COPIED, 1)
        writing.inbox.close()
    await task
    await writing.until_acked(first, second)
    assert len(writing.writer) == 0
    ((connections,),) = execute(
        database,
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ecs-ingest'"
        " AND datname = current_database()",
    )
    assert connections == 0


async def test_after_an_outage_batches_overlap_again(writing: Writing) -> None:
    with held(writing.database, "vens"):
        writing.put(reading("a", NOW, 1), reading("b", NOW, 1))
        await writing.until(_WAITING, 1)
        execute(writing.database, _TERMINATE)
        await writing.until(_WAITING, 1)
    await eventually(lambda: len(writing.acked) == 1)
    with held(writing.database, "vens"):
        writing.put(reading("a", NOW + 1, 1), reading("b", NOW + 1, 1))
        await writing.until(_WAITING, 1)
        writing.put(reading("a", NOW + 2, 1), reading("b", NOW + 2, 1))
        await writing.until(_COPIED, 1)
    await eventually(lambda: len(writing.acked) == 3)
