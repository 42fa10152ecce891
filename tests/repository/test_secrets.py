"""`make secrets`, and the rights of each login at compose's broker."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from dotenv import dotenv_values

from tests.support.mosquitto import mosquitto
from tests.support.servers import Address

ROOT = Path(__file__).resolve().parents[2]
VEN, OTHER = "house-104", "house-105"


def make_secrets(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        str(ROOT / "docs/deploy/make_secrets.py"),
        "--directory",
        str(home),
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def password_of(home: Path, login: str) -> str:
    made = make_secrets(home, "--login", login)
    assert made.returncode == 0, made.stderr
    return made.stdout.split()[1]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which it has run once."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates, is not installed")
    made = tmp_path_factory.mktemp("home")
    shutil.copy(ROOT / ".env.example", made)
    done = make_secrets(made, "--host", "mqtt.example.org")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def logins(home: Path) -> dict[str, str]:
    """Each login's password."""
    env = dotenv_values(home / ".env")
    known = {"ingest": str(env["MQTT_PASSWORD"]), "fleet": str(env["FLEET_PASSWORD"])}
    return {**known, VEN: password_of(home, VEN), "gateway": password_of(home, "gateway")}


@pytest.fixture(scope="module")
def secured(home: Path, logins: dict[str, str]) -> Iterator[Address]:
    """A broker with the passwords, and compose's ACL."""
    acl = home / "acl"
    shutil.copy(ROOT / "docs" / "deploy" / "broker" / "acl", acl)
    acl.chmod(0o600)
    files = (f"password_file {home}/secrets/broker/passwords", f"acl_file {acl}")
    with mosquitto(home, "allow_anonymous false", *files) as address:
        yield address


async def arrives(address: Address, logins: dict[str, str], login: str, topic: str) -> bool:
    """Whether what `login` publishes there reaches ingest. A last message to ingest tells when to stop waiting."""

    def client(name: str) -> aiomqtt.Client:
        version = aiomqtt.ProtocolVersion.V5
        return aiomqtt.Client(*address, username=name, password=logins[name], protocol=version)

    async with client("ingest") as ingest:
        await ingest.subscribe([(each, 1) for each in (topic, "ecs-doctor/end")])
        async with client(login) as publisher:
            publisher._client.publish(topic, b"online", 1)
            # mosquitto may end the connection of a client without the right.
            await asyncio.wait([publisher._disconnected], timeout=0.3)
        await ingest.publish("ecs-doctor/end", qos=1)
        async for message in ingest.messages:
            return str(message.topic) == topic
    raise AssertionError("the connection of ingest ended")


def test_nothing_is_left_to_guess(home: Path) -> None:
    env = dotenv_values(home / ".env")
    made = [str(env[name]) for name in ("DB_PASSWORD", "MQTT_PASSWORD", "FLEET_PASSWORD")]
    assert len(set(made)) == 3
    assert all(len(password) >= 32 for password in made)
    for secret in (".env", "secrets/broker/passwords", "secrets/ca-key.pem", "secrets/broker/server-key.pem"):
        assert (home / secret).stat().st_mode & 0o077 == 0, secret
    assert (home / "secrets").stat().st_mode & 0o077 == 0
    assert not any(password in (home / "secrets/broker/passwords").read_text() for password in made)


def test_what_is_there_stays(home: Path, logins: dict[str, str]) -> None:
    before = {
        path: path.read_bytes() for path in home.rglob("*") if path.is_file() and "mosq" not in path.name
    }
    assert make_secrets(home).returncode == 0
    assert {path: path.read_bytes() for path in before} == before


def test_a_password_of_ones_own_is_kept(tmp_path: Path, home: Path) -> None:
    shutil.copytree(home / "secrets", tmp_path / "secrets")
    (tmp_path / ".env").write_text("DB_PASSWORD=mine\n#MQTT_PASSWORD=\nLOG_LEVEL=debug\n")
    done = make_secrets(tmp_path)
    env = dotenv_values(tmp_path / ".env")
    assert (env["DB_PASSWORD"], env["LOG_LEVEL"]) == ("mine", "debug")
    assert env["MQTT_PASSWORD"]
    assert "made MQTT_USERNAME, MQTT_PASSWORD, FLEET_PASSWORD" in done.stdout


def test_the_examples_password_is_objected_to(tmp_path: Path, home: Path) -> None:
    shutil.copytree(home / "secrets", tmp_path / "secrets")
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    assert "DB_PASSWORD is the example's" in make_secrets(tmp_path).stdout


@pytest.mark.parametrize("name", ["a+b", "a/b", "", "ingest"])
def test_a_login_that_would_break_the_acl_is_refused(home: Path, name: str) -> None:
    done = make_secrets(home, f"--login={name or '#'}")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_the_certificate_is_for_the_names_given(home: Path) -> None:
    broker = home / "secrets" / "broker"
    for host in ("mqtt.example.org", "broker", "localhost"):
        check = ["openssl", "verify", "-CAfile", str(broker / "ca.pem"), "-verify_hostname", host]
        assert subprocess.run([*check, str(broker / "server.pem")], capture_output=True).returncode == 0, host


@pytest.mark.parametrize(
    ("login", "topic", "allowed"),
    [
        (VEN, f"ven/status/{VEN}", True),
        (VEN, f"ven/loads/{VEN}", True),
        (VEN, f"oadr/meter/{VEN}", True),
        (VEN, f"ven/status/{OTHER}", False),
        (VEN, "volttron/metering", False),
        ("gateway", "volttron/metering", True),
        ("gateway", f"ven/loads/{VEN}", False),
        ("fleet", f"ven/loads/{OTHER}", True),
        ("ingest", f"ven/status/{VEN}", False),
    ],
)
async def test_a_login_may_publish_as_itself_alone(
    secured: Address, logins: dict[str, str], login: str, topic: str, allowed: bool
) -> None:
    assert await arrives(secured, logins, login, topic) is allowed


@pytest.mark.parametrize("login", [{}, {"username": VEN, "password": "wrong"}])
async def test_nobody_comes_in_without_a_password(secured: Address, login: dict[str, Any]) -> None:
    with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori"):
        async with aiomqtt.Client(*secured, **login):
            pass


async def test_a_ven_reads_nothing(secured: Address, logins: dict[str, str]) -> None:
    topic = f"ven/status/{VEN}"
    async with aiomqtt.Client(*secured, username=VEN, password=logins[VEN]) as ven:
        await ven.subscribe([("#", 1), (topic, 1)])
        assert await arrives(secured, logins, "fleet", topic)
        await ven.publish(topic, b"online", qos=1)
        assert ven._queue.qsize() == 0
