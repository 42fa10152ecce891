"""What servers do not keep though they work: in /health, in the log, and in the metrics."""

import json
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest import db_promises
from ingest.receive.broker_promises import doubts
from ingest.receive.connection import connection
from shared.config import Database, Mqtt
from tests.support.ingest_process import Ingesting
from tests.support.mosquitto import mosquitto
from tests.support.runbook import as_lines, check
from tests.support.servers import eventually


async def test_health_and_log_say_what_the_servers_do_not_keep(
    tmp_path: Path, database: Database, unique: str
) -> None:
    with mosquitto(tmp_path, "allow_anonymous true", "max_packet_size 50000") as address:
        ingesting = Ingesting(tmp_path, database, address, unique)
        ingesting.wait_ready()
        await eventually(lambda: "broker" in json.loads(ingesting.get("/health")[1]).get("warnings", {}))
        assert ingesting.get("/health")[0] == 200
        said = {event["server"]: event["why"] for event in ingesting.events("promise_in_doubt")}
        assert "refuses packets over 50,000 bytes" in said["broker"]
        check("not-safe", as_lines(ingesting.events("promise_in_doubt")))
        assert ingesting.process.stop() == 0


async def test_what_the_broker_drops_is_counted_and_logged(
    tmp_path: Path, database: Database, unique: str
) -> None:
    limits = ("allow_anonymous true", "max_queued_messages 10", "sys_interval 1")
    with mosquitto(tmp_path, *limits) as address:
        absent = Mqtt(host=address[0], port=address[1], client_id=f"{unique}-absent")
        async with connection(absent, None) as client:
            await client.subscribe(f"{unique}-other", qos=1)
        async with aiomqtt.Client(*address) as client:
            for number in range(30):
                await client.publish(f"{unique}-other", str(number), qos=1)
        ingesting = Ingesting(tmp_path, database, address, unique)
        dropped = "ecs_broker_dropped_messages 20.0"
        await eventually(lambda: dropped in ingesting.get("/metrics")[1], 20, ingesting.process.output)
        assert [event["messages"] for event in ingesting.events("broker_dropped")] == [20]
        check("messages-lost", as_lines(ingesting.events("broker_dropped")))
        # It is not a message of the field.
        assert ingesting.metric("received_total") == 0
        assert ingesting.process.stop() == 0


def connack(**properties: int) -> Properties:
    made = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
    for name, value in properties.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({}, None),
        ({"SessionExpiryInterval": 86400, "MaximumPacketSize": 200_000}, None),
        ({"SessionExpiryInterval": 3600}, "ends a session after 3600 s, not MQTT_SESSION_EXPIRY=86400"),
        ({"MaximumQoS": 0}, "QoS 0 only"),
        ({"WildcardSubscriptionAvailable": 0}, "no filters with"),
        ({"SharedSubscriptionAvailable": 0}, "no shared subscriptions"),
        ({"MaximumPacketSize": 1024}, "over 1,024 bytes"),
    ],
)
def test_each_limit_of_a_broker_is_said(properties: dict[str, int], says: str | None) -> None:
    found = doubts(Mqtt(host="h", shared_group="g"), connack(**properties))
    assert len(found) == (says is not None)
    assert says is None or says in found[0]


def test_without_a_group_a_broker_need_not_share() -> None:
    assert doubts(Mqtt(host="h"), connack(SharedSubscriptionAvailable=0)) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("on", "on", "off", 1.9, 0.0), None),
        (("on", "remote_apply", "off", -3.0, 2.0), None),
        (("off", "on", "off", 0.0, 0.0), "fsync"),
        (("on", "off", "off", 0.0, 0.0), "synchronous_commit"),
        (("on", "on", "on", 0.0, 0.0), "read-only"),
        (("on", "on", "off", 5.04, 0.0), "5.0 s ahead of"),
        (("on", "on", "off", -5.0, 1.0), "5.0 s behind"),
    ],
)
def test_each_doubt_of_a_database_is_said(
    given: tuple[str, str, str, float, float], says: str | None
) -> None:
    found = list(db_promises._doubts(*given))
    assert len(found) == (says is not None)
    assert says is None or says in found[0]
