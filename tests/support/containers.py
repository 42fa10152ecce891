"""Servers for a test session in containers, where Docker answers.

Only the core of testcontainers is used: its modules for single servers change often, and warnings are errors here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import docker  # type: ignore[import-untyped]
import psycopg
from docker.errors import DockerException  # type: ignore[import-untyped]
from testcontainers.core.container import DockerContainer

from shared.config import Database
from shared.embedded.broker import CONFIG
from tests.support.servers import connect, wait_until

POSTGRES, BROKER = "postgres:18", "eclipse-mosquitto:2"
_OPEN = Path(__file__).resolve().parents[2] / "docs" / "deploy" / "broker" / "open.conf"
_USER = _PASSWORD = _NAME = "test"
_START_SECONDS = 60


def answers() -> bool:
    """Whether a Docker daemon answers that can run containers."""
    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    client.close()
    return True


@contextmanager
def postgres(options: Mapping[str, str]) -> Iterator[Database]:
    """A PostgreSQL with `options` of postgresql.conf, and its superuser."""
    container = DockerContainer(POSTGRES).with_exposed_ports(5432)
    container.with_env("POSTGRES_USER", _USER).with_env("POSTGRES_PASSWORD", _PASSWORD)
    container.with_env("POSTGRES_DB", _NAME)
    container.with_command(["postgres", *(f"--{name}={value}" for name, value in options.items())])
    with container:
        host, port = container.get_container_host_ip(), int(container.get_exposed_port(5432))
        settings = Database(host=host, port=port, user=_USER, password=_PASSWORD, name=_NAME)
        # Over TCP: while the image initializes, its server answers on the socket only.
        wait_until(lambda: _lets_in(settings), _START_SECONDS)
        yield settings


@contextmanager
def broker() -> Iterator[tuple[str, int]]:
    """A mosquitto with shared/embedded/mosquitto.conf: its host and port."""
    container = DockerContainer(BROKER).with_exposed_ports(1883)
    container.with_volume_mapping(str(_OPEN), "/mosquitto/config/mosquitto.conf")
    container.with_volume_mapping(str(CONFIG), "/mosquitto/config/kept/kept.conf")
    with container:
        yield container.get_container_host_ip(), int(container.get_exposed_port(1883))


def _lets_in(settings: Database) -> bool:
    try:
        connect(settings).close()
    except psycopg.OperationalError:
        return False
    return True
