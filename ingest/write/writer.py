"""Batches from the inbox to the database, and back to the broker as acknowledgements.

Two connections take turns: while one batch is finished and committed, the next is copied over the other. So
PostgreSQL has rows to take in while it waits for the disk. Batches commit and are acknowledged in the order in
which they came. When anything goes wrong with a batch, the one behind it gives its transaction up, and the
batch goes again by itself (persistence.py).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from ingest.health import Asker, State
from ingest.message import DeadLetter, Message, Outcome
from ingest.write.batch import Copied, Outcomes, Store
from ingest.write.dead_letters import is_cut
from ingest.write.flush_log import FlushSummary, rows_of
from ingest.write.inbox import Inbox
from ingest.write.lane import Lane
from ingest.write.retry import Persistence
from shared.config import Database
from shared.logs import get_logger

log = get_logger(__name__)

_WITHDRAW_SECONDS = 2.0


class Flight:
    """A batch on its way. `copied` is None until its readings are, and when copying them failed."""

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
        self._lanes = [Lane(settings, store), Lane(settings, store)]
        self._persistence = Persistence(store, state.database)
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
        """Write, acknowledge, and again; returns when the inbox is closed and empty."""
        # Find out, before the first message, whether the database is there: /health shows it.
        await self._persistence.reach(self._lanes[0])
        async with asyncio.TaskGroup() as tasks:
            await self._copy(self._lanes[0])
            while self._flights:
                await self._turn(tasks)
        await self.close()

    def drop(self) -> None:
        """End both connections at once; what is not committed is rolled back."""
        for lane in self._lanes:
            lane.drop()

    async def _turn(self, tasks: asyncio.TaskGroup) -> None:
        """Finish the batch whose turn it is; afterwards the next one is copied, unless there is none."""
        here, there = self._lanes
        flight = self._flights[0]
        ahead = tasks.create_task(self._copy(there), name="ahead")
        outcomes = await self._finish(flight)
        alone = outcomes is None
        if outcomes is None:
            await self._withdraw(ahead)
            outcomes = await self._persistence.write(here, flight.batch)
        self._settle(self._flights.popleft(), outcomes)
        self._lanes.reverse()
        await (self._copy(there, *self._flights) if alone else ahead)

    async def close(self) -> None:
        """Give the connections back."""
        for lane in self._lanes:
            await lane.close()

    async def _copy(self, lane: Lane, flight: Flight | None = None) -> None:
        """Copy the batch of `flight`, or the next one from the inbox, over `lane`."""
        if flight is None:
            batch = await self._inbox.take()
            if not batch:
                return
            flight = Flight(batch)
            self._flights.append(flight)
        try:
            flight.copied = await self._store.copy(await lane.connected(), flight.batch)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the batch goes again by itself, and says it
            log.debug("copy_failed", error=type(exc).__name__)
            lane.drop()

    async def _finish(self, flight: Flight) -> Outcomes | None:
        """Finish what is copied; None if that failed, or if copying did."""
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
        """Roll back whatever is copied: a batch that goes by itself must not wait for the keys of the next."""
        ahead.cancel()
        # In order, if PostgreSQL goes along.
        await asyncio.wait([ahead], timeout=_WITHDRAW_SECONDS)
        self.drop()
        await asyncio.wait([ahead])
        self._store.forget()

    def _settle(self, flight: Flight, outcomes: Outcomes) -> None:
        batch, now = flight.batch, time.perf_counter()
        self._ack(batch)
        self._state.count({outcome: outcomes.count(outcome) for outcome in Outcome})
        self._state.metrics.flush_seconds.observe(now - flight.began)
        rows = rows_of(batch, outcomes)
        self._state.metrics.rows.inc(rows)
        self._state.metrics.truncated.inc(sum(is_cut(m) for m in batch if isinstance(m.content, DeadLetter)))
        self.flushes.add(batch, rows, now - max(flight.began, self._settled_at))
        self._settled_at = now
