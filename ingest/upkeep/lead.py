"""A job that one ingest process does while its session holds an advisory lock; when that session ends, another process
takes over."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from ingest.database import leader_connection
from ingest.health import Asker, DatabaseHealth
from shared import db
from shared.config import Database
from shared.db import Connection
from shared.errors import EcsError
from shared.logs import get_logger

log = get_logger(__name__)

# How long to wait after an error, and while another process leads.
_TRY_SECONDS = 5.0

# Does the job once, and returns the seconds to wait before the next time.
Work = Callable[[Connection], Awaitable[float]]


class Lead:
    """Calls `work` again and again while this process leads, and `look` in every process."""

    def __init__(
        self,
        job: str,
        lock: int,
        settings: Database,
        health: DatabaseHealth,
        work: Work,
        *,
        asker: Asker = Asker.LEADER,
        look: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        self._job = job
        self._lock = lock
        self._settings = settings
        self._health = health
        self._work = work
        self._asker = asker
        self._look = look
        self._connection: Connection | None = None
        self._leads = False

    async def run(self) -> None:
        """Lead whenever nobody else does, until cancelled."""
        try:
            while True:
                pause = _TRY_SECONDS
                try:
                    pause = await self._turn()
                    self._health.worked(self._asker)
                except (EcsError, asyncpg.PostgresError, *db.UNREACHABLE) as exc:
                    if db.cancelled():
                        raise asyncio.CancelledError from exc
                    self._stumble(exc)
                await asyncio.sleep(pause)
        finally:
            self._drop()

    async def _turn(self) -> float:
        if self._connection is None or self._connection.is_closed():
            self._connection, self._leads = await leader_connection(self._settings), False
        if not self._leads:
            self._leads = await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", self._lock)
            if self._leads:
                log.info("leading", job=self._job)
        pause = await self._work(self._connection) if self._leads else _TRY_SECONDS
        if self._look is not None:
            await self._look(self._connection)
        return pause

    def _stumble(self, error: BaseException) -> None:
        self._health.failed(self._asker, error)
        # The lock ends with the session, so that a process without errors can lead.
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
