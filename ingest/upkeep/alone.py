"""Only one session counts at a time: the leader's, or that of a rebuild beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.db import Connection


@asynccontextmanager
async def alone(connection: Connection, lock: int) -> AsyncIterator[None]:
    """A transaction, begun when the session has got the advisory lock `lock`.

    Each statement has a snapshot of its own: with one for the whole transaction, it could not update rollup_state if
    another has moved its watermark meanwhile. So one statement reads raw rows and the notes of those that are late.

    Any error inside ends the session, which releases the lock: a server that has stopped may never answer an unlock.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", lock)
    try:
        async with connection.transaction(isolation="read_committed"):
            yield
    except BaseException:
        connection.terminate()
        raise
    await connection.execute("SELECT pg_advisory_unlock($1)", lock)
