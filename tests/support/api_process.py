"""`python -m api` as a process of its own, with a client."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from shared.config import Api, Database
from shared.ports import accepts
from tests.support.servers import Process, as_environment, free_port, wait_until

HOST = "127.0.0.1"


@dataclass
class ApiProcess:
    """A running api; its client has no limit on connections and waits `timeout` seconds at most."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def client(self, timeout: float = 20) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx.AsyncClient(base_url=self.url, timeout=timeout, limits=limits)

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=30)

    def rss_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)


@contextmanager
def running_api(
    directory: Path, database: Database, port: int | None = None, **api: Any
) -> Iterator[ApiProcess]:
    """An api on `database` with the settings of `api`; AssertionError if its log holds an unexpected error."""
    port = port or free_port()
    with Process(directory, "api", env=as_environment(database, Api(port=port, **api))) as process:
        wait_until(lambda: accepts(HOST, port), 20, process.output)
        yield ApiProcess(process, port)
        assert process.returncode is None, process.output()
        unforeseen = re.search(
            r".*(?:Traceback|unforeseen|never retrieved|Exception in ASGI).*", process.output()
        )
        assert unforeseen is None, unforeseen[0].replace("\\n", "\n")
