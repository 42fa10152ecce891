"""Embedded PostgreSQL and broker: what a crash, a leftover or a taken port does to them."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shared.commands.migrate import migrate
from shared.embedded.broker import EmbeddedBroker
from shared.embedded.postgres import EmbeddedPostgres
from shared.errors import StartupError
from shared.ports import accepts
from tests.support.servers import alive, execute, free_port, running, temporary_directory, wait_until


@pytest.fixture
def directory() -> Iterator[Path]:
    with temporary_directory() as path:
        yield path


def test_data_survives_a_kill_and_a_stop(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "postgres")
    server.start()
    server.create_database("ecs")
    migrate(server.settings("ecs"))
    execute(server.settings("ecs"), "INSERT INTO vens (ven_id, first_seen_at) VALUES ('a', now())")
    server.kill()
    with running(server):
        server.create_database("ecs")
        assert execute(server.settings("ecs"), "SELECT ven_id FROM vens") == [("a",)]
    with running(server):
        assert execute(server.settings("ecs"), "SELECT ven_id FROM vens") == [("a",)]


def test_a_path_too_long_for_a_socket_works(directory: Path) -> None:
    server = EmbeddedPostgres(directory / ("long" * 30))
    with running(server):
        assert execute(server.settings(), "SELECT 1") == [(1,)]
        socket_directory = Path(server.settings().host)
    assert not socket_directory.exists()


def test_a_server_left_behind_is_replaced(directory: Path) -> None:
    left = EmbeddedPostgres(directory / "postgres")
    left.start()
    assert left.process is not None
    with running(EmbeddedPostgres(directory / "postgres")) as server:
        left.process.wait(10)
        assert execute(server.settings(), "SELECT 1") == [(1,)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_servers_end_with_a_parent_that_is_killed(directory: Path) -> None:
    port = free_port()
    program = f"""
import pathlib, time
from shared.embedded.broker import EmbeddedBroker
from shared.embedded.postgres import EmbeddedPostgres
directory = pathlib.Path({str(directory)!r})
servers = EmbeddedPostgres(directory / "pg"), EmbeddedBroker(directory / "mq", {port})
for server in servers:
    server.start()
print(*(server.process.pid for server in servers), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()
    wait_until(lambda: not alive(children), timeout=20)


def test_a_directory_of_something_else_is_left_alone(directory: Path) -> None:
    (directory / "postgres").mkdir()
    (directory / "postgres" / "letter.txt").write_text("dear")
    with pytest.raises(StartupError, match="not a PostgreSQL data directory"):
        EmbeddedPostgres(directory / "postgres").start()
    assert (directory / "postgres" / "letter.txt").exists()


def test_a_setting_postgres_refuses_is_told_with_its_reason(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "postgres", {"shared_buffers": "much"})
    with pytest.raises(StartupError, match='invalid value for parameter "shared_buffers"'):
        server.start()


def test_a_taken_port_is_named(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StartupError, match=rf"port {port} .*--broker-port"):
            EmbeddedBroker(directory / "mq", port).start()


def test_a_missing_mosquitto_is_told_with_what_to_type(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.embedded.broker.find_mosquitto", lambda: None)
    with pytest.raises(StartupError, match="make broker"):
        EmbeddedBroker(directory / "mq", free_port()).start()


def test_the_broker_listens_on_loopback_without_limits(directory: Path) -> None:
    with running(EmbeddedBroker(directory / "mq", free_port())) as broker:
        assert accepts("127.0.0.1", broker.port)
        config = (directory / "mq" / "mosquitto.conf").read_text(encoding="utf-8").splitlines()
    assert f"listener {broker.port} 127.0.0.1" in config
    assert f"persistence_location {directory.resolve()}/mq/" in config
    assert {"max_queued_messages 0", "max_inflight_messages 0", "persistence true"} <= set(config)
    assert (directory / "mq" / "mosquitto.db").exists()
