"""One at a time counts: the leader, or a rebuild beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.db import Connection


@asynccontextmanager
async def alone(connection: Connection, lock: int) -> AsyncIterator[None]:
    """A transaction with one snapshot, taken once nobody else holds the advisory lock `lock`: a lock of the
    transaction's own would come after its snapshot.

    Whatever goes wrong inside ends the session, and the lock with it: a server that stands still is asked nothing.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", lock)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            yield
    except BaseException:
        connection.terminate()
        raise
    await connection.execute("SELECT pg_advisory_unlock($1)", lock)
