"""Every connection that ingest makes to PostgreSQL, and every setting of its sessions."""

import asyncio
from typing import Any

import asyncpg

from shared import db
from shared.config import Database
from shared.db import Connection
from shared.logs import get_logger

log = get_logger(__name__)

# With these, PostgreSQL ends the session of a client machine that no longer answers. Otherwise such a session would
# keep its locks on keys, or the leader's lock, for hours.
_SESSION = {
    "timezone": "UTC",
    "jit": "off",
    "idle_in_transaction_session_timeout": "90s",
    "tcp_keepalives_idle": "15s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30s",
}
# For sessions that count. They read short stretches of nearly every VEN, and the planner's statistics of today's
# partition are missing or out of date: look-ups by time or key are always right, and so are sums in a hash table; whole
# scans, sorted joins and sums of sorted rows never are. With a bitmap for the samples of each list, or with all samples
# sorted, loads would cost half as much again.
COUNTING_PLANNER = {
    "work_mem": "64MB",
    "plan_cache_mode": "force_custom_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_mergejoin": "off",
    "enable_sort": "off",
    "enable_incremental_sort": "off",
}
# After this, a statement is given up, because the server may be gone. Counting many hours of a large fleet at once
# takes minutes.
_WRITE_SECONDS = 60
_COUNT_SECONDS = 300
_LOCK_TIMEOUT = {"lock_timeout": "5s"}


async def writer_connection(settings: Database) -> Connection:
    """For batches. This and the other three raise one of db.UNREACHABLE, or a login error."""
    return await db.connect(
        settings,
        application="ecs-ingest",
        server_settings={**_SESSION, **_LOCK_TIMEOUT},
        command_timeout=_WRITE_SECONDS,
    )


async def leader_connection(settings: Database) -> Connection:
    """For partitions, counting and retention."""
    return await db.connect(
        settings,
        application="ecs-ingest-leader",
        server_settings={**_SESSION, **_LOCK_TIMEOUT, **COUNTING_PLANNER},
        command_timeout=_COUNT_SECONDS,
    )


async def rebuild_connection(settings: Database) -> Connection:
    """For `ecs-backend rollup --rebuild`. It has no lock_timeout, because it waits for the leader's steps."""
    return await db.connect(
        settings,
        application="ecs-rebuild",
        server_settings={**_SESSION, **COUNTING_PLANNER},
        command_timeout=_COUNT_SECONDS,
    )


async def probe_connection(settings: Database) -> Connection:
    """For short questions: whether the database answers, what an MQTT session is subscribed to, doctor's checks."""
    return await db.connect(settings, application="ecs-ingest-probe", server_settings=_SESSION)


def leave_lost(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The event loop's handler for unhandled errors: logs those of lost connections without a traceback.

    When a connection breaks while asyncpg 0.32 cancels a statement, one of its futures stays behind, and nothing awaits
    that future. The code that used the connection has the error already.
    """
    lost = isinstance(context.get("exception"), asyncpg.ConnectionDoesNotExistError)
    if lost and not isinstance(context.get("future", context), asyncio.Task | dict):
        log.debug("future_of_lost_connection")
        return
    loop.default_exception_handler(context)
