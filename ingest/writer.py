"""Batches to the database, whatever the database does: retry, bisect, dead-letter; then acknowledge."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import msgspec

from ingest.dead_letters import DEAD_LETTER_BYTES
from ingest.faults import Fault, blame, classify, explain
from ingest.inbox import Inbox
from ingest.message import DeadLetter, Message, Outcome, Reading
from ingest.partitions import TooOldError
from ingest.state import State
from ingest.store import Outcomes, Store
from shared import db
from shared.config import Database
from shared.db import Connection
from shared.logs import get_logger
from shared.models import MAX_ID_CHARACTERS, WireName

log = get_logger(__name__)

Work = Callable[[Connection], Awaitable[Outcomes]]

_BACKOFF_SECONDS = (0.1, 5.0)
# A server that takes longer for one statement than this is as good as away.
_STATEMENT_SECONDS = 60
_LOCK_SECONDS = 5
# After a batch with readings that were stored before, this many batches look for them from the start.
_MERGE_BATCHES = 20


class Writer:
    """Takes batches from the inbox, one at a time, until it is closed and drained."""

    def __init__(
        self,
        settings: Database,
        inbox: Inbox,
        store: Store,
        state: State,
        ack: Callable[[list[Message]], None],
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._store = store
        self._state = state
        self._ack = ack
        self._connection: Connection | None = None
        self._merging = 0
        self.in_hand: list[Message] = []
        self.flushes = FlushSummary()

    async def run(self) -> None:
        """Write, acknowledge, and again; returns when the inbox is closed and empty."""
        await self._connect_first()
        while self.in_hand or (batch := await self._inbox.take()):
            self.in_hand = batch
            began = time.perf_counter()
            outcomes = await self._write(batch)
            self._settle(batch, outcomes, time.perf_counter() - began)
            self.in_hand = []
        await self.close()

    async def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*db.UNREACHABLE):
                await connection.close(timeout=2)

    def _settle(self, batch: list[Message], outcomes: Outcomes, seconds: float) -> None:
        self._ack(batch)
        self._state.count(Counter(outcomes))
        self._state.metrics.flush_seconds.observe(seconds)
        rows = _rows(batch, outcomes)
        self._state.metrics.rows.inc(rows)
        self.flushes.add(len(batch), rows, seconds)
        self._note_dead_letters(batch)

    def _note_dead_letters(self, batch: list[Message]) -> None:
        dead = [(m, m.content) for m in batch if isinstance(m.content, DeadLetter)]
        self._state.metrics.truncated.inc(sum(m.size > DEAD_LETTER_BYTES for m, _ in dead))
        self.flushes.dead += len(dead)
        if dead and self.flushes.sample is None:
            message, letter = dead[0]
            self.flushes.sample = (letter.error, message.topic, named_ven(message.payload))

    async def _connect_first(self) -> None:
        """Find out, before the first message, whether the database is there: /health shows it."""

        async def nothing(_: Connection) -> Outcomes:
            return []

        await self._persistently(nothing)

    async def _write(self, batch: Sequence[Message]) -> Outcomes:
        """Store every message of the batch as what it is or as a dead letter; takes as long as it takes."""
        try:
            return await self._persistently(lambda connection: self._store_batch(connection, batch))
        except TooOldError as exc:
            _bury_old(batch, exc.raw_from)
            return await self._write(batch)
        except Exception as exc:
            if not isinstance(exc, asyncpg.PostgresError):
                log.exception("storing_failed", messages=len(batch))
            if len(batch) == 1:
                batch[0].content = DeadLetter(blame(exc))
                return await self._write(batch)
            half = len(batch) // 2
            return await self._write(batch[:half]) + await self._write(batch[half:])

    async def _store_batch(self, connection: Connection, batch: Sequence[Message]) -> Outcomes:
        try:
            outcomes = await self._store.write(connection, batch, merge=self._merging > 0)
        except asyncpg.UniqueViolationError as exc:
            if classify(exc) is not Fault.STORED_BEFORE or self._merging:
                raise
            self._merging = _MERGE_BATCHES
            return await self._store_batch(connection, batch)
        if self._merging:
            self._merging = _MERGE_BATCHES if Outcome.DUPLICATE in outcomes else self._merging - 1
        return outcomes

    async def _persistently(self, work: Work) -> Outcomes:
        """Do `work` on a connection until it succeeds; raises only what speaks of the rows themselves."""
        delay = _BACKOFF_SECONDS[0]
        while True:
            try:
                outcomes = await work(await self._connected())
            except (asyncpg.PostgresError, *db.UNREACHABLE) as exc:
                match classify(exc):
                    case Fault.ROW:
                        raise
                    case Fault.PARTITION | Fault.AGAIN | Fault.STORED_BEFORE:
                        self._store.forget()
                    case Fault.WAIT:
                        await self._wait(exc, delay)
                        delay = min(delay * 2, _BACKOFF_SECONDS[1])
            else:
                if self._state.waiting_for_database or self._state.database_away:
                    # Newer than what the leader found at its last look.
                    self._state.waiting_for_database = self._state.database_away = None
                    log.info("database_ready", host=self._settings.host)
                return outcomes

    async def _wait(self, error: BaseException, delay: float) -> None:
        why = explain(error)
        # The leader may have said it already.
        if why not in (self._state.waiting_for_database, self._state.database_away):
            log.warning("waiting_for_database", why=why, error=type(error).__name__)
        self._state.waiting_for_database = why
        if isinstance(error, db.UNREACHABLE):
            await self.close()
            self._store.forget()
        await asyncio.sleep(delay)

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await db.connect(
                self._settings,
                application="ecs-ingest",
                server_settings={"lock_timeout": f"{_LOCK_SECONDS}s", "jit": "off", "timezone": "UTC"},
                command_timeout=_STATEMENT_SECONDS,
            )
            await self._store.prepare(self._connection)
        return self._connection


class FlushSummary:
    """What was flushed since the last line in the log."""

    def __init__(self) -> None:
        self.messages = self.rows = self.batches = self.dead = 0
        self.seconds = 0.0
        self.sample: tuple[str, str, str | None] | None = None

    def add(self, messages: int, rows: int, seconds: float) -> None:
        """Count one batch."""
        self.batches += 1
        self.messages += messages
        self.rows += rows
        self.seconds += seconds


def named_ven(payload: bytes) -> str | None:
    """The VEN id in a payload that may be anything, for the log; None if there is none to be found."""
    try:
        ven_id = msgspec.json.decode(payload, type=WireName).ven_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return ven_id[:MAX_ID_CHARACTERS] if ven_id else None


def _rows(batch: Sequence[Message], outcomes: Outcomes) -> int:
    return sum(
        1 + m.content.sample_count if isinstance(m.content, Reading) else 1
        for m, outcome in zip(batch, outcomes, strict=True)
        if outcome is not Outcome.DUPLICATE
    )


def _bury_old(batch: Sequence[Message], raw_from: int) -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(raw_from / 1e6))
    for message in batch:
        if isinstance(message.content, Reading) and message.content.ts < raw_from:
            message.content = DeadLetter(f"older than the raw data kept, which starts at {since}")
