"""Writes the batches of the inbox to the database, and acknowledges them to the broker.

Two connections take turns: while one batch is finished and committed, the next one is copied over the other
connection, so that PostgreSQL works on rows while it waits for the disk. Batches are committed and acknowledged in
the order in which they arrived. If a batch fails, the batch behind it is rolled back, because it may hold locks
that the first needs. The failed batch is retried alone (retry.py); then two run again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from ingest.health import Asker, State
from ingest.message import DeadLetter, Message, Outcome, singly
from ingest.write.batch import Copied, Store
from ingest.write.dead_letters import is_cut
from ingest.write.flush_log import FlushSummary, flawed, rows_of
from ingest.write.inbox import Inbox
from ingest.write.lane import Lane
from ingest.write.outcomes import Outcomes, Tally
from ingest.write.retry import Retry
from shared.config import Database
from shared.logs import get_logger

log = get_logger(__name__)

_WITHDRAW_SECONDS = 2.0


class Flight:
    """A batch on its way. `copied` is None until its readings are copied, and stays None if that failed."""

    def __init__(self, batch: list[Message]) -> None:
        self.batch = batch
        self.began = time.perf_counter()
        self.copied: Copied | None = None


class Writer:
    """Takes batches from the inbox until it is closed and drained."""

    def __init__(
        self,
        settings: Database,
        inbox: Inbox,
        store: Store,
        state: State,
        ack: Callable[[list[Message]], None],
    ) -> None:
        self._inbox = inbox
        self._store = store
        self._state = state
        self._ack = ack
        self._lanes = (Lane(settings, store), Lane(settings, store))
        self._retry = Retry(store, state.database)
        # At most two, oldest first: the batch to finish, and the batch that is copied meanwhile.
        self._flights: deque[Flight] = deque()
        self._settled_at = 0.0
        self.flushes = FlushSummary()

    def __len__(self) -> int:
        return sum(len(flight.batch) for flight in self._flights)

    @property
    def oldest_received_at(self) -> int | None:
        """Arrival of the oldest message being written, µs since the epoch."""
        return self._flights[0].batch[0].received_at if self._flights else None

    async def run(self) -> None:
        """Write and acknowledge batches until the inbox is closed and empty."""
        # Connect before the first message, so that /health soon shows whether the database is there.
        await self._retry.reach(self._lanes[0])
        async with asyncio.TaskGroup() as tasks:
            await self._copy_next(self._lanes[0])
            while self._flights:
                await self._turn(tasks)
        await self.close()

    def drop(self) -> None:
        """End both connections at once; PostgreSQL rolls back what is not committed."""
        for lane in self._lanes:
            lane.drop()

    async def _turn(self, tasks: asyncio.TaskGroup) -> None:
        """Finish the oldest batch, and copy the batch behind it. In this order:

        1. Begin to copy the next batch over the other connection, without waiting for the commit of this batch.
        2. Finish and commit this batch.
        3. If that failed: roll the next batch back, write this batch alone, and copy the next one again afterwards.
        4. Acknowledge this batch, which is committed now. The connections change places.
        """
        here, there = self._lanes
        oldest = self._flights[0]
        ahead = tasks.create_task(self._copy_next(there), name="ahead")
        outcomes = await self._finish(oldest)
        if outcomes is not None:
            self._settle(oldest, outcomes)
            await ahead
        else:
            await self._withdraw(ahead)
            self._settle(oldest, await self._retry.write(here, oldest.batch))
            await self._copy_again(there)
        self._lanes = there, here

    async def close(self) -> None:
        """Close both connections."""
        for lane in self._lanes:
            await lane.close()

    async def _copy_next(self, lane: Lane) -> None:
        """Take the next batch from the inbox and copy it over `lane`; none if the inbox is closed and empty."""
        batch = await self._inbox.take()
        if batch:
            self._flights.append(Flight(batch))
            await self._copy(lane, self._flights[-1])

    async def _copy_again(self, lane: Lane) -> None:
        """Copy the batch that was rolled back; if the inbox had not given one yet, the next batch."""
        if self._flights:
            await self._copy(lane, self._flights[0])
        else:
            await self._copy_next(lane)

    async def _copy(self, lane: Lane, flight: Flight) -> None:
        flight.copied = None
        try:
            flight.copied = await self._store.copy(await lane.connected(), flight.batch)
        except Exception as exc:  # noqa: BLE001 - after any error, retry.py writes the batch alone, and logs why
            log.debug("copy_failed", error=type(exc).__name__)
            lane.drop()

    async def _finish(self, flight: Flight) -> Outcomes | None:
        """Finish a copied batch; None if that failed, or if copying it had failed."""
        if flight.copied is None:
            return None
        try:
            outcomes = await self._store.finish(flight.copied)
        except Exception as exc:  # noqa: BLE001 - as above
            log.debug("finish_failed", error=type(exc).__name__)
            return None
        self._state.database.worked(Asker.WRITER)
        return outcomes

    async def _withdraw(self, ahead: asyncio.Task[None]) -> None:
        """Roll back the batch that is being copied: it may hold locks that the failed batch needs."""
        ahead.cancel()
        # The cancelled task sends ROLLBACK, if PostgreSQL answers in time.
        await asyncio.wait([ahead], timeout=_WITHDRAW_SECONDS)
        self.drop()
        await asyncio.wait([ahead])
        self._store.forget()

    def _settle(self, flight: Flight, outcomes: Outcomes) -> None:
        self._flights.remove(flight)
        batch, now = flight.batch, time.perf_counter()
        self._ack(batch)
        self._state.count({outcome: outcomes.count(outcome) for outcome in Outcome})
        metrics = self._state.metrics
        seconds = now - flight.began
        metrics.flush_seconds.observe(seconds)
        rows = rows_of(batch, outcomes)
        metrics.rows.inc(rows)
        metrics.truncated.inc(sum(is_cut(m) for m in singly(batch) if isinstance(m.content, DeadLetter)))
        tally, self._store.tally = self._store.tally, Tally()
        metrics.flawed.inc(flawed(batch))
        metrics.conflict.inc(len(tally.conflicts))
        metrics.dead_letters_new.inc(tally.new_dead_letters)
        busy = now - max(flight.began, self._settled_at)
        self.flushes.add(batch, tally.conflicts, rows=rows, seconds=seconds, busy=busy)
        self._settled_at = now
