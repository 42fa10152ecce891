"""`make bench-read`: what answers cost, in PostgreSQL and through the api, with all days and with a tenth of them.

Rows are generated in SQL: 200 VENs x 8 loads x 10 days at one reading a minute, rolled up by the leader's own code.
"""

import argparse
import asyncio
import http.client
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from api.app import create_app
from api.database import Database
from api.settings import Settings
from ingest.database import COUNTING_PLANNER
from shared import config, db
from shared.commands.migrate import migrate
from shared.config import Api
from shared.embedded.postgres import EmbeddedPostgres
from shared.sql import load_blocks
from tests.benchmarks import under_load, year
from tests.benchmarks.machine import machine
from tests.support.leader import count
from tests.support.servers import (
    Process,
    as_environment,
    free_port,
    new_database,
    running,
    temporary_directory,
    wait_until,
)

_SQL = load_blocks(Path(__file__).with_name("read.sql"))
_REPEATS = 100
_STALE_SECONDS = 5.0
_PAYLOAD_BYTES = 1200


class Fleet:
    """A database filled with `vens` x `loads` x `days`, and an api in front of it."""

    def __init__(
        self, server: EmbeddedPostgres, stack: ExitStack, vens: int, loads: int, days: float
    ) -> None:
        self.db = stack.enter_context(new_database(server.settings()))
        self.vens, self.loads, self.days = vens, loads, days
        migrate(self.db)
        # The last reading is a few seconds old: the newest buckets are open, as on any live system.
        self.now = datetime.now(UTC).replace(second=0, microsecond=0)
        self.start = self.now - timedelta(days=days)
        began = time.monotonic()
        asyncio.run(self._fill())
        self.seconds = time.monotonic() - began
        port = free_port()
        directory = stack.enter_context(temporary_directory())
        # Generated VENs stay online while the benchmark runs.
        env = {**as_environment(self.db, Api(port=port)), "VEN_OFFLINE_AFTER": "86400"}
        api = Process(directory, "api", env=env)
        stack.callback(api.kill)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        wait_until(lambda: self.get("/health/db-check") is not None, 30, api.output)

    async def _fill(self) -> None:
        connection = await db.connect(
            self.db, application="fill", server_settings={"timezone": "UTC", "jit": "off"}
        )
        day = self.start.replace(hour=0, minute=0)
        while day <= self.now:
            await connection.execute("SELECT make_raw_day($1)", day)
            day += timedelta(days=1)
        payload = '{"filler":"' + "x" * (_PAYLOAD_BYTES - 14) + '"}'
        for name, *values in (("telemetry", self.vens, payload), ("lists", self.vens, self.loads)):
            await connection.execute(_SQL[name], self.start, self.now, *values)
        await connection.execute(_SQL["vens"])
        await connection.execute("VACUUM (ANALYZE, FREEZE)")
        self.filled_rows = await connection.fetchval("SELECT count(*) FROM ven_telemetry") * (1 + self.loads)
        for name, value in COUNTING_PLANNER.items():
            await connection.execute("SELECT set_config($1, $2, false)", name, value)
        began = time.monotonic()
        await count(connection, datetime.now(UTC))
        self.rollup_seconds = time.monotonic() - began
        await connection.execute("VACUUM ANALYZE")
        self.sizes = [tuple(row) for row in await connection.fetch(_SQL["sizes"])]
        await connection.close()

    def get(self, path: str) -> float | None:
        """Seconds that a GET took over a kept connection; None without a 200."""
        began = time.perf_counter()
        try:
            self.connection.request("GET", path)
            answer = self.connection.getresponse()
            answer.read()
        except OSError:
            self.connection.close()
            return None
        return time.perf_counter() - began if answer.status == 200 else None


def medians(*calls: Callable[[], float | None]) -> list[float]:
    """Medians of many calls, in ms. They take turns, so that what else the machine does meets all of them alike; the
    first few rounds only warm up."""
    rounds = [[call() for call in calls] for _ in range(_REPEATS + 5)][5:]
    times = [[t for t in one if t is not None] for one in zip(*rounds, strict=True)]
    assert all(len(one) == _REPEATS for one in times), "an answer was not a 200"
    return [1000 * median(one) for one in times]


def questions(days: float) -> dict[str, str]:
    """The paths that are asked for, by the names of the questions."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)

    def since(span: timedelta) -> str:
        return (now - span).strftime("start=%Y-%m-%dT%H:%M:%SZ")

    day, all_days = timedelta(days=min(1.0, days)), timedelta(days=days)
    load = "/api/vens/ven-00007/loads/load-3/history"
    return {
        "network, 1 day at 5m": f"/api/stats/network/history?{since(day)}&granularity=5m",
        "network, all days at 1h": f"/api/stats/network/history?{since(all_days)}&granularity=1h",
        "network, everything": "/api/stats/network/history",
        "VEN, 1 day": f"/api/vens/ven-00007/history?{since(day)}",
        "VEN, all days at 1h": f"/api/vens/ven-00007/history?{since(all_days)}&granularity=1h",
        "load, 1 day": f"{load}?{since(day)}",
        "load, all days at 1h": f"{load}?{since(all_days)}&granularity=1h",
        "latest loads": "/api/vens/ven-00007/loads",
        "stats/network": "/api/stats/network",
        "stats/loads": "/api/stats/loads",
    }


async def in_postgres(fleet: Fleet) -> dict[str, float]:
    """Median ms that each question's statements take, from sending a statement until its rows are there."""
    spent = 0.0

    class Timed(Database):
        async def fetch(self, query: str, *values: Any) -> Any:
            nonlocal spent
            began = time.perf_counter()
            rows = await super().fetch(query, *values)
            spent += time.perf_counter() - began
            return rows

    settings = Settings(
        db=fleet.db, api=config.Api(), dashboard=config.Dashboard(ven_offline_after=86400), log=config.Log()
    )
    app = create_app(settings)
    app.state.services.get(Database).__class__ = Timed
    found = {}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client,
    ):
        for name, path in questions(fleet.days).items():
            times = []
            for _ in range(_REPEATS + 5):
                spent = 0.0
                (await client.get(path)).raise_for_status()
                times.append(spent * 1000)
            found[name] = median([t for t in times[5:] if t] or [0.0])
    return found


def show(big: Fleet, small: Fleet, figures: dict[str, tuple[float, float, float, float]]) -> None:
    """Print the tables."""
    table = Table(
        title=f"{big.vens} VENs x {big.loads} loads x {big.days:g} days at 60 s: {big.filled_rows:,} raw rows, "
        f"rolled up in {big.rollup_seconds:.0f} s. {machine()}"
    )
    table.add_column("question")
    window = f"last {small.days:g} day(s) of"
    for head in (
        "in PostgreSQL, ms",
        "through the api, ms",
        f"{window} {big.days:g}, ms",
        f"{window} {small.days:g}, ms",
    ):
        table.add_column(head, justify="right")
    table.add_column("ratio", justify="right")
    for name, (inside, whole, window_big, window_small) in figures.items():
        same = (window_big, window_small, window_big / window_small) if "everything" not in name else ()
        table.add_row(name, f"{inside:.1f}", f"{whole:.1f}", *(f"{figure:.2f}" for figure in same))
    Console(width=150).print(table)
    sizes = Table(title="Bytes a row, with indexes")
    for head in ("table", "rows", "bytes a row"):
        sizes.add_column(head, justify="left" if head == "table" else "right")
    for name, rows, size in big.sizes:
        sizes.add_row(name, f"{rows:,}", f"{size / max(rows, 1):.0f}")
    Console(width=150).print(sizes)


def crowd(server: EmbeddedPostgres, vens: int) -> None:
    """Print what the stats of a large fleet cost, which has reported for a quarter of an hour."""
    with ExitStack() as stack:
        fleet = Fleet(server, stack, vens, 8, 15 / 1440)
        (network,) = medians(lambda: fleet.get("/api/stats/network"))
        loads = []
        for _ in range(5):
            # Who asks after so long waits for a new sum; before, the old one is served and renewed in the background.
            time.sleep(_STALE_SECONDS)
            loads.append(fleet.get("/api/stats/loads") or 0.0)
        print(
            f"{vens:,} VENs x 8 loads: stats/network {network:.1f} ms, "
            f"stats/loads {median(loads) * 1000:.0f} ms when computed (once a second at most)"
        )


def _asking(fleet: Fleet, path: str) -> Callable[[], float | None]:
    return lambda: fleet.get(path)


def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vens", type=int, default=200)
    parser.add_argument("--loads", type=int, default=8)
    parser.add_argument(
        "--days", type=float, default=10, help="days of history of a small fleet; 0: leave out"
    )
    parser.add_argument(
        "--crowd", type=int, default=10_000, help="VENs for the stats of a large fleet; 0: leave out"
    )
    parser.add_argument(
        "--minutes", type=float, default=6, help="minutes of polling while a fleet reports; 0: leave out"
    )
    parser.add_argument("--rate", type=int, default=2000, help="messages/s of that fleet")
    parser.add_argument("--no-dashboard", action="store_true", help="do not poll the api meanwhile")
    options = parser.parse_args()
    if options.minutes:
        dashboard = not options.no_dashboard
        under_load.run(options.crowd or 10_000, options.minutes, options.rate, dashboard=dashboard)
    if not options.days:
        return
    with (
        temporary_directory() as directory,
        running(EmbeddedPostgres(directory / "pg")) as server,
        ExitStack() as stack,
    ):
        big = Fleet(server, stack, options.vens, options.loads, options.days)
        small = Fleet(server, stack, options.vens, options.loads, options.days / 10)
        inside = asyncio.run(in_postgres(big))
        figures: dict[str, tuple[float, float, float, float]] = {}
        window = questions(options.days / 10)
        for name, path in questions(options.days).items():
            calls = (_asking(big, path), _asking(big, window[name]), _asking(small, window[name]))
            whole, window_big, window_small = medians(*calls)
            figures[name] = (inside[name], whole, window_big, window_small)
        show(big, small, figures)
        if options.crowd:
            crowd(server, options.crowd)
        year.run(server, options.vens)


if __name__ == "__main__":
    main()
