"""ingest and a broker that wants TLS and a password."""

import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from shared.config import Database
from shared.embedded.broker import find_mosquitto
from shared.embedded.child import spawn, stop
from shared.ports import accepts
from tests.ingest.test_service import Ingesting
from tests.support.samples import telemetry
from tests.support.servers import eventually, execute, free_port, wait_until

_USER, _PASSWORD = "ecs", "a secret word"


class SecureBroker:
    """A mosquitto with a certificate for localhost that clients must check, and one user."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.ca = directory / "ca.pem"
        _certificate(directory)
        passwords = directory / "passwords"
        passwords.write_text(f"{_USER}:{_PASSWORD}\n")
        subprocess.run([_beside("mosquitto_passwd"), "-U", str(passwords)], check=True)
        config = directory / "secure.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\ncertfile {directory}/cert.pem\nkeyfile {directory}/key.pem\n"
            f"allow_anonymous false\npassword_file {passwords}\n"
            + ("user root\n" if os.geteuid() == 0 else "")
        )
        self.process = spawn([find_mosquitto() or "mosquitto", "-c", config], log=directory / "secure.log")
        wait_until(lambda: accepts("127.0.0.1", self.port))


def _beside(name: str) -> str:
    return shutil.which(name) or str(Path(find_mosquitto() or "").parents[1] / "bin" / name)


def _certificate(directory: Path) -> None:
    """One that is its own authority; ca.pem is the same."""
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    shutil.copy(directory / "cert.pem", directory / "ca.pem")


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[SecureBroker]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    broker = SecureBroker(tmp_path)
    yield broker
    stop(broker.process, signal.SIGTERM, timeout=10)


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
    given |= {"ca_cert": None} if wrong == "authority" else {"password": "another word"}
    ingesting = Ingesting(tmp_path, database, ("localhost", secure.port), unique, **given)
    said = "certificate" if wrong == "authority" else "authori"
    await eventually(lambda: said in ingesting.get("/health")[1].lower(), explain=ingesting.process.output)
    assert ingesting.get("/health")[0] == 503
    assert "word" not in ingesting.process.output()
    assert ingesting.process.stop() == 0
