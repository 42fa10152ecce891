"""How much CPU time processes have used."""

from contextlib import suppress

import psutil
import psycopg

from shared import advisory_locks
from shared.config import Database

_LEADERS = (advisory_locks.LEADER, advisory_locks.LOADS_LEADER)


def seconds_of(pids: list[int]) -> float:
    """User and system seconds of these processes and of all they have started, those that have ended included."""
    total = 0.0
    for process in (
        p for pid in pids for p in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
    ):
        # It may end meanwhile; the process that started it counts it from then on.
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def leaders_seconds(db: Database, *locks: int) -> float:
    """CPU seconds of PostgreSQL's processes that have served the leaders so far: those who hold `locks`, or all."""
    query = """
        SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = current_database()
        WHERE locktype = 'advisory' AND granted AND objid::bigint = ANY(%s)
    """
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name) as connection:
        return seconds_of([pid for (pid,) in connection.execute(query, [list(locks or _LEADERS)])])
