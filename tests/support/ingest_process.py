"""`python -m ingest` as a process of its own, and messages for it."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import aiomqtt

from shared.config import Database, Ingest, Mqtt
from tests.support import log_schema
from tests.support.servers import Address, Process, as_environment, free_port, wait_until

OUTCOMES = ("stored", "duplicate", "dead_lettered")


class Ingesting:
    """An ingest process on topics of its own (`prefix`), so that tests can share a broker."""

    def __init__(self, directory: Path, db: Database, broker: Address, prefix: str, **mqtt: Any) -> None:
        self.port = free_port()
        self.prefix = prefix
        topics = {
            "topic_metering": f"{prefix}/volttron/metering,{prefix}/oadr/meter/+",
            "topic_loads": f"{prefix}/ven/loads/+",
            "topic_status": f"{prefix}/volttron/dev,{prefix}/ven/status/+",
        }
        settings = Mqtt(host=broker[0], port=broker[1], **{"client_id": prefix, **topics, **mqtt})
        self.env = as_environment(db, settings, Ingest(http_port=self.port))
        self.directory = directory
        self.process = Process(directory, "ingest", env=self.env)

    def again(self) -> None:
        self.process = Process(self.directory, "ingest", env=self.env)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"ecs_ingest_{name} "):
                return float(line.split()[1])
        return -1

    def outcomes(self) -> tuple[float, ...]:
        return tuple(self.metric(f"{name}_total") for name in OUTCOMES)

    def handled(self) -> float:
        """How many messages have an outcome."""
        return sum(max(0, self.metric(f"{name}_total")) for name in (*OUTCOMES, "ignored"))

    def wait_ready(self) -> None:
        wait_until(lambda: self.get("/health")[0] == 200, 20, self.process.output)

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.process.output().splitlines() if line.startswith("{")]
        for line in lines:
            log_schema.check(line)
        return [line for line in lines if line["event"] == name]


async def publish(broker: Address, prefix: str, *messages: tuple[str, bytes], qos: int = 1) -> None:
    async with aiomqtt.Client(*broker) as client:
        for topic, payload in messages:
            await client.publish(f"{prefix}/{topic}", payload, qos=qos)
