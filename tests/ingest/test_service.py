"""The ingest process: from the broker to the database, its exit codes, /health, /metrics and log."""

import asyncio
import json
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest

from ingest.health import Asker
from ingest.receive.paho_bridge import PahoBridge
from ingest.service import Service
from ingest.settings import read
from shared.commands.migrate import migrate
from shared.config import Database, Ingest, Mqtt
from shared.embedded.broker import EmbeddedBroker, find_mosquitto
from tests.support.ingest_process import Ingesting, publish
from tests.support.runbook import as_lines, check, check_row
from tests.support.samples import field_samples, message, telemetry
from tests.support.servers import (
    Address,
    Process,
    as_environment,
    connect,
    eventually,
    execute,
    free_port,
    new_database,
    running,
    temporary_directory,
)


async def test_every_message_of_the_field_ends_as_it_must(
    ingesting: Ingesting, broker: Address, database: Database
) -> None:
    samples = field_samples()
    await publish(broker, ingesting.prefix, *((s.topic, s.payload) for s in samples))
    await eventually(lambda: ingesting.handled() == len(samples))
    expected = Counter(sample.expect for sample in samples)
    tables = {
        "telemetry": "ven_telemetry",
        "status": "ven_statuses",
        "dead_letter": "dead_letters",
    }
    for kind, table in tables.items():
        assert execute(database, f"SELECT count(*) FROM {table}") == [(expected[kind],)], table
    assert execute(database, "SELECT count(*) FROM ven_loads WHERE snapshot_ts IS NOT NULL") == [(2,)]
    assert ingesting.outcomes() == (len(samples) - expected["dead_letter"], 0, expected["dead_letter"])
    await eventually(lambda: ingesting.events("flush") and ingesting.events("dead_letters"))
    check("upgraded", as_lines([*ingesting.events("database_ready"), *ingesting.events("subscribed")]))
    assert sum(line["messages"] for line in ingesting.events("flush")) == len(samples)


async def test_duplicates_are_counted_and_not_stored_across_restarts(
    ingesting: Ingesting, broker: Address, database: Database
) -> None:
    messages = [("volttron/metering", telemetry("v", time.time() + n, n, loads={"a": n})) for n in range(10)]
    await publish(broker, ingesting.prefix, *messages, *messages)
    await eventually(lambda: ingesting.outcomes() == (10, 10, 0), explain=lambda: str(ingesting.outcomes()))
    await publish(broker, ingesting.prefix, *messages)
    await eventually(lambda: ingesting.outcomes() == (10, 20, 0))
    assert ingesting.process.stop() == 0
    ingesting.again()
    ingesting.wait_ready()
    await publish(broker, ingesting.prefix, *messages)
    await eventually(lambda: ingesting.outcomes() == (0, 10, 0))
    assert execute(
        database, "SELECT (SELECT count(*) FROM ven_telemetry), (SELECT count(*) FROM ven_load_samples)"
    ) == [(10, 10)]


async def test_sigterm_writes_what_is_in_hand_the_rest_comes_next(
    ingesting: Ingesting, broker: Address, database: Database
) -> None:
    messages = [("volttron/metering", telemetry(f"v{n}", time.time(), n)) for n in range(300)]
    publishing = asyncio.create_task(publish(broker, ingesting.prefix, *messages))
    await eventually(lambda: ingesting.handled() > 20)
    assert await asyncio.to_thread(ingesting.process.stop, 10) == 0
    assert ingesting.events("stopped")[0]["unwritten"] == 0
    await publishing
    ingesting.again()
    await eventually(lambda: execute(database, "SELECT count(*) FROM ven_telemetry") == [(300,)], 20)


async def test_a_poison_message_costs_two_thousand_others_nothing(
    ingesting: Ingesting, broker: Address, database: Database
) -> None:
    execute(database, "ALTER TABLE ven_telemetry ADD CONSTRAINT no_thirteen CHECK (used_power_kw <> 13)")
    good = [("volttron/metering", telemetry("v", time.time() + n / 100, n)) for n in range(14, 2013)]
    poison = ("volttron/metering", telemetry("v", time.time(), 13))
    await publish(broker, ingesting.prefix, *good[:1000], poison, *good[1000:])
    await eventually(lambda: ingesting.handled() == 2000, 20)
    assert execute(database, "SELECT count(*) FROM ven_telemetry") == [(1999,)]
    ((error,),) = execute(database, "SELECT error FROM dead_letters")
    assert error.startswith("the database cannot hold it: ")
    assert "no_thirteen" in error


async def test_what_waits_when_the_connection_breaks_is_taken_in_once(
    ingesting: Ingesting, broker: Address, database: Database
) -> None:
    waiting = [("volttron/metering", telemetry("v", time.time() + n / 100, n)) for n in range(50)]
    with connect(database) as connection:
        connection.execute("LOCK TABLE ven_telemetry")
        await publish(broker, ingesting.prefix, ("volttron/metering", telemetry("v", time.time() - 1, 1)))
        blocked = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'ecs-ingest' AND wait_event_type = 'Lock'"
        # The first is a batch of its own, and is being written.
        await eventually(lambda: execute(database, blocked + " AND datname = current_database()"))
        await publish(broker, ingesting.prefix, *waiting)
        await eventually(lambda: ingesting.metric("unacked") == 51)
        intruder = aiomqtt.Client(*broker, identifier=ingesting.prefix, clean_session=False)
        PahoBridge(intruder, lambda *_: None, lambda *_: None)  # Acknowledges nothing.
        async with intruder:
            pass
        await eventually(lambda: ingesting.events("awaiting_redelivery"), explain=ingesting.process.output)
        # The message that is being written, and all of them again.
        await eventually(lambda: ingesting.metric("unacked") == 52)
    await eventually(lambda: ingesting.handled() == 52)
    assert ingesting.outcomes() == (51, 1, 0)
    assert (ingesting.metric("received_total"), ingesting.metric("returned_total")) == (102, 50)


async def test_a_message_over_8_mib_is_skipped_and_the_next_one_comes(
    ingesting: Ingesting, broker: Address
) -> None:
    messages = [("volttron/metering", bytes(size)) for size in (9 * 1024 * 1024, 1024 * 1024)]
    await publish(broker, ingesting.prefix, *messages, ("volttron/metering", telemetry("v", time.time(), 1)))
    await eventually(lambda: ingesting.outcomes() == (1, 0, 1), explain=lambda: str(ingesting.outcomes()))


async def test_deleted_vens_come_back_with_their_next_message(
    ingesting: Ingesting, broker: Address, database: Database
) -> None:
    now = time.time()
    await publish(broker, ingesting.prefix, ("volttron/metering", telemetry("v", now, 1)))
    await eventually(lambda: ingesting.handled() == 1)
    execute(database, "DELETE FROM vens")
    await publish(broker, ingesting.prefix, ("volttron/metering", telemetry("v", now + 1, 2)))
    await eventually(lambda: ingesting.handled() == 2)
    assert execute(database, "SELECT ven_id, used_power_kw FROM vens") == [("v", 2)]


_NOW = int(time.time())


@pytest.mark.parametrize(
    ("topic", "start"),
    [
        ("ven/status/v", '{"status":"s%d"'),
        (
            "oadr/meter/v",
            f'{{"timestamp":{_NOW}.%d,"usedPowerKw":1,"loads":[{{"id":"a","type":"t%d","currentPowerKw":1}}]',
        ),
    ],
    ids=["status", "telemetry"],
)
async def test_nesting_of_any_depth_ends_nothing(
    ingesting: Ingesting, broker: Address, database: Database, topic: str, start: str
) -> None:
    depths = range(880, 1020)
    await publish(
        broker,
        ingesting.prefix,
        *((topic, f'{start.replace("%d", str(n))},"x":{"[" * n}{"]" * n}}}'.encode()) for n in depths),
    )
    await eventually(lambda: ingesting.handled() == len(depths), explain=ingesting.process.output)
    assert ingesting.process.returncode is None
    reasons = execute(database, "SELECT DISTINCT error FROM dead_letters")
    assert reasons == [("the message is nested too deeply",)]


async def test_retained_messages_do_not_come_with_every_reconnect(
    tmp_path: Path, database: Database, broker: Address, unique: str
) -> None:
    async with aiomqtt.Client(*broker) as client:
        await client.publish(f"{unique}/ven/status/v1", b'{"status": "offline"}', qos=1, retain=True)
    ingesting = Ingesting(tmp_path, database, broker, unique)
    ingesting.wait_ready()
    await eventually(lambda: ingesting.handled() == 1)
    ingesting.process.kill()
    ingesting.again()
    ingesting.wait_ready()
    await publish(broker, unique, ("ven/status/v2", b'{"status": "online"}'))
    stored = "SELECT ven_id FROM ven_statuses ORDER BY 1"
    await eventually(lambda: execute(database, stored) == [("v1",), ("v2",)])
    await eventually(lambda: ingesting.handled() >= 1)
    assert ingesting.outcomes() == (1, 0, 0)
    ingesting.process.kill()


async def test_it_starts_without_servers_and_says_what_it_waits_for(
    tmp_path: Path, database: Database, unique: str
) -> None:
    away = msgspec.structs.replace(database, host="127.0.0.1", port=free_port(), timeout=2)
    ingesting = Ingesting(tmp_path, away, ("127.0.0.1", free_port()), unique)
    await eventually(lambda: ingesting.get("/health")[0] == 503)
    await eventually(lambda: "unreachable" in ingesting.get("/health")[1])
    assert set(json.loads(ingesting.get("/health")[1])["waitingFor"]) == {"broker", "database"}
    assert (ingesting.metric("database_up"), ingesting.metric("mqtt_connected")) == (0, 0)
    assert ingesting.process.stop(10) == 0


async def test_it_waits_for_a_schema_and_names_the_command(
    tmp_path: Path, postgres: Database, broker: Address, unique: str
) -> None:
    with new_database(postgres) as empty:
        ingesting = Ingesting(tmp_path, empty, broker, unique)
        await eventually(lambda: "ecs-backend migrate" in ingesting.get("/health")[1])
        migrate(empty)
        await eventually(lambda: ingesting.get("/health")[0] == 200, 20)
        ingesting.process.kill()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"MQTT_HOST": ""}, "MQTT_HOST is missing: set it in the environment or in .env"),
        ({"INGEST_BATCH_MAX": "none"}, "INGEST_BATCH_MAX: expected `int`, got `str`, not 'none'"),
    ],
)
def test_a_wrong_setting_ends_it_with_one_line(
    tmp_path: Path, database: Database, given: dict[str, str], said: str
) -> None:
    env = as_environment(database, Mqtt(host="127.0.0.1"))
    process = Process(tmp_path, "ingest", env={**env, **given})
    assert process.wait() == 2
    assert process.output().splitlines() == [f"ingest: {said}"]


def test_a_taken_port_ends_it_with_one_line(tmp_path: Path, database: Database) -> None:
    env = as_environment(database, Mqtt(host="127.0.0.1"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = Process(tmp_path, "ingest", env={**env, "INGEST_HTTP_PORT": port})
        assert process.wait() == 1
    assert port in process.output().splitlines()[-1]
    assert "INGEST_HTTP_PORT" in process.output().splitlines()[-1]


async def test_a_backlog_is_told_once_it_is_worked_off(
    tmp_path: Path, database: Database, broker: Address, unique: str
) -> None:
    ingesting = Ingesting(tmp_path, database, broker, unique, receive_maximum=30)
    ingesting.wait_ready()
    assert ingesting.process.stop() == 0
    messages = [("volttron/metering", telemetry("v", time.time() + n / 100, n)) for n in range(200)]
    await publish(broker, unique, *messages)
    ingesting.again()
    await eventually(lambda: ingesting.events("caught_up"), explain=ingesting.process.output)
    assert ingesting.events("caught_up")[0]["messages"] == 200
    check("caught-up", as_lines(ingesting.events("caught_up")))
    ingesting.process.kill()


async def test_falling_behind_is_seen_in_the_table(
    tmp_path: Path, database: Database, broker: Address, unique: str
) -> None:
    slow = "LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END$$"
    execute(database, f"CREATE FUNCTION slow() RETURNS trigger {slow}")
    execute(database, "CREATE TRIGGER slow BEFORE INSERT ON ven_telemetry EXECUTE FUNCTION slow()")
    ingesting = Ingesting(tmp_path, database, broker, unique, receive_maximum=30)
    ingesting.wait_ready()
    began = time.time() - 600
    messages = [("volttron/metering", telemetry("v", began + n / 10, n)) for n in range(200)]
    await publish(broker, unique, *messages)

    def behind() -> list[dict[str, Any]]:
        return [each for each in ingesting.events("flush") if each["unacked"] >= 30]

    await eventually(behind, explain=ingesting.process.output)
    check_row("falling-behind", behind())
    ingesting.process.kill()


async def test_messages_that_are_wrong_are_told(ingesting: Ingesting, broker: Address) -> None:
    now = time.time()

    async def said_of(event: str, *payloads: bytes) -> list[str]:
        before = len(ingesting.events(event))
        await publish(broker, ingesting.prefix, *(("volttron/metering", payload) for payload in payloads))
        await eventually(lambda: len(ingesting.events(event)) > before, explain=ingesting.process.output)
        return as_lines(ingesting.events(event)[before:])

    ahead = await said_of("dead_letters", telemetry("v", now + 3600, 1.0))
    check("clock-ahead", ahead)
    check("dead-letters", ahead)
    check("dead-letters", await said_of("dead_letters", b"{"))
    check("flawed", await said_of("flawed", telemetry("v", now, 1.0, batterySoc="full")))
    check("conflicts", await said_of("conflicts", telemetry("v", now, 2.0)))


async def test_a_quiet_minute_is_told_unless_a_server_is_away(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(read(as_environment(database, Mqtt(host="none"), Ingest())))

    def said_after(seconds: float) -> bool:
        service._said_at = time.monotonic() - seconds
        service._say_flushes()
        return "idle" in capsys.readouterr().out

    assert not said_after(61)
    service._state.waiting_for_broker = None
    service._state.database.worked(Asker.WRITER)
    assert not said_after(59)
    assert said_after(61)


async def test_half_of_the_receive_maximum_in_hand_is_a_flood(database: Database) -> None:
    service = Service(read(as_environment(database, Mqtt(host="none", receive_maximum=10), Ingest())))
    for _ in range(5):
        service._inbox.put(message("volttron/metering", b"{}"))
    assert not service._leader._flooded()
    service._inbox.put(message("volttron/metering", b"{}"))
    assert service._leader._flooded()


async def test_a_session_that_the_broker_forgot_is_told(
    ingesting: Ingesting, broker: Address, database: Database
) -> None:
    # A client that takes the session over with a clean start ends it.
    async with aiomqtt.Client(*broker, identifier=ingesting.prefix):
        await eventually(lambda: ingesting.events("broker_lost"), explain=ingesting.process.output)
    await eventually(lambda: ingesting.events("session_lost"), explain=ingesting.process.output)
    await eventually(lambda: len(ingesting.events("subscribed")) > 1)
    assert ingesting.events("subscribed")[-1]["seconds"] > 0
    check("session-lost", as_lines(ingesting.events("session_lost")))


class BoundedBroker(EmbeddedBroker):
    """A mosquitto with its default limits: it keeps a bounded number of messages for an absent client."""

    def _config(self) -> str:
        return super()._config().replace("max_queued_messages 0", "max_queued_messages 10")


@pytest.mark.skipif(find_mosquitto() is None, reason="needs a mosquitto of its own")
async def test_a_broker_that_comes_late_and_drops_messages(
    tmp_path: Path, database: Database, unique: str
) -> None:
    with temporary_directory() as directory:
        own = BoundedBroker(directory / "mq", free_port())
        ingesting = Ingesting(tmp_path, database, (own.host, own.port), unique)
        await eventually(lambda: ingesting.events("broker_lost"), explain=ingesting.process.output)
        with running(own):
            await eventually(lambda: ingesting.events("subscribed"), explain=ingesting.process.output)
            said = as_lines([*ingesting.events("broker_lost"), *ingesting.events("subscribed")])
            ingesting.process.kill()
            messages = [("volttron/metering", telemetry("v", time.time() + n, n)) for n in range(30)]
            await publish((own.host, own.port), unique, *messages)
            dropped = "Outgoing messages"
            await eventually(lambda: dropped in own.log.read_text(encoding="utf-8"))
            of_broker = own.log.read_text(encoding="utf-8").splitlines()
    check("broker-away", said)
    check("broker-back", said)
    check("queue-full", [line[line.find(dropped) :] for line in of_broker if dropped in line])
