"""doctor on real servers: good and bad findings, and what it says about the bad ones."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from ingest.doctor import broker as broker_doctor
from ingest.doctor import database as database_doctor
from ingest.doctor.finding import Finding
from shared.commands.migrate import migrate
from shared.config import Database, Mqtt
from shared.embedded.broker import CONFIG
from tests.support.mosquitto import mosquitto
from tests.support.servers import Address, as_environment, execute, new_database

_ANONYMOUS = "allow_anonymous true"


async def of_broker(address: Address, messages: int = 30, **mqtt: object) -> dict[str, Finding]:
    settings = msgspec.convert({"MQTT_HOST": address[0], "MQTT_PORT": address[1]}, Mqtt)
    settings = msgspec.structs.replace(settings, **mqtt)
    return {each.what: each async for each in broker_doctor.look(settings, messages)}


async def of_database(settings: Database) -> dict[str, Finding]:
    return {each.what: each async for each in database_doctor.look(settings)}


def bad(findings: dict[str, Finding]) -> dict[str, str]:
    return {each.what: each.says for each in findings.values() if not each.good}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


async def test_our_own_broker_is_all_good(broker: Address, unique: str) -> None:
    findings = await of_broker(broker, client_id=unique, shared_group=unique, messages=3000)
    assert bad(findings) == {}
    assert "all of 3,000 messages" in findings["queue"].says
    assert {"broker", "its limits", "topics", "session", "window", "shared group"} < findings.keys()


async def test_a_queue_that_drops_is_found(tmp_path: Path, stack: ExitStack) -> None:
    address = stack.enter_context(mosquitto(tmp_path, _ANONYMOUS, "max_queued_messages 10"))
    says = bad(await of_broker(address))
    assert list(says) == ["queue"]
    assert "of 30 messages that the broker acknowledged" in says["queue"]
    assert "it kept 10 and dropped the rest" in says["queue"]


async def test_lowered_limits_are_found(tmp_path: Path, stack: ExitStack) -> None:
    address = stack.enter_context(mosquitto(tmp_path, _ANONYMOUS, "max_packet_size 50000"))
    says = bad(await of_broker(address))
    assert says.keys() == {"its limits"}
    assert "refuses packets over 50,000 bytes" in says["its limits"]


@pytest.mark.parametrize(("window", "came", "good"), [(32, 5000, False), (100, 5000, True), (30, 30, True)])
def test_a_small_window_is_found(window: int, came: int, good: bool) -> None:
    # mosquitto sends what the client's receive maximum allows, so a real one never shows it.
    finding = broker_doctor._Trial(Mqtt(host="h"), None, "t")._window(window, came)
    assert finding.good is good
    assert good or "sends 32 messages, then waits" in finding.says


async def test_a_login_that_may_not_write_cannot_try_the_queue(tmp_path: Path, stack: ExitStack) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read #\n")
    acl.chmod(0o600)
    address = stack.enter_context(mosquitto(tmp_path, _ANONYMOUS, f"acl_file {acl}"))
    says = bad(await of_broker(address))
    assert "refuses messages on ecs-doctor/#" in says["queue"]


async def test_no_broker_is_one_line() -> None:
    assert "nothing listens there" in bad(await of_broker(("127.0.0.1", 1)))["broker"]


async def test_a_migrated_database_is_good_but_for_fsync(database: Database) -> None:
    findings = await of_database(database)
    # The tests' server runs without fsync.
    assert bad(findings).keys() <= {"promises"}
    assert findings["migrations"].says.startswith("all ")
    fsync = execute(database, "SHOW fsync") == [("on",)]
    assert fsync or "fsync is off" in findings["promises"].says


async def test_a_database_without_tables_or_rights_is_not(postgres: Database) -> None:
    with new_database(postgres) as empty:
        assert "run `ecs-backend migrate`" in bad(await of_database(empty))["migrations"]
        execute(postgres, f"ALTER DATABASE {empty.name} SET synchronous_commit = off")
        assert "synchronous_commit is off" in bad(await of_database(empty))["promises"]


async def test_a_role_that_is_missing_says_what_to_ask_for(postgres: Database, unique: str) -> None:
    with new_database(postgres) as made:
        migrate(msgspec.structs.replace(made, api_role=""))
        says = bad(await of_database(msgspec.structs.replace(made, api_role=unique)))
    assert f'CREATE ROLE "{unique}" NOLOGIN' in says["api role"]


async def test_no_database_is_one_line(database: Database) -> None:
    away = msgspec.structs.replace(database, host="127.0.0.1", port=1)
    assert bad(await of_database(away)).keys() == {"database"}


def test_the_command_fails_when_something_is_bad(database: Database, broker: Address, tmp_path: Path) -> None:
    mqtt = Mqtt(host=broker[0], port=broker[1], client_id=tmp_path.name)
    done = subprocess.run(
        [sys.executable, "-m", "shared.commands.cli", "doctor", "--messages", "20"],
        env={
            "PATH": os.environ["PATH"],
            **as_environment(msgspec.structs.replace(database, name="none"), mqtt),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert [line for line in lines if line.startswith("BAD")] == [lines[0]]
    assert "there is no such database: check DB_NAME" in lines[0]
    assert any(line.startswith("good") and "all of 20 messages" in line for line in lines)


def test_the_broker_we_ship_has_no_limits() -> None:
    assert "max_queued_messages 0" in CONFIG.read_text()
