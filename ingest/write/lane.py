"""A connection that batches are written through, and what every session of ingest asks of PostgreSQL."""

import contextlib

from ingest.write.batch import Store
from shared import db
from shared.config import Database
from shared.db import Connection

# A client that is gone without a word must not hold on to keys, or to the leader's lock.
SESSION = {
    "idle_in_transaction_session_timeout": "90s",
    "tcp_keepalives_idle": "15s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30s",
}
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
                server_settings={
                    "lock_timeout": f"{_LOCK_SECONDS}s",
                    "jit": "off",
                    "timezone": "UTC",
                    **SESSION,
                },
                command_timeout=_STATEMENT_SECONDS,
            )
            _end_writing_when_lost(made)
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


def _end_writing_when_lost(connection: Connection) -> None:
    """A COPY that waits to write on must hear that its connection is gone.

    asyncpg 0.32 lets it wait for ever: event loops do not call resume_writing when a connection is lost. The next
    write then fails. tests/ingest/write/test_writer.py pins this.
    """
    protocol = connection._protocol  # type: ignore[attr-defined]  # noqa: SLF001
    connection.add_termination_listener(lambda _: protocol.resume_writing())
