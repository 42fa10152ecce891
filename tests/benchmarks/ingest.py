"""`make bench-ingest`: messages/s from first publish to last commit, beside psql's \\copy of the same rows.

Everything runs on this machine: the generator, mosquitto, PostgreSQL with stock durability (fsync and
synchronous_commit on), ingest. Each scenario has a fresh database, in a warm server. Compare figures of one run only:
the machine's noise makes those of two runs differ.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from ingest.database import leader_connection
from shared import advisory_locks, logs
from shared.commands.migrate import migrate
from shared.config import Database, Ingest, Log, Mqtt
from shared.embedded.broker import EmbeddedBroker
from shared.embedded.postgres import EmbeddedPostgres
from tests.benchmarks import decode
from tests.benchmarks.cpu import leaders_seconds, seconds_of
from tests.benchmarks.latency import measure
from tests.benchmarks.machine import machine
from tests.benchmarks.profile import profiled
from tests.support.leader import count as count_all
from tests.support.servers import (
    Process,
    as_environment,
    free_port,
    new_database,
    running,
    temporary_directory,
    wait_until,
)
from tests.torture.world import sum_of_outcomes

_LOADS = 8
_RAW_TABLES = ("ven_telemetry", "ven_load_lists")
# WAL segments are kept and reused, as in a server that has worked for some time.
_SERVER_OPTIONS = {"min_wal_size": "2GB"}
_SETTLING_IN = (
    "CREATE TABLE filler (t text)",
    "INSERT INTO filler SELECT repeat(md5(n::text), 60) FROM generate_series(1, 900000) n",
    "DROP TABLE filler",
    "CHECKPOINT",
)


@dataclass
class Scenario:
    """One row of the table."""

    name: str
    workers: int = 1
    rollups: bool = True
    arguments: list[str] = field(default_factory=list)
    vens: int = 5000


SCENARIOS = [
    Scenario("one worker"),
    Scenario("one worker, 10,000 VENs", vens=10_000),
    Scenario("two workers, shared subscription", workers=2),
    Scenario("rollups off", rollups=False),
    Scenario("dead letters 1 %", arguments=["--dead", "0.01"]),
    Scenario("duplicates 5 %", arguments=["--duplicates", "0.05"]),
    Scenario("an hour late", arguments=["--late", "3600"]),
    Scenario("10 % of clocks a minute slow", arguments=["--late", "60", "--late-part", "0.1"]),
]


@dataclass
class Result:
    """What one scenario measured. CPU in seconds, memory in MB."""

    name: str
    messages: int
    rows: int
    seconds: float
    cpu: dict[str, float]
    peak_mb: float
    batch: float
    copy_seconds: float | None
    counting: float


class Worker:
    """One ingest process under load."""

    def __init__(
        self, directory: Path, db: Database, broker_port: int, number: int, group: str | None
    ) -> None:
        self.port = free_port()
        mqtt = Mqtt(host="127.0.0.1", port=broker_port, client_id=f"bench-{number}", shared_group=group)
        env = as_environment(db, mqtt, Ingest(http_port=self.port))
        self.process = Process(directory, "ingest", env=env)

    def handled(self) -> float:
        """How many messages have an outcome."""
        return sum_of_outcomes(self.metrics())

    def metrics(self) -> dict[str, float]:
        """Its unlabelled figures by name; empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        return {
            name: float(value) for name, value in (x.split() for x in lines if x[0] != "#" and "{" not in x)
        }

    def wait_ready(self) -> None:
        """Wait until it is subscribed."""
        wait_until(lambda: self.metrics().get("ecs_ingest_mqtt_connected") == 1, 30, self.process.output)


def run(scenario: Scenario, count: int, *, copy: bool, profile: bool) -> Result:
    """Publish `count` messages and wait until each has its outcome."""
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        server = stack.enter_context(running(EmbeddedPostgres(directory / "pg", _SERVER_OPTIONS)))
        broker = stack.enter_context(running(EmbeddedBroker(directory / "mq", free_port())))
        db = stack.enter_context(new_database(server.settings()))
        migrate(db)
        # A new server would make its WAL segments and touch its memory for the first time while ingest is measured;
        # \copy, which comes second, would not pay for that.
        _psql(server, db, *_SETTLING_IN)
        if not scenario.rollups:
            stack.enter_context(_no_leader(db))
        group = "bench" if scenario.workers > 1 else None
        workers = [Worker(directory, db, broker.port, n, group) for n in range(scenario.workers)]
        for worker in workers:
            stack.callback(worker.process.kill)
            worker.wait_ready()
        if scenario.rollups:
            wait_until(lambda: _count_counted(db), 30)
        groups = {
            "ingest": [w.process.pid for w in workers],
            "postgres": [server.process.pid] if server.process else [],
            "broker": [broker.process.pid] if broker.process else [],
        }
        before = {name: seconds_of(pids) for name, pids in groups.items()}
        with profiled(directory, workers[0].process.pid) if profile else nullcontext():
            published = _generate(broker.port, count, scenario)
            done = _wait_for_outcomes(workers, count)
        cpu = {name: seconds_of(pids) - before[name] for name, pids in groups.items()}
        cpu["generator"] = published["cpu"]
        figures = [worker.metrics() for worker in workers]
        rows = sum(_count(db, table) for table in ("ven_telemetry", "ven_load_samples"))
        flushes = sum(f["ecs_ingest_flush_seconds_count"] for f in figures)
        peak = max(worker.process.peak_mb() for worker in workers)
        counting = leaders_seconds(db)
        for worker in workers:
            worker.process.stop()
        counting += asyncio.run(_count_rest(db))
        copied = _copy_again(server, db, directory) if copy else None
        seconds = done - published["first"]
        return Result(scenario.name, count, rows, seconds, cpu, peak, count / flushes, copied, counting)


@contextmanager
def _no_leader(db: Database) -> Iterator[None]:
    """Hold the locks that the leaders would need, so that nothing is counted."""
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name, autocommit=True) as connection:
        for lock in (advisory_locks.LEADER, advisory_locks.LOADS_LEADER):
            connection.execute("SELECT pg_advisory_lock(%s)", [lock])
        yield


def _count_counted(db: Database) -> int:
    """1 once the leader has begun to count: readings that come from then on may be late."""
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name) as connection:
        row = connection.execute("SELECT count(*) FROM rollup_state WHERE isfinite(watermark)").fetchone()
        return row[0] if row else 0


def _generate(port: int, count: int, scenario: Scenario) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.generator", "--port", str(port), "--count", str(count)]
    command += ["--vens", str(scenario.vens), "--loads", str(_LOADS), *scenario.arguments]
    used = os.times()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    now = os.times()
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    return {**json.loads(done.stdout), "cpu": cpu}


def _wait_for_outcomes(workers: list[Worker], count: int) -> float:
    def all_known() -> float | None:
        now = time.time()
        known = sum(worker.handled() for worker in workers)
        return now if known >= count else None

    return wait_until(all_known, 600) or 0.0


def _count(db: Database, table: str) -> int:
    with psycopg.connect(host=db.host, user=db.user, dbname=db.name) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return row[0] if row else 0


async def _count_rest(db: Database) -> float:
    """Count the rest: late readings, and loads whose time is over. Returns PostgreSQL's CPU seconds for that."""
    connection = await leader_connection(db)
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    await count_all(connection, datetime.now(UTC) + timedelta(minutes=15))
    seconds = seconds_of([pid])
    await connection.close()
    return seconds


def _copy_again(server: EmbeddedPostgres, db: Database, directory: Path) -> float:
    """Seconds that psql's \\copy takes to load the very rows again into emptied tables."""
    files = {table: directory / f"{table}.copy" for table in _RAW_TABLES}
    for table, file in files.items():
        _psql(server, db, f"\\copy (SELECT * FROM {table}) TO '{file}'")
    _psql(server, db, f"TRUNCATE {', '.join(_RAW_TABLES)}", "CHECKPOINT")
    began = time.perf_counter()
    for table, file in files.items():
        _psql(server, db, f"\\copy {table} FROM '{file}'")
    return time.perf_counter() - began


def _psql(server: EmbeddedPostgres, db: Database, *commands: str) -> None:
    arguments = [part for command in commands for part in ("-c", command)]
    assert server.process
    program = [
        str(Path(psutil.Process(server.process.pid).exe()).with_name("psql")),
        "-q",
        "-h",
        db.host,
        "-U",
        db.user,
        "-d",
        db.name,
    ]
    subprocess.run([*program, *arguments], check=True, capture_output=True)


def show(results: list[Result]) -> None:
    """Print one table, with medians for scenarios that ran more than once."""
    by_name: dict[str, list[Result]] = {}
    for result in results:
        by_name.setdefault(result.name, []).append(result)
    times = len(results) // len(by_name)
    table = Table(title=f"Ingest, {machine()}" + (f", medians of {times} runs" if times > 1 else ""))
    heads = ("messages/s", "rows/s", "psql \\copy rows/s", "ratio")
    cpu = ("ingest", "postgres", "broker", "generator")
    table.add_column("scenario")
    for head in (
        *heads,
        *(f"{name} µs/message" for name in cpu),
        *("ingest peak MB", "messages/batch", "counting µs/message"),
    ):
        table.add_column(head, justify="right")
    for name, those in by_name.items():
        copied = [r.rows / r.copy_seconds for r in those if r.copy_seconds]
        ratios = [r.copy_seconds / r.seconds for r in those if r.copy_seconds]
        table.add_row(
            name,
            f"{median(r.messages / r.seconds for r in those):,.0f}",
            f"{median(r.rows / r.seconds for r in those):,.0f}",
            f"{median(copied):,.0f}" if copied else "",
            f"{median(ratios):.2f}" if ratios else "",
            *(f"{median(r.cpu[of] / r.messages for r in those) * 1e6:.0f}" for of in cpu),
            f"{max(r.peak_mb for r in those):.0f}",
            f"{median(r.batch for r in those):.0f}",
            f"{median(r.counting / r.messages for r in those) * 1e6:.1f}",
        )
    Console(width=190).print(table)


def main() -> None:
    """Run the scenarios and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument(
        "--rate", type=int, default=1000, help="messages/s while latency is measured; 0: do not measure it"
    )
    parser.add_argument("--only", type=int, nargs="*", metavar="N", help="run just these scenarios, from 0")
    parser.add_argument(
        "--repeat", type=int, default=1, help="how often, all scenarios in turn; shows medians"
    )
    parser.add_argument("--profile", action="store_true", help="say where the time goes (perf, py-spy)")
    options = parser.parse_args()
    logs.configure(Log(level="warning"), "bench")
    chosen = SCENARIOS if options.only is None else [SCENARIOS[n] for n in options.only]
    results = [
        run(s, options.messages, copy=n == 0, profile=options.profile)
        for _ in range(options.repeat)
        for n, s in enumerate(chosen)
    ]
    show(results)
    Console().print(decode.table())
    if options.rate:
        latency = measure(options.rate)
        print(
            f"from publish until REST shows it, at {latency.rate:,} messages/s: "
            f"p50 {latency.p50:.0f} ms, p95 {latency.p95:.0f} ms, p99 {latency.p99:.0f} ms"
        )


if __name__ == "__main__":
    main()
