"""Fixtures: one PostgreSQL and one broker a session, one database a test."""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from shared import config
from shared.commands.migrate import migrate
from shared.config import Database
from tests.support import servers
from tests.support.ingest_process import Ingesting
from tests.support.whole import Whole

# Tests that use these fixtures, or lie in these folders or files, need servers: `make test-unit` leaves them out.
_SERVER_FIXTURES = frozenset({"postgres", "broker"})
_SERVER_PLACES = frozenset(
    {"whole", "support", "test_db_tls.py", "test_embedded.py", "test_fleet.py", "test_wheel.py"}
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need servers. Files with slow tests come first: workers shall end at about the same time."""
    for item in items:
        used, places = set(getattr(item, "fixturenames", ())), {item.path.name, item.path.parent.name}
        if used & _SERVER_FIXTURES or places & _SERVER_PLACES:
            item.add_marker(pytest.mark.servers)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Listen to SIGINT, so that the processes of tests do: a shell starts jobs in the background with SIGINT ignored,
    and they hand that on."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """Remove the developer's own settings: tests give every setting themselves."""
    kinds = (
        kind for kind in vars(config).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    )
    for field in (field for kind in kinds for field in msgspec.structs.fields(kind)):
        os.environ.pop(field.encode_name, None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Database]:
    """Settings for a user who may create databases; a superuser, unless TEST_DB_USER is not."""
    with servers.postgres_server() as settings:
        yield settings


@pytest.fixture
def superuser(postgres: Database) -> None:
    """For tests that make roles, or reach into the server: skipped where TEST_DB_USER is not a superuser."""
    if servers.execute(postgres, "SHOW is_superuser") != [("on",)]:
        pytest.skip("needs a superuser, which TEST_DB_USER is not")


@pytest.fixture(scope="session")
def template(postgres: Database) -> Iterator[str]:
    """The name of a migrated database without connections."""
    with servers.new_database(postgres) as settings:
        migrate(settings)
        yield settings.name


@pytest.fixture
def database(postgres: Database, template: str) -> Iterator[Database]:
    """A migrated database for one test."""
    with servers.new_database(postgres, template) as settings:
        yield settings


@pytest.fixture(scope="session")
def broker() -> Iterator[servers.Address]:
    """Host and port of the session's broker. Tests share it: use names that no other test uses (`unique`)."""
    with servers.broker_server() as address:
        yield address


@pytest.fixture
def unique() -> str:
    """A name no other test uses, for topics and client ids."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def ingesting(
    tmp_path: Path, database: Database, broker: servers.Address, unique: str
) -> Iterator[Ingesting]:
    """An ingest process that is ready, killed at the end."""
    running = Ingesting(tmp_path, database, broker, unique)
    running.wait_ready()
    yield running
    running.process.kill()


@pytest.fixture
def whole(tmp_path: Path, database: Database, broker: servers.Address, unique: str) -> Iterator[Whole]:
    """An ingest and an api process on one database, ready, killed at the end."""
    running = Whole(tmp_path, database, broker, unique)
    yield running
    running.api.kill()
    running.ingest.process.kill()
