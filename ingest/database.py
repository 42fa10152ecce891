"""Every connection that ingest makes to PostgreSQL, and every setting of its sessions."""

from shared import db
from shared.config import Database
from shared.db import Connection

# PostgreSQL ends a session whose machine no longer answers. Otherwise the session would keep its locks on keys, or the
# leader's lock, for hours.
_SESSION = {
    "timezone": "UTC",
    "jit": "off",
    "idle_in_transaction_session_timeout": "90s",
    "tcp_keepalives_idle": "15s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30s",
}
# For sessions that roll up. A bucket is a short stretch of time and nearly every VEN. Before a partition is
# analyzed, the planner would read all of it, or walk its whole (ven_id, ts) index and sort; BRIN and one hash
# table are right with and without statistics.
ROLLUP_PLANNER = {
    "work_mem": "64MB",
    "enable_seqscan": "off",
    "enable_indexscan": "off",
    "enable_sort": "off",
    "enable_incremental_sort": "off",
}
# A statement that takes longer is given up: the server may be gone. A rollup of an hour of a large fleet takes long.
_WRITE_SECONDS = 60
_ROLLUP_SECONDS = 300
_LOCK_TIMEOUT = {"lock_timeout": "5s"}


async def writer_connection(settings: Database) -> Connection:
    """For batches; raises one of db.UNREACHABLE, or a login error, as all of these do."""
    return await db.connect(
        settings,
        application="ecs-ingest",
        server_settings={**_SESSION, **_LOCK_TIMEOUT},
        command_timeout=_WRITE_SECONDS,
    )


async def leader_connection(settings: Database) -> Connection:
    """For partitions, rollups and retention."""
    return await db.connect(
        settings,
        application="ecs-ingest-leader",
        server_settings={**_SESSION, **_LOCK_TIMEOUT, **ROLLUP_PLANNER},
        command_timeout=_ROLLUP_SECONDS,
    )


async def rebuild_connection(settings: Database) -> Connection:
    """For `ecs-backend rollup --rebuild`, which waits for the leader's steps: a lock may take as long as a rollup."""
    return await db.connect(
        settings,
        application="ecs-rebuild",
        server_settings={**_SESSION, **ROLLUP_PLANNER},
        command_timeout=_ROLLUP_SECONDS,
    )


async def probe_connection(settings: Database) -> Connection:
    """For asking whether the database answers."""
    return await db.connect(settings, application="ecs-ingest-probe", server_settings=_SESSION)
