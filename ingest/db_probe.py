"""A sign of life from the database, whatever the writer and the leader are doing: /health depends on it."""

import asyncio

import asyncpg

from ingest.db_errors import explain
from ingest.health import State
from ingest.write.lane import SESSION
from shared import db
from shared.config import Database
from shared.db import Connection

_EVERY_SECONDS = 1.0
# A server that takes longer to say anything is as good as away; it is waited for all the same.
_ANSWER_SECONDS = 5.0


class Pulse:
    """Asks again and again, over a connection of its own."""

    def __init__(self, settings: Database, state: State) -> None:
        self._settings = settings
        self._state = state
        self._connection: Connection | None = None

    async def run(self) -> None:
        """Tell `state` when the database goes away and when it is back, until cancelled."""
        try:
            while True:
                await self._watch()
                await asyncio.sleep(_EVERY_SECONDS)
        finally:
            self._drop()

    async def _watch(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            beat = tasks.create_task(self._beat(), name="beat")
            await asyncio.wait([beat], timeout=_ANSWER_SECONDS)
            if not beat.done():
                self._state.lose_database(explain(TimeoutError()), TimeoutError.__name__)

    async def _beat(self) -> None:
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await db.connect(
                    self._settings, application="ecs-ingest-pulse", server_settings=SESSION
                )
            await self._connection.fetchval("SELECT 1", timeout=self._settings.timeout)
        except (asyncpg.PostgresError, *db.UNREACHABLE) as exc:
            self._drop()
            self._state.lose_database(explain(exc), type(exc).__name__)
        else:
            self._state.find_database(self._settings.host)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
