"""How much CPU time processes have used."""

from contextlib import suppress

import psutil
import psycopg

from shared.config import Database


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


def leaders_seconds(db: Database) -> float:
    """CPU seconds of PostgreSQL's processes that the leaders have used so far."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ecs-ingest-leader'"
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name) as connection:
        return seconds_of([pid for (pid,) in connection.execute(query)])
