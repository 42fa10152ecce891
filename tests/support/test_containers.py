"""The part of the harness that runs servers in containers, also where no Docker answers."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self

import pytest

from shared.config import Database
from tests.support import containers, servers
from tests.support.servers import Address, execute


class FakeContainer:
    """A container like those of testcontainers, whose server runs already."""

    made: ClassVar[list["FakeContainer"]] = []
    address: ClassVar[Address]

    def __init__(self, image: str) -> None:
        self.image = image
        self.ports: list[int] = []
        self.env: dict[str, str] = {}
        self.volumes: dict[str, str] = {}
        self.command: list[str] = []
        self.runs = False
        self.made.append(self)

    def with_exposed_ports(self, *ports: int) -> Self:
        self.ports += ports
        return self

    def with_env(self, name: str, value: str) -> Self:
        self.env[name] = value
        return self

    def with_volume_mapping(self, host: str, within: str) -> Self:
        self.volumes[within] = host
        return self

    def with_command(self, command: list[str]) -> Self:
        self.command = command
        return self

    def get_container_host_ip(self) -> str:
        assert self.runs
        return self.address[0]

    def get_exposed_port(self, port: int) -> str:
        assert port in self.ports
        return str(self.address[1])

    def __enter__(self) -> Self:
        self.runs = True
        return self

    def __exit__(self, *_: object) -> None:
        self.runs = False


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> list[FakeContainer]:
    """The containers that are made, on a machine where Docker answers and no server is named."""
    for name in ("TEST_DB_HOST", "TEST_MQTT_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(servers, "docker_answers", lambda: True)
    monkeypatch.setattr(containers, "DockerContainer", FakeContainer)
    monkeypatch.setattr(FakeContainer, "made", [])
    return FakeContainer.made


@contextmanager
def role_and_database(server: Database, name: str) -> Iterator[None]:
    """What the image makes at its first start. The server that tests use may be such a container itself."""
    if server.user == name:
        yield
        return
    execute(server, f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{name}'")
    execute(server, f"CREATE DATABASE {name}")
    try:
        yield
    finally:
        execute(server, f"DROP DATABASE {name}")
        execute(server, f"DROP ROLE {name}")


def test_importing_it_warns_of_nothing() -> None:
    command = [sys.executable, "-W", "error", "-c", "import tests.support.containers"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.usefixtures("superuser")
def test_postgres_runs_in_a_container(
    docker: list[FakeContainer], postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeContainer, "address", (postgres.host, postgres.port), raising=False)
    with role_and_database(postgres, "test"), servers.postgres_server() as settings:
        (container,) = docker
        assert container.runs
        assert container.image == "postgres:18"
        assert container.env == {f"POSTGRES_{of}": "test" for of in ("USER", "PASSWORD", "DB")}
        assert "--max_prepared_transactions=10" in container.command
        assert execute(settings, "SELECT current_user::text") == [("test",)]
    assert not container.runs


def test_the_broker_runs_in_a_container(
    docker: list[FakeContainer], broker: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeContainer, "address", broker, raising=False)
    with servers.broker_server() as address:
        (container,) = docker
        assert address == broker
        assert Path(container.volumes["/mosquitto/config/mosquitto.conf"]).is_file()
    assert not container.runs
