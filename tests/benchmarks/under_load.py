"""What answers cost while a fleet of 8 loads a VEN reports, and whether counting keeps up with it."""

import asyncio
import http.client
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import NamedTuple, cast

import psycopg
from paho.mqtt import publish
from rich.console import Console
from rich.table import Table

from shared import advisory_locks
from shared.commands.migrate import migrate
from shared.config import Api, Database, Ingest, Mqtt
from shared.embedded.broker import EmbeddedBroker
from shared.embedded.postgres import EmbeddedPostgres
from tests.benchmarks import yardstick
from tests.benchmarks.cpu import leaders_seconds
from tests.benchmarks.machine import machine
from tests.benchmarks.yardstick import Yardstick
from tests.support.servers import (
    Process,
    as_environment,
    free_port,
    new_database,
    running,
    temporary_directory,
    wait_until,
)

_ASKING_SECONDS = 5.0
_YARDSTICK_EVERY_SECONDS = 60.0
# A fleet begins so long before five minutes are over. So what is counted of a first part of five minutes is counted
# before anything is measured.
_EARLY_SECONDS, _FIVE_MINUTES = 20.0, 300.0
_COUNTED = """
SELECT (SELECT count(*) FROM ven_telemetry WHERE ts < watermark),
       (SELECT count(*) FROM ven_load_lists WHERE ts < loads_watermark)
FROM rollup_state
"""
_VEN, _DAYS_POINTS = "bench-00007", 288
# The VENs of the sixteen clients.
_OTHERS = "bench-000{n}"
_CLIENTS = range(10, 26)
QUESTIONS = {
    "stats/network": "/api/stats/network",
    "stats/loads": "/api/stats/loads",
    "network history": "/api/stats/network/history",
    "network history, 1m": "/api/stats/network/history?granularity=1m",
    "VEN history": f"/api/vens/{_VEN}/history",
    "load history": f"/api/vens/{_VEN}/loads/{_VEN}-3/history",
}


class System(NamedTuple):
    """Ingest and the api, on servers of their own."""

    db: Database
    broker: EmbeddedBroker
    ingest_port: int
    api_port: int


def start(stack: ExitStack, fill: Callable[[Database], None] | None = None) -> System:
    """Start everything, and wait until it answers. `fill` is called first, to put data into the database."""
    directory = stack.enter_context(temporary_directory())
    server = stack.enter_context(running(EmbeddedPostgres(directory / "pg")))
    broker = stack.enter_context(running(EmbeddedBroker(directory / "mq", free_port())))
    db = stack.enter_context(new_database(server.settings()))
    migrate(db)
    if fill:
        fill(db)
    ingest_port, api_port = free_port(), free_port()
    mqtt = Mqtt(host="127.0.0.1", port=broker.port)
    for module, settings in (
        ("ingest", (mqtt, Ingest(http_port=ingest_port))),
        ("api", (Api(port=api_port),)),
    ):
        process = Process(directory, module, env=as_environment(db, *settings))
        stack.callback(process.kill)
        port = ingest_port if module == "ingest" else api_port
        wait_until(lambda port=port: _get(port, "/health") is not None, 30, process.output)  # type: ignore[misc]
    return System(db, broker, ingest_port, api_port)


def _get(port: int, path: str) -> float | None:
    """Seconds that a GET took over a new connection; None without a 200."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    except OSError:
        return None
    finally:
        connection.close()
    return time.perf_counter() - began if answer.status == 200 else None


def poll(system: System, vens: int, minutes: float, rate: int, questions: Mapping[str, str]) -> None:
    """Poll once a second while the fleet reports, `rate` messages/s; print the table and what ingest was doing."""
    count = round(rate * minutes * 60)
    command = [sys.executable, "-m", "tests.benchmarks.generator", "--port", str(system.broker.port)]
    command += ["--count", str(count), "--vens", str(vens), "--rate", str(rate)]
    times: dict[str, list[float]] = {name: [] for name in questions}
    lags: list[float] = []
    if minutes * 60 >= _FIVE_MINUTES + 60:
        time.sleep((-time.time() - _EARLY_SECONDS) % _FIVE_MINUTES)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as generator:
        # In the first minute, the buckets that are asked for are not there yet.
        time.sleep(min(60.0, minutes * 20))
        before, after, watermark = _counted(system.db), None, _loads_watermark(system.db)
        yardsticks: list[Yardstick] = []
        next_yardstick = time.monotonic() + _YARDSTICK_EVERY_SECONDS
        while generator.poll() is None:
            if time.monotonic() >= next_yardstick:
                yardsticks.append(asyncio.run(yardstick.of_last_minute(system.db)))
                next_yardstick += _YARDSTICK_EVERY_SECONDS
            due = time.monotonic() + 1
            for name, path in questions.items():
                times[name].append((_get(system.api_port, path) or 30.0) * 1000)
            lags.append(_metric(system.ingest_port, "ecs_rollup_lag_seconds"))
            if (moved := _loads_watermark(system.db)) > watermark:
                after, watermark = _counted(system.db), moved
            time.sleep(max(0.0, due - time.monotonic()))
    every = f"{vens / rate:.2g}"
    table = Table(title=f"{vens:,} VENs x 8 loads every {every} s for {minutes:g} min. {machine()}")
    for head in ("polled once a second", "median ms", "p95 ms", "worst ms"):
        table.add_column(head, justify="left" if head.startswith("polled") else "right")
    for name, those in times.items():
        cut = quantiles(those, n=20)
        table.add_row(name, f"{cut[9]:.1f}", f"{cut[18]:.1f}", f"{max(those):.1f}")
    Console(width=120).print(table)
    _print_ingest(system, count, lags)
    _print_counting(before, after or _counted(system.db), yardsticks)


def _print_ingest(system: System, count: int, lags: list[float]) -> None:
    """Print what ingest and the leader did meanwhile; a growing lag would show in the last third."""
    figures, third = _metrics(system.ingest_port), max(1, len(lags) // 3)
    first, last = sum(lags[:third]) / third, sum(lags[-third:]) / third
    tick = 1000 * figures["ecs_rollup_tick_seconds_sum"] / max(1.0, figures["ecs_rollup_tick_seconds_count"])
    print(
        f"stored {figures['ecs_ingest_stored_total']:,.0f} of {count:,}, "
        f"oldest in hand {figures['ecs_ingest_oldest_unacked_seconds']:.2f} s\n"
        f"the watermark is behind by {first:.1f} s in the first third, by {last:.1f} s in the last; "
        f"a tick takes {tick:.0f} ms\n"
        f"ven_open has {_size(system.db, 'ven_open') / 2**20:.1f} MiB"
    )


class Counted(NamedTuple):
    """Readings and lists of loads that are counted, and the CPU seconds of PostgreSQL's processes that counted them."""

    readings: int
    lists: int
    readings_seconds: float
    lists_seconds: float


def _counted(db: Database) -> Counted:
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name) as connection:
        row = connection.execute(_COUNTED).fetchone()
    assert row is not None
    seconds = (leaders_seconds(db, lock) for lock in (advisory_locks.LEADER, advisory_locks.LOADS_LEADER))
    return Counted(*row, *seconds)


def _loads_watermark(db: Database) -> datetime:
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name) as connection:
        row = connection.execute("SELECT loads_watermark FROM rollup_state").fetchone()
    assert row is not None
    return cast("datetime", row[0])


def _print_counting(before: Counted, after: Counted, yardsticks: list[Yardstick]) -> None:
    """Print what counting took, from the first minute until loads were last counted. They are counted every five
    minutes: a short run does not see it."""
    readings, lists, of_readings, of_lists = (b - a for a, b in zip(before, after, strict=True))
    vens, loads = 1e6 * of_readings / max(1, readings), 1e6 * of_lists / max(1, lists)
    plain = 1e6 * sum(each.seconds for each in yardsticks) / max(1, sum(each.readings for each in yardsticks))
    print(
        f"counting takes {vens:.1f} us of CPU a message, and {loads:.1f} for its loads: {vens + loads:.1f}, "
        f"{(vens + loads) / max(0.1, plain):.1f} times the yardstick of {plain:.1f} us"
        if lists
        else f"counting takes {vens:.1f} us of CPU a message; no loads were counted in this time"
    )


def _report_a_day(system: System, paths: Mapping[str, str]) -> None:
    """Publish the last day of VENs, late: their histories (`paths`) lack it; returns when all points are there."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    every = [hour - timedelta(minutes=5) * n for n in range(_DAYS_POINTS + 1)]
    readings = [
        {"timestamp": at.timestamp(), "usedPowerKw": 1 + n / 1000, "shedPowerKw": n / 7000}
        for n, at in enumerate(every)
    ]
    days = (json.dumps([{"venId": ven, **reading} for reading in readings]) for ven in paths)
    publish.multiple([("volttron/metering", day, 1, False) for day in days], port=system.broker.port)
    for path in paths.values():
        wait_until(lambda path=path: _points(system.api_port, path) == _DAYS_POINTS, 60)  # type: ignore[misc]


def _points(port: int, path: str) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return len(json.load(answer)["points"])


def front_door(system: System) -> None:
    """Print the requests a second that one api process answers, and their ratio to /health in the same run."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    span = f"start={hour - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}&end={hour:%Y-%m-%dT%H:%M:%SZ}"
    day = f"/history?granularity=5m&{span}"
    vens = (_VEN, *(_OTHERS.format(n=n) for n in _CLIENTS))
    _report_a_day(system, {ven: f"/api/vens/{ven}{day}" for ven in vens})
    paths = {
        "/health": "/health",
        "stats/network": "/api/stats/network",
        f"VEN history, a day by 5m ({_DAYS_POINTS} points), one VEN": f"/api/vens/{_VEN}{day}",
        "the same, sixteen VENs": f"/api/vens/{_OTHERS}{day}",
        "network history": "/api/stats/network/history",
    }
    table = Table(title="One api process, 16 connections")
    for head in ("question", "requests/s", "of /health"):
        table.add_column(head, justify="left" if head == "question" else "right")
    found = {name: _per_second(system.api_port, path) for name, path in paths.items()}
    for name, each in found.items():
        table.add_row(name, f"{each:,.0f}", f"{each / found['/health']:.2f}")
    Console(width=120).print(table)


def _per_second(port: int, path: str) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.clients", "--port", str(port), "--path", path]
    done = subprocess.run(
        [*command, "--seconds", str(_ASKING_SECONDS)], check=True, capture_output=True, text=True
    )
    answered = json.loads(done.stdout)
    return float(answered["requests"] / answered["seconds"])


def _metrics(port: int) -> dict[str, float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return {
        name: float(value)
        for name, value in (line.split() for line in lines if line[0] != "#" and "{" not in line)
    }


def _metric(port: int, name: str) -> float:
    return _metrics(port).get(name, 0.0)


def _size(db: Database, table: str) -> int:
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name) as connection:
        row = connection.execute("SELECT pg_total_relation_size(%s::regclass)", [table]).fetchone()
        return row[0] if row else 0


def run(vens: int, minutes: float, rate: int, *, dashboard: bool) -> None:
    """Start everything, poll, print. Without a `dashboard`, nothing is asked of the api."""
    with ExitStack() as stack:
        system = start(stack)
        poll(system, vens, minutes, rate, QUESTIONS if dashboard else {})
        if dashboard:
            front_door(system)
