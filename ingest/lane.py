"""A connection that batches are written through."""

import contextlib

from ingest.store import Store
from shared import db
from shared.config import Database
from shared.db import Connection

# A server that takes longer for one statement than this is as good as away.
_STATEMENT_SECONDS = 60
_LOCK_SECONDS = 5


class Lane:
    """A connection, made when it is needed and again after it broke."""

    def __init__(self, settings: Database, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._connection: Connection | None = None

    async def connected(self) -> Connection:
        """The connection; raises one of db.UNREACHABLE, or what the database says to a login."""
        if self._connection is None or self._connection.is_closed():
            made = await db.connect(
                self._settings,
                application="ecs-ingest",
                server_settings={"lock_timeout": f"{_LOCK_SECONDS}s", "jit": "off", "timezone": "UTC"},
                command_timeout=_STATEMENT_SECONDS,
            )
            try:
                await self._store.prepare(made)
            except BaseException:
                made.terminate()
                raise
            self._connection = made
        return self._connection

    def drop(self) -> None:
        """End the connection at once, whatever it is doing; its transaction is rolled back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """Give the connection back in order."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*db.UNREACHABLE):
                await connection.close(timeout=2)
