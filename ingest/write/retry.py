"""Writes one batch alone until it is committed: tries again, in halves, or with a message as a dead letter."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from ingest.db_errors import Fault, StaleMemoryError, blame, classify
from ingest.health import Asker, DatabaseHealth
from ingest.message import DeadLetter, Message, Reading, singly, ven_of
from ingest.partitions import TooOldError
from ingest.write import known_good
from ingest.write.batch import Store
from ingest.write.lane import Lane
from ingest.write.outcomes import Outcomes, together
from shared import db
from shared.db import Connection
from shared.logs import get_logger

log = get_logger(__name__)

Work = Callable[[Connection], Awaitable[Outcomes]]

_BACKOFF_SECONDS = (0.1, 5.0)
# After these, connect again. A read-only server may be a former primary: a new connection may reach the new one.
_CONNECT_AGAIN = (*db.UNREACHABLE, asyncpg.ReadOnlySQLTransactionError)


class Retry:
    """Does not give up: when `write` returns, the batch is committed."""

    def __init__(self, store: Store, health: DatabaseHealth) -> None:
        self._store = store
        self._health = health

    async def reach(self, lane: Lane) -> None:
        """Wait until the database can be used."""

        async def nothing(_: Connection) -> Outcomes:
            return []

        await self._until_done(lane, nothing)

    async def write(self, lane: Lane, batch: Sequence[Message]) -> Outcomes:
        """Store every message of the batch, or make it a dead letter; wait while the database is away."""
        try:
            return await self._until_done(lane, lambda connection: self._store.write(connection, batch))
        except TooOldError as exc:
            _bury_old(batch, exc.raw_from)
            return await self.write(lane, batch)
        except Exception as exc:
            # Any other error is of the rows, or a bug of ours: halves find the message that causes it.
            if not isinstance(exc, asyncpg.PostgresError):
                log.exception("storing_failed", messages=len(batch))
            if len(batch) == 1 and batch[0].parts:
                return [together(await self.write(lane, batch[0].parts))]
            if len(batch) == 1:
                batch[0].content = DeadLetter(blame(exc), ven_of(batch[0].content))
                return await self.write(lane, batch)
            half = len(batch) // 2
            return await self.write(lane, batch[:half]) + await self.write(lane, batch[half:])

    async def _until_done(self, lane: Lane, work: Work) -> Outcomes:
        """Do `work` on a connection until it succeeds; raises only errors that a message causes.

        Before a message is blamed, a known good one is tried, so that no message becomes a dead letter because of a
        fault of the database.
        """
        delay = _BACKOFF_SECONDS[0]
        while not db.cancelled():
            try:
                outcomes = await work(await lane.connected())
            except (asyncpg.PostgresError, *db.UNREACHABLE, StaleMemoryError) as exc:
                match classify(exc):
                    case Fault.ROW:
                        trouble = await known_good.trouble(lane)
                        if trouble is None:
                            raise
                        delay = await self._wait(lane, trouble, delay)
                    case Fault.PARTITION | Fault.AGAIN | Fault.STORED_BEFORE:
                        self._store.forget()
                    case Fault.WAIT:
                        delay = await self._wait(lane, exc, delay)
            else:
                self._health.worked(Asker.WRITER)
                return outcomes
        raise asyncio.CancelledError

    async def _wait(self, lane: Lane, error: BaseException, delay: float) -> float:
        """Wait `delay` s, and close a broken connection; returns how long to wait the next time."""
        self._health.failed(Asker.WRITER, error)
        if isinstance(error, _CONNECT_AGAIN):
            await lane.close()
            self._store.forget()
        await asyncio.sleep(delay)
        return min(delay * 2, _BACKOFF_SECONDS[1])


def _bury_old(batch: Sequence[Message], raw_from: int) -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(raw_from / 1e6))
    for message in singly(batch):
        if isinstance(message.content, Reading) and message.content.ts < raw_from:
            why = f"older than the raw data kept, which starts at {since}"
            message.content = DeadLetter(why, message.content.ven_id)
