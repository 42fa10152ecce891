"""The servers of the fault suite: its own, independent of the settings."""

import asyncio
import http.client
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil

from shared.commands.migrate import migrate
from shared.config import Database, Ingest, Mqtt
from shared.embedded.broker import EmbeddedBroker
from shared.embedded.postgres import EmbeddedPostgres
from tests.support.servers import Process, as_environment, execute, free_port

MEMORY_LIMIT_MB = 150
_DATABASE = "torture"
# A worker that is killed while it answers cuts its answer off.
_CUT_OFF = (OSError, http.client.HTTPException)
_OUTCOMES = ("stored", "duplicate", "dead_lettered", "ignored")


def sum_of_outcomes(figures: dict[str, float]) -> float:
    """How many messages have an outcome, by the figures of one process."""
    return sum(figures.get(f"ecs_ingest_{name}_total", 0) for name in _OUTCOMES)


class Worker:
    """One ingest process that can be killed and started again."""

    def __init__(self, directory: Path, db: Database, mqtt: Mqtt) -> None:
        self._directory = directory
        self._db = db
        self.mqtt = mqtt
        self._port = free_port()
        self.logs: list[str] = []
        self.peak_mb = 0.0
        self.process = self._start()

    def _start(self) -> Process:
        settings = as_environment(self._db, self.mqtt, Ingest(http_port=self._port))
        return Process(self._directory, "ingest", env={**settings, "LOG_FORMAT": "json"})

    def kill(self) -> None:
        """SIGKILL."""
        self.measure()
        self.process.kill()
        self.logs.append(self.process.output())

    def start(self) -> None:
        """Start it again after a kill."""
        self.process = self._start()

    def aim(self, broker_port: int, keepalive: int) -> None:
        """Use the broker at another port from the next start on, with another keepalive (s)."""
        self.mqtt = msgspec.structs.replace(self.mqtt, port=broker_port, keepalive=keepalive)

    def restart(self) -> int:
        """SIGTERM and a new start; returns the exit code of the old one."""
        self.measure()
        code = self.process.stop(timeout=15)
        self.logs.append(self.process.output())
        self.process = self._start()
        return code

    def measure(self) -> None:
        """Note the peak of memory of its present life."""
        if self.process.returncode is None:
            self.peak_mb = max(self.peak_mb, self.process.peak_mb())

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status and body of /health; (0, {}) while there is no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=2) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        except _CUT_OFF:
            return 0, {}

    def waiting_for(self) -> dict[str, str]:
        """What /health says it waits for, by server."""
        waiting: dict[str, str] = self.health()[1].get("waitingFor", {})
        return waiting

    def metrics(self) -> dict[str, float]:
        """Figures without labels, by name; empty while there is no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=2) as answer:
                lines = answer.read().decode().splitlines()
        except _CUT_OFF:
            return {}
        return {
            name: float(value) for name, value in (x.split() for x in lines if x[0] != "#" and "{" not in x)
        }

    def handled(self) -> float:
        """How many messages have an outcome."""
        return sum_of_outcomes(self.metrics())

    def lives(self) -> list[list[dict[str, Any]]]:
        """The log records of each of its lives, the present one last."""
        return [
            [json.loads(line) for line in log.splitlines() if line.startswith("{") and line.endswith("}")]
            for log in (*self.logs, self.process.output())
        ]


class World:
    """PostgreSQL, a broker and ingest processes, in `directory`."""

    def __init__(self, directory: Path, workers: int = 1) -> None:
        self.directory = directory
        self.postgres = EmbeddedPostgres(directory / "pg", {"autovacuum_naptime": "5s"})
        self.broker = EmbeddedBroker(directory / "mq", free_port())
        self.postgres.start()
        self.broker.start()
        self.postgres.create_database(_DATABASE)
        self.db = self.postgres.settings(_DATABASE)
        migrate(self.db)
        group = "torture" if workers > 1 else None
        self.workers = [
            Worker(
                directory,
                self.db,
                Mqtt(
                    host="127.0.0.1",
                    port=self.broker.port,
                    client_id=f"torture-{n}",
                    shared_group=group,
                ),
            )
            for n in range(workers)
        ]
        self._turns = itertools.cycle(self.workers)

    def close(self) -> None:
        """Stop everything."""
        for worker in self.workers:
            worker.process.kill()
        self.broker.stop()
        self.postgres.stop()

    def in_turn(self) -> Worker:
        """The worker that the next fault hits: one after the other."""
        return next(self._turns)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of one statement, in a connection of its own."""
        return execute(self.db, statement, *values)

    @contextmanager
    def postgres_frozen(self) -> Iterator[None]:
        """SIGSTOP for every process of PostgreSQL, SIGCONT at the end."""
        assert self.postgres.process
        server = psutil.Process(self.postgres.process.pid)
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    async def healthy(self, timeout: float = 60) -> float:  # noqa: ASYNC109 a deadline for polling
        """Wait until every worker's /health is 200; returns the seconds that took."""
        began = time.monotonic()
        while any(worker.health()[0] != 200 for worker in self.workers):
            if time.monotonic() - began > timeout:
                raise AssertionError([worker.health() for worker in self.workers])
            await asyncio.sleep(0.05)
        return time.monotonic() - began
