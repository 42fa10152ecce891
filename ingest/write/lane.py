"""A connection that batches are written through."""

import contextlib

from ingest.database import writer_connection
from ingest.write.batch import Store
from shared import db
from shared.config import Database
from shared.db import Connection


class Lane:
    """A connection that is made when it is first needed, and again after it broke."""

    def __init__(self, settings: Database, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._connection: Connection | None = None

    async def connected(self) -> Connection:
        """The connection; raises one of db.UNREACHABLE, or a login error."""
        if self._connection is None or self._connection.is_closed():
            made = await writer_connection(self._settings)
            try:
                await self._store.prepare(made)
            except BaseException:
                made.terminate()
                raise
            self._connection = made
        return self._connection

    def drop(self) -> None:
        """End the connection at once, also within a statement; its transaction is rolled back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """Close the connection in the orderly way; after 2 s, end it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*db.UNREACHABLE):
                await connection.close(timeout=2)
