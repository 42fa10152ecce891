"""Asks the database once a second whether it answers, independently of the writer and the leader."""

import asyncio

import asyncpg

from ingest.database import probe_connection
from ingest.db_promises import doubts
from ingest.health import Asker, State
from shared import db
from shared.config import Database
from shared.db import Connection

_EVERY_SECONDS = 1.0
# After this the database is reported as down; the probe keeps waiting for its answer.
_ANSWER_SECONDS = 5.0


class Probe:
    """Asks once a second, over a connection of its own."""

    def __init__(self, settings: Database, state: State) -> None:
        self._settings = settings
        self._state = state
        self._health = state.database
        self._connection: Connection | None = None

    async def run(self) -> None:
        """Report when the database goes away and when it is back, until cancelled."""
        try:
            while True:
                await self._watch()
                await asyncio.sleep(_EVERY_SECONDS)
        finally:
            self._drop()

    async def _watch(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            answer = tasks.create_task(self._ask(), name="ask")
            await asyncio.wait([answer], timeout=_ANSWER_SECONDS)
            if not answer.done():
                self._health.failed(Asker.PROBE, TimeoutError())

    async def _ask(self) -> None:
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await probe_connection(self._settings)
                self._state.doubt("database", await doubts(self._connection))
            await self._connection.fetchval("SELECT 1", timeout=self._settings.timeout)
        except (asyncpg.PostgresError, *db.UNREACHABLE) as exc:
            self._drop()
            self._health.failed(Asker.PROBE, exc)
        else:
            self._health.worked(Asker.PROBE)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
