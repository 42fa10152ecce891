"""Time from publishing a reading until REST shows it, beside a steady load."""

import asyncio
import http.client
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import quantiles

import aiomqtt

from shared.commands.migrate import migrate
from shared.config import Api, Ingest, Mqtt
from shared.embedded.broker import EmbeddedBroker
from shared.embedded.postgres import EmbeddedPostgres
from tests.support.servers import (
    Process,
    as_environment,
    free_port,
    new_database,
    running,
    temporary_directory,
    wait_until,
)

_PROBES = 300
_GENERATOR = (sys.executable, "-m", "tests.benchmarks.generator")
_POLL_SECONDS = 0.001
_PAUSE_SECONDS = 0.03


@dataclass
class Latency:
    """Milliseconds from publish to REST."""

    rate: int
    p50: float
    p95: float
    p99: float


def measure(rate: int) -> Latency:
    """Publish `rate` messages/s of 8 loads and, beside them, one probe after the other."""
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        server = stack.enter_context(running(EmbeddedPostgres(directory / "pg")))
        broker = stack.enter_context(running(EmbeddedBroker(directory / "mq", free_port())))
        db = stack.enter_context(new_database(server.settings()))
        migrate(db)
        api_port, http_port = free_port(), free_port()
        mqtt = Mqtt(host="127.0.0.1", port=broker.port)
        ingest = Process(directory, "ingest", env=as_environment(db, mqtt, Ingest(http_port=http_port)))
        stack.callback(ingest.kill)
        api = Process(directory, "api", env=as_environment(db, Api(port=api_port)))
        stack.callback(api.kill)
        wait_until(lambda: _get(http_port, "/health")[0] == 200, 30, ingest.output)
        wait_until(lambda: _get(api_port, "/health/db-check")[0] == 200, 30, api.output)
        generator = subprocess.Popen(
            [*_GENERATOR, f"--port={broker.port}", f"--count={rate * 600}", f"--rate={rate}"],
            stdout=subprocess.DEVNULL,
        )
        stack.callback(generator.wait)
        stack.callback(generator.kill)
        times = asyncio.run(_probe(broker.port, api_port))
    cuts = quantiles(times, n=100)
    return Latency(rate, cuts[49] * 1000, cuts[94] * 1000, cuts[98] * 1000)


async def _probe(broker_port: int, api_port: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", api_port, timeout=10)
    times = []
    async with aiomqtt.Client("127.0.0.1", broker_port) as client:
        for n in range(_PROBES + 10):
            power = 1 + n / 1000
            load = {"id": "p", "currentPowerKw": power}
            body = {"venId": "probe", "timestamp": time.time(), "usedPowerKw": power, "loads": [load]}
            began = time.perf_counter()
            await client.publish("volttron/metering", json.dumps(body), qos=0)
            await asyncio.to_thread(_until_shown, connection, power)
            times.append(time.perf_counter() - began)
            await asyncio.sleep(_PAUSE_SECONDS)
    connection.close()
    return times[10:]


def _until_shown(connection: http.client.HTTPConnection, power: float) -> None:
    while True:
        connection.request("GET", "/api/vens/probe/loads/p")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == http.HTTPStatus.OK and json.loads(body)["currentPowerKw"] == round(power, 3):
            return
        time.sleep(_POLL_SECONDS)


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()
