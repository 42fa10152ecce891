"""The simulated fleet, with all the habits of the field, through one ingest and through two."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.config import Database
from shared.embedded.broker import EmbeddedBroker, find_mosquitto
from tests.support.ingest_process import Ingesting
from tests.support.servers import (
    Address,
    Process,
    eventually,
    execute,
    free_port,
    running,
    temporary_directory,
)

pytestmark = pytest.mark.skipif(find_mosquitto() is None, reason="needs a mosquitto of its own")

# Two of each habit.
VENS = 28
PLAIN_TOPICS = {
    "topic_metering": "volttron/metering,oadr/meter/+",
    "topic_loads": "ven/loads/+",
    "topic_status": "volttron/dev,ven/status/+",
}


@pytest.fixture
def own_broker() -> Iterator[Address]:
    with temporary_directory() as directory, running(EmbeddedBroker(directory / "mq", free_port())) as broker:
        yield broker.host, broker.port


@contextmanager
def workers(count: int, directory: Path, database: Database, broker: Address) -> Iterator[list[Ingesting]]:
    group = {"shared_group": "g"} if count > 1 else {}
    started = [
        Ingesting(directory / str(n), database, broker, f"w{n}", **PLAIN_TOPICS, **group)
        for n in range(count)
    ]
    try:
        for each in started:
            each.wait_ready()
        yield started
    finally:
        for each in started:
            each.process.kill()


@pytest.mark.parametrize("count", [1, 2])
async def test_no_habit_of_the_field_costs_a_reading(
    tmp_path: Path, database: Database, own_broker: Address, count: int
) -> None:
    for n in range(count):
        (tmp_path / str(n)).mkdir()
    env = {"MQTT_HOST": own_broker[0], "MQTT_PORT": str(own_broker[1])}
    with workers(count, tmp_path, database, own_broker) as ingests:

        def total(name: str) -> float:
            return sum(each.metric(f"{name}_total") for each in ingests)

        arguments = ("--vens", str(VENS), "--interval", "0.3", "--dialects", "field")
        with Process(tmp_path, "fixtures.fleet", *arguments, env=env) as fleet:
            await eventually(lambda: total("received") > 800, timeout=30)
            online = "SELECT count(*) FROM ven_signs WHERE alive_at IS NOT NULL"
            await eventually(lambda: execute(database, online) == [(VENS,)])
            # Without a farewell: their last wills, some with the time of the connect, take all of them offline.
            fleet.kill()
        await eventually(lambda: execute(database, online) == [(0,)])
        await eventually(lambda: sum(each.handled() for each in ingests) == total("received"))
        assert (total("dead_lettered"), total("ignored")) == (0, 0)
        assert total("flawed") > 0
        assert execute(database, "SELECT count(DISTINCT ven_id) FROM ven_telemetry") == [(VENS,)]
        behind = execute(database, "SELECT ven_id FROM vens WHERE abs(clock_offset) > 60 ORDER BY 1")
        assert [ven for (ven,) in behind] == ["house-111", "house-112", "house-125", "house-126"]
