"""What the history of a year by day costs, from rows of 15 minutes as the leader leaves them and nothing narrower.

Part of `make bench-read`; alone: `python -m tests.benchmarks.year`.
"""

import argparse
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles

import httpx
import psycopg

from shared.commands.migrate import migrate
from shared.config import Api, Database
from shared.embedded.postgres import EmbeddedPostgres
from tests.benchmarks.machine import machine
from tests.support.servers import (
    Process,
    as_environment,
    free_port,
    new_database,
    running,
    temporary_directory,
    wait_until,
)

_DAYS, _REPEATS = 365, 40
# In the order of time, as the leader writes them: the rows of one VEN lie on pages of their own.
_FILL = (
    """SELECT make_rollup_month(m) FROM generate_series(%(start)s::timestamptz, %(end)s, interval '27 days') AS m""",
    """INSERT INTO ven_power_15m
       SELECT 'ven-' || lpad(v::text, 5, '0'), t, 5e8 + v * 1e5, 1e7, 0, 9e8, 0, NULL
       FROM generate_series(%(start)s::timestamptz, %(end)s::timestamptz - interval '1 us', interval '15 minutes') AS t,
            generate_series(1, %(vens)s) AS v""",
    """INSERT INTO network_power_15m
       SELECT bucket, sum(used_uwh), sum(shed_uwh), sum(requested_uwh), sum(covered_us), sum(event_us), max(event_id)
       FROM ven_power_15m GROUP BY bucket""",
    "INSERT INTO vens (ven_id, first_seen_at, last_seen_at) SELECT DISTINCT ven_id, now(), now() FROM ven_power_15m",
    """UPDATE rollup_state SET watermark = %(end)s, loads_watermark = %(end)s, closing = %(end)s, raw_from = %(end)s,
           fine_from = %(end)s, coarse_from = %(start)s, loads_from = %(start)s, first_at = %(start)s""",
    "VACUUM (ANALYZE, FREEZE)",
)


def fill(db: Database, vens: int, start: datetime, end: datetime) -> None:
    """Fill the tiers of 15 minutes with [start, end)."""
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name, autocommit=True) as connection:
        for statement in _FILL:
            values = {"vens": vens, "start": start, "end": end}
            connection.execute(statement, values if "%(" in statement else None)


def run(server: EmbeddedPostgres, vens: int) -> None:
    """Fill, ask, print."""
    with ExitStack() as stack:
        db = stack.enter_context(new_database(server.settings()))
        migrate(db)
        end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        start, port = end - timedelta(days=_DAYS), free_port()
        fill(db, vens, start, end)
        directory = stack.enter_context(temporary_directory())
        api = Process(directory, "api", env=as_environment(db, Api(port=port)))
        stack.callback(api.kill)
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60))
        wait_until(lambda: _is_up(client), 30, api.output)
        print(f"a year by day, of rows of 15 minutes, {vens} VENs. {machine()}")
        span = f"?granularity=1d&start={start:%Y-%m-%d}&end={end:%Y-%m-%d}"
        for name, path in (
            ("VEN", "/api/vens/ven-00007/history" + span),
            ("network", "/api/stats/network/history" + span),
        ):
            times = [_ask(client, path, name == "network") for _ in range(_REPEATS)]
            print(f"{name}: median {median(times):.1f} ms, p95 {quantiles(times, n=20)[18]:.1f} ms")


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/health/db-check").status_code == 200
    except httpx.HTTPError:
        return False


def _ask(client: httpx.Client, path: str, shared: bool) -> float:
    """ms of one answer with all its points. If it is shared for a second, wait until it is computed again."""
    if shared:
        time.sleep(1.05)
        client.get("/api/stats/network")
    began = time.perf_counter()
    answer = client.get(path)
    took = (time.perf_counter() - began) * 1000
    points = answer.json()["points"]
    assert len(points) == _DAYS, len(points)
    return took


def main() -> None:
    """Start the servers, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vens", type=int, default=200)
    options = parser.parse_args()
    with temporary_directory() as directory, running(EmbeddedPostgres(directory / "pg")) as server:
        run(server, options.vens)


if __name__ == "__main__":
    main()
