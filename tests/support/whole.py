"""ingest and the api as processes on one database."""

import json
import urllib.request
from pathlib import Path
from typing import Any

from shared.config import Api, Database
from tests.support.ingest_process import Ingesting, publish
from tests.support.servers import Address, Process, as_environment, eventually, free_port, wait_until


class Whole:
    """ingest and api on one database."""

    def __init__(self, directory: Path, db: Database, broker: Address, prefix: str) -> None:
        self.ingest = Ingesting(directory, db, broker, prefix)
        self.port = free_port()
        self.api = Process(directory, "api", env=as_environment(db, Api(port=self.port)))
        self.broker = broker
        self.ingest.wait_ready()
        wait_until(lambda: self.get("/health/db-check", root=True) is not None, 20, self.api.output)

    def get(self, path: str, *, root: bool = False) -> Any:
        url = f"http://127.0.0.1:{self.port}{'' if root else '/api'}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.loads(answer.read())
        except OSError:
            return None

    async def send(self, *messages: tuple[str, dict[str, Any]]) -> None:
        before = self.ingest.handled()
        await publish(
            self.broker, self.ingest.prefix, *((t, json.dumps(body).encode()) for t, body in messages)
        )
        await eventually(lambda: self.ingest.handled() == before + len(messages))
