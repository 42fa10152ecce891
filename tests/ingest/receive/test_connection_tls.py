"""ingest and a broker that wants TLS and a password."""

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from ingest.receive.connection import connection
from shared.config import Database, Mqtt, read
from shared.embedded.broker import find_mosquitto
from shared.errors import SettingsError
from shared.mqtt import tls_context
from tests.support.ingest_process import Ingesting
from tests.support.mosquitto import mosquitto
from tests.support.samples import telemetry
from tests.support.servers import eventually, execute

_USER, _PASSWORD, _WRONG_PASSWORD = "ecs", "a secret word", "another word"


@dataclass
class SecureBroker:
    """A mosquitto with a certificate for localhost that clients must check, and one user."""

    directory: Path
    port: int

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"


def _beside(name: str) -> str:
    return shutil.which(name) or str(Path(find_mosquitto() or "").parents[1] / "bin" / name)


def _certificate(directory: Path) -> None:
    """A certificate that is its own authority; ca.pem is the same."""
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    shutil.copy(directory / "cert.pem", directory / "ca.pem")


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    """The configuration of such a broker, with its files."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    _certificate(tmp_path)
    passwords = tmp_path / "passwords"
    passwords.write_text(f"{_USER}:{_PASSWORD}\n")
    subprocess.run([_beside("mosquitto_passwd"), "-U", str(passwords)], check=True)
    files = [f"certfile {tmp_path}/cert.pem", f"keyfile {tmp_path}/key.pem", f"password_file {passwords}"]
    return [*files, "allow_anonymous false"]


@pytest.fixture
def secure(tmp_path: Path, lines: list[str]) -> Iterator[SecureBroker]:
    with mosquitto(tmp_path, *lines) as (_, port):
        yield SecureBroker(tmp_path, port)


async def test_messages_come_over_tls_in_every_size(
    tmp_path: Path, database: Database, secure: SecureBroker, unique: str
) -> None:
    given = {"username": _USER, "password": _PASSWORD, "use_tls": True, "ca_cert": str(secure.ca)}
    ingesting = Ingesting(tmp_path, database, ("localhost", secure.port), unique, **given)
    ingesting.wait_ready()
    context = ssl.create_default_context(cafile=str(secure.ca))
    async with aiomqtt.Client(
        "localhost", secure.port, tls_context=context, username=_USER, password=_PASSWORD
    ) as client:
        for n in range(40):
            payload = telemetry("v", time.time() + n / 1000, n, filler="x" * (n * 3000))
            await client.publish(f"{unique}/volttron/metering", payload, qos=1)
    await eventually(lambda: ingesting.metric("stored_total") == 40)
    assert execute(database, "SELECT count(*) FROM ven_telemetry") == [(40,)]
    assert ingesting.process.stop() == 0


@pytest.mark.parametrize("wrong", ["authority", "password"])
async def test_a_wrong_authority_or_password_is_said_and_tried_again(
    tmp_path: Path, database: Database, secure: SecureBroker, unique: str, wrong: str
) -> None:
    given = {"username": _USER, "password": _PASSWORD, "use_tls": True, "ca_cert": str(secure.ca)}
    given |= {"ca_cert": None} if wrong == "authority" else {"password": _WRONG_PASSWORD}
    ingesting = Ingesting(tmp_path, database, ("localhost", secure.port), unique, **given)
    said = "certificate" if wrong == "authority" else "authori"
    await eventually(lambda: said in ingesting.get("/health")[1].lower(), explain=ingesting.process.output)
    assert ingesting.get("/health")[0] == 503
    assert not [each for each in (_PASSWORD, _WRONG_PASSWORD) if each in ingesting.process.output()]
    assert ingesting.process.stop() == 0


@pytest.mark.parametrize("form", ["files", "text", "one line"])
async def test_certificates_are_files_or_text(
    tmp_path: Path, lines: list[str], form: str, unique: str
) -> None:
    files = {"ca_cert": "ca.pem", "client_cert": "cert.pem", "client_key": "key.pem"}
    given = {f"MQTT_{name.upper()}": str(tmp_path / file) for name, file in files.items()}
    if form != "files":
        given = {name: (tmp_path / file).read_text() for name, file in given.items()}
    if form == "one line":
        given = {name: text.replace("\n", "\\n") for name, text in given.items()}
    with mosquitto(tmp_path, *lines, "require_certificate true", f"cafile {tmp_path}/ca.pem") as (_, port):
        login = {"MQTT_USERNAME": _USER, "MQTT_PASSWORD": _PASSWORD, "MQTT_CLIENT_ID": unique}
        where = {"MQTT_HOST": "localhost", "MQTT_PORT": str(port), "MQTT_USE_TLS": "true"}
        settings = read(Mqtt, {**where, **login, **given})
        async with connection(settings, tls_context(settings)) as client:
            await client.publish(unique, "x", qos=1)


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_the_broker_may_have_another_name(secure: SecureBroker, unique: str) -> None:
    base: dict[str, Any] = {"host": "127.0.0.1", "port": secure.port, "use_tls": True, "client_id": unique}
    login: dict[str, Any] = {"username": _USER, "password": _PASSWORD, "ca_cert": str(secure.ca)}
    wrong = Mqtt(**base, **login)
    with pytest.raises(aiomqtt.MqttError, match="CERTIFICATE_VERIFY_FAILED"):
        await connection(wrong, tls_context(wrong)).__aenter__()
    right = Mqtt(**base, **login, tls_server_name="localhost")
    async with connection(right, tls_context(right)) as client:
        await client.publish(unique, "x", qos=1)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"MQTT_CA_CERT": "ca.pem"}, "MQTT_CA_CERT is set, but MQTT_USE_TLS is not"),
        ({"MQTT_TLS_SERVER_NAME": "b"}, "MQTT_TLS_SERVER_NAME is set, but MQTT_USE_TLS is not"),
        ({"MQTT_USE_TLS": "true", "MQTT_CA_CERT": "/none.pem"}, "MQTT_CA_CERT: /none.pem cannot be read"),
        ({"MQTT_USE_TLS": "true", "MQTT_CLIENT_KEY": "k"}, "MQTT_CLIENT_CERT is missing"),
        ({"MQTT_USE_TLS": "true", "MQTT_CLIENT_CERT": "/none.pem"}, "MQTT_CLIENT_CERT or its key"),
    ],
)
def test_what_is_wrong_with_tls_is_said_at_the_start(given: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        read(Mqtt, {"MQTT_HOST": "h", **given})


def test_a_broker_is_checked_unless_there_is_no_tls() -> None:
    assert tls_context(Mqtt(host="x")) is None
    context = tls_context(Mqtt(host="x", use_tls=True))
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
