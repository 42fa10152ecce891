"""The servers that tests talk to, and small helpers around them.

PostgreSQL and the broker come from, in this order: TEST_DB_HOST (with _PORT, _USER, _PASSWORD, _NAME, _SSLMODE,
_CA_CERT) and TEST_MQTT_HOST (with _PORT); containers, if a Docker daemon answers; embedded ones in a temporary
directory.
"""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import psutil
import psycopg
from psycopg.sql import SQL, Identifier

from shared.config import Database, read
from shared.db import libpq_arguments
from shared.embedded.broker import EmbeddedBroker
from shared.embedded.child import spawn, stop
from shared.embedded.postgres import EmbeddedPostgres
from shared.ports import accepts

T = TypeVar("T")
Address = tuple[str, int]
_POLL_SECONDS = 0.02
# Data of tests need not survive a crash of the machine; a killed server still loses nothing.
QUICK = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_prepared_transactions": "10",
}


@contextmanager
def postgres_server() -> Iterator[Database]:
    """A PostgreSQL for the session: the settings of a user who may create databases and roles."""
    if "TEST_DB_HOST" in os.environ:
        yield _database_from_environment()
    elif docker_answers():
        from tests.support import containers

        with containers.postgres(QUICK) as settings:
            yield settings
    else:
        with (
            temporary_directory() as directory,
            running(EmbeddedPostgres(directory / "pg", QUICK)) as server,
        ):
            yield server.settings()


@contextmanager
def broker_server() -> Iterator[Address]:
    """A broker for the session: its host and port."""
    if "TEST_MQTT_HOST" in os.environ:
        yield os.environ["TEST_MQTT_HOST"], int(os.environ.get("TEST_MQTT_PORT", "1883"))
    elif docker_answers():
        from tests.support import containers

        with containers.broker() as address:
            wait_until(lambda: accepts(*address), timeout=30)
            yield address
    else:
        with (
            temporary_directory() as directory,
            running(EmbeddedBroker(directory / "mq", free_port())) as server,
        ):
            yield server.host, server.port


@contextmanager
def new_database(admin: Database, template: str | None = None) -> Iterator[Database]:
    """A database of its own, a copy of `template` if one is named, dropped at the end."""
    name = f"ecs_test_{os.getpid()}_{time.monotonic_ns()}"
    source = SQL(" TEMPLATE {} STRATEGY file_copy").format(Identifier(template)) if template else SQL("")
    execute(admin, SQL("CREATE DATABASE {}{}").format(Identifier(name), source))
    try:
        yield msgspec.structs.replace(admin, name=name)
    finally:
        wait_until(lambda: _dropped(admin, name), 30)


def _dropped(admin: Database, name: str) -> bool:
    """Drop it; False while autovacuum works in it, because an ordinary owner may not end autovacuum's session."""
    try:
        execute(admin, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def connect(settings: Database, *, autocommit: bool = False) -> psycopg.Connection:
    """A connection; as a context manager it commits at the end, and closes."""
    return psycopg.connect(**libpq_arguments(settings), autocommit=autocommit)


def execute(settings: Database, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement (`%s` for each value) in a connection of its own; its rows, if it has any."""
    with connect(settings, autocommit=True) as connection:
        cursor = connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


class Process:
    """A program under test: `python -m <module> …` in an empty directory, with only `env` and PATH.

    Its output goes to a file, which `output()` reads. As a context manager it is killed at the end.
    """

    def __init__(self, directory: Path, module: str, *arguments: str, env: Mapping[str, str]) -> None:
        self.directory = directory
        self.log = directory / f"{module}-{time.monotonic_ns()}.log"
        self._command = [sys.executable, "-m", module, *arguments]
        self._popen = spawn(
            self._command,
            log=self.log,
            cwd=directory,
            env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **env},
            farewell=signal.SIGKILL,
        )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def peak_mb(self) -> float:
        """The peak of its memory in MB while it runs; the present memory where the system keeps no peak."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        except FileNotFoundError:
            return float(psutil.Process(self.pid).memory_info().rss / 2**20)
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def send_signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM, and its exit code; SIGKILL (code -9) if it takes more than `timeout` seconds."""
        stop(self._popen, signal.SIGTERM, timeout)
        return self._popen.returncode

    def kill(self) -> None:
        stop(self._popen, signal.SIGKILL, timeout=30)

    def wait(self, timeout: float = 30) -> int:
        """Its exit code, once it has ended by itself."""
        wait_until(lambda: self.returncode is not None, timeout, lambda: f"still runs:\n{self.output()}")
        return self._popen.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def as_environment(*settings: msgspec.Struct) -> dict[str, str]:
    """Settings as the environment variables that give them, for a Process."""
    fields: dict[str, Any] = {}
    for struct in settings:
        fields |= msgspec.to_builtins(struct)
    return {name: str(value) for name, value in fields.items() if value is not None}


def wait_until(
    condition: Callable[[], T], timeout: float = 10, explain: Callable[[], str] = lambda: "condition not met"
) -> T:
    """What `condition` returns once that is true; AssertionError with `explain()` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{explain()} (after {timeout:g} s)")
        time.sleep(_POLL_SECONDS)
    return result


async def eventually(
    condition: Callable[[], Awaitable[T] | T],
    timeout: float = 10,  # noqa: ASYNC109 a deadline for polling, not a cancellation
    explain: Callable[[], str] = lambda: "condition not met",
) -> T:
    """The same inside an event loop; `condition` may be a coroutine function."""
    deadline = time.monotonic() + timeout
    while True:
        outcome = condition()
        result: T = await outcome if isinstance(outcome, Awaitable) else outcome
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{explain()} (after {timeout:g} s)")
        await asyncio.sleep(_POLL_SECONDS)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """The processes that still run; a zombie does not run."""

    def runs(process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess):
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return False

    return [process for process in processes if runs(process)]


def free_port() -> int:
    """A loopback port that nothing listens on now, and that no outgoing connection takes before a server does."""
    while True:
        # Below the range of ports that systems use for outgoing connections.
        # Not by `random`: repeatable tests depend on its state.
        port = 15_000 + secrets.randbelow(17_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory with a short path that the user PostgreSQL runs as can reach, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="ecs-test-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


Server = TypeVar("Server", EmbeddedPostgres, EmbeddedBroker)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """`server`, started, and stopped at the end."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


@cache
def docker_answers() -> bool:
    """Whether a Docker daemon is there to run containers, and TEST_DOCKER does not say "no"."""
    if os.environ.get("TEST_DOCKER") == "no":
        return False
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return False
    from tests.support import containers

    return containers.answers()


def _database_from_environment() -> Database:
    given = {name: os.environ.get(f"TEST_DB_{name}") for name in ("HOST", "USER", "PASSWORD", "NAME")}
    missing = [f"TEST_DB_{name}" for name, value in given.items() if not value]
    if missing:
        raise RuntimeError(f"TEST_DB_HOST is set, so {', '.join(missing)} must be too")
    optional = {name: os.environ.get(f"TEST_DB_{name}") for name in ("PORT", "SSLMODE", "CA_CERT")}
    env = {f"DB_{name}": value for name, value in {**given, **optional}.items() if value}
    return read(Database, env)
