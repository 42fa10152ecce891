"""The simulated fleet, as a program, on a broker that may go away."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from shared.embedded.broker import EmbeddedBroker, find_mosquitto
from tests.servers import Process, eventually, free_port, running, temporary_directory

pytestmark = pytest.mark.skipif(find_mosquitto() is None, reason="needs a mosquitto of its own")


class Heard(list[tuple[str, dict[str, Any]]]):
    """Messages as (topic, payload)."""

    def statuses(self, ven_id: str) -> list[str]:
        return [
            payload.get("ven") or payload["status"]
            for topic, payload in self
            if (payload.get("venId") == ven_id and topic == "volttron/dev") or topic == f"ven/status/{ven_id}"
        ]

    def telemetry(self) -> list[dict[str, Any]]:
        return [payload for topic, payload in self if topic.startswith(("volttron/metering", "oadr/meter/"))]


@pytest.fixture
def own_broker() -> Any:
    with temporary_directory() as directory, running(EmbeddedBroker(directory / "mq", free_port())) as broker:
        yield broker


@asynccontextmanager
async def listening(broker: EmbeddedBroker) -> AsyncIterator[Heard]:
    """What the broker delivers while this is open, in a session that outlives the broker's restart."""
    heard = Heard()

    async def listen() -> None:
        while True:
            try:
                async with aiomqtt.Client(
                    broker.host, broker.port, identifier="listener", clean_session=False
                ) as client:
                    await client.subscribe("#", qos=1)
                    ready.set()
                    async for message in client.messages:
                        assert isinstance(message.payload, bytes)
                        heard.append((message.topic.value, json.loads(message.payload)))
            except aiomqtt.MqttError:
                await asyncio.sleep(0.05)

    ready = asyncio.Event()
    task = asyncio.create_task(listen(), name="listener")
    await ready.wait()
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def fleet(directory: Path, broker: EmbeddedBroker, *arguments: str, **env: str) -> Process:
    env = {"MQTT_HOST": broker.host, "MQTT_PORT": str(broker.port), **env}
    return Process(directory, "fixtures", *arguments, env=env)


async def test_vens_come_online_report_in_turn_and_go_offline(
    tmp_path: Path, own_broker: EmbeddedBroker
) -> None:
    async with listening(own_broker) as heard:
        with fleet(tmp_path, own_broker, "--vens", "5", "--interval", "0.1") as process:
            await eventually(lambda: len(heard.telemetry()) >= 20)
            assert process.stop() == 0
        await eventually(lambda: heard.statuses("ven-101") == ["online", "offline"])
        await eventually(lambda: heard.statuses("ven-104") == ["online", "offline"])
        assert {topic for topic, _ in heard} >= {
            "volttron/metering",
            "oadr/meter/ven-104",
            "ven/loads/ven-104",
        }


async def test_a_killed_fleet_leaves_its_last_wills(tmp_path: Path, own_broker: EmbeddedBroker) -> None:
    async with listening(own_broker) as heard:
        with fleet(tmp_path, own_broker, "--vens", "4", "--interval", "0.1") as process:
            await eventually(lambda: heard.statuses("ven-104") == ["online"] == heard.statuses("ven-101"))
            process.kill()
        await eventually(lambda: heard.statuses("ven-104")[-1] == "offline" == heard.statuses("ven-101")[-1])


async def test_a_broker_that_goes_away_gets_every_reading_later(
    tmp_path: Path, own_broker: EmbeddedBroker
) -> None:
    async with listening(own_broker) as heard:
        with fleet(tmp_path, own_broker, "--vens", "1", "--interval", "0.05", "--duration", "3") as process:
            await eventually(lambda: len(heard.telemetry()) >= 5)
            own_broker.stop()
            own_broker.start()
            await eventually(lambda: process.returncode == 0)
        done = json.loads(process.output().splitlines()[-1])
        assert done["event"] == "fleet_done"
        assert done["waiting"] == 0

        def heard_everything() -> bool:
            readings = {payload["timestamp"] for payload in heard.telemetry()}
            # Every twelfth reading brings a snapshot, and the end a status.
            return bool(len(readings) + -(-len(readings) // 12) + 1 == done["messages"] > 50)

        await eventually(heard_everything)


async def test_a_rate_is_kept(tmp_path: Path, own_broker: EmbeddedBroker) -> None:
    with fleet(tmp_path, own_broker, "--vens", "150", "--rate", "300", "--duration", "2") as process:
        assert process.wait() == 0
    done = json.loads(process.output().splitlines()[-1])
    assert 570 <= done["messages"] - 150 <= 640


def test_without_a_broker_it_gives_up_after_db_timeout_and_names_it(tmp_path: Path) -> None:
    env = {"MQTT_HOST": "127.0.0.1", "MQTT_PORT": str(free_port()), "DB_TIMEOUT": "0.5"}
    with Process(tmp_path, "fixtures", env=env) as process:
        assert process.wait() == 1
        assert "MQTT_HOST=127.0.0.1" in process.output()
        assert "Traceback" not in process.output()


@pytest.mark.parametrize(
    ("env", "arguments", "said"),
    [({}, (), "MQTT_HOST is missing"), ({"MQTT_HOST": "h"}, ("--vens", "0"), "--vens")],
)
def test_wrong_usage_and_settings_exit_with_2(
    tmp_path: Path, env: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    with Process(tmp_path, "fixtures", *arguments, env=env) as process:
        assert process.wait() == 2
        assert said in process.output()


def test_ctrl_c_while_waiting_for_a_broker_ends_it(tmp_path: Path) -> None:
    env = {"MQTT_HOST": "127.0.0.1", "MQTT_PORT": str(free_port()), "LOG_LEVEL": "debug"}
    with Process(tmp_path, "fixtures", env=env) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait() in (0, -signal.SIGINT)
