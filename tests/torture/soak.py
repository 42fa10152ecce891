"""A steady load for a long time while the api is polled: memory stays flat, and the lag does not grow."""

import asyncio
import sys
import time
import urllib.request

import psutil
from rich.console import Console
from rich.table import Table

from shared.config import Api
from tests.benchmarks.machine import machine
from tests.support.servers import Process, as_environment, free_port, wait_until
from tests.torture import verify
from tests.torture.rounds import world_of
from tests.torture.world import Worker

RATE = 2000
_SAMPLES = 15


async def soak(minutes: float) -> None:
    """Publish 2,000 messages/s of 8 loads for `minutes`; print a table of samples over that time."""
    async with world_of() as world:
        worker = world.workers[0]
        port = free_port()
        api = Process(world.directory, "api", env=as_environment(world.db, Api(port=port)))
        try:
            wait_until(lambda: _get(port, "/health/db-check") is not None, 30, api.output)
            rows = await _watch(world.broker.port, port, worker, api, minutes)
        finally:
            api.kill()
        verify.sound(world)
        verify.accounted(world)
    table = Table(title=f"{RATE} messages/s for {minutes:g} min, {machine()}")
    for head in ("minute", "ingest MB", "api MB", "messages behind", "oldest s", "stats/network ms"):
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)


async def _watch(
    broker_port: int, api_port: int, worker: Worker, api: Process, minutes: float
) -> list[tuple[str, ...]]:
    count = int(RATE * minutes * 60)
    command = ["-m", "tests.benchmarks.generator", "--port", str(broker_port), "--count", str(count)]
    generator = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--rate", str(RATE), stdout=asyncio.subprocess.DEVNULL
    )
    began = time.monotonic()
    rows: list[tuple[str, ...]] = []
    for n in range(1, _SAMPLES + 1):
        due = began + minutes * 60 * n / _SAMPLES
        latency: float | None = 0.0
        while time.monotonic() < due:
            latency = await asyncio.to_thread(_get, api_port, "/api/stats/network")
            await asyncio.sleep(min(1.0, max(0.0, due - time.monotonic())))
        worker.measure()
        figures = worker.metrics()
        rows.append(
            (
                f"{minutes * n / _SAMPLES:.1f}",
                f"{psutil.Process(worker.process.pid).memory_info().rss / 2**20:.0f}",
                f"{psutil.Process(api.pid).memory_info().rss / 2**20:.0f}",
                f"{figures.get('ecs_ingest_unacked', -1):.0f}",
                f"{figures.get('ecs_ingest_oldest_unacked_seconds', -1):.2f}",
                f"{latency * 1000:.0f}" if latency is not None else "no answer",
            )
        )
    await generator.wait()
    return rows


def _get(port: int, path: str) -> float | None:
    """Seconds that a GET took; None without a 200."""
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            answer.read()
    except OSError:
        return None
    return time.perf_counter() - began
