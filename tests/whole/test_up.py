"""`ecs-backend up`, as a person runs it: in a directory of its own, stopped by a signal."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from shared.commands import up as command
from shared.config import Database, Mqtt
from shared.embedded.broker import find_mosquitto
from shared.embedded.postgres import EmbeddedPostgres
from shared.ports import accepts
from tests.support.servers import (
    Address,
    Process,
    alive,
    as_environment,
    execute,
    free_port,
    temporary_directory,
    wait_until,
)

embedded = pytest.mark.skipif(find_mosquitto() is None, reason="needs a mosquitto of its own")


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_directory() as directory:
        # Capitals and a blank, as people name directories.
        (made := directory / "My Houses").mkdir()
        yield made


class Up(Process):
    """`ecs-backend up` in `directory`, on free ports."""

    def __init__(
        self, directory: Path, *arguments: str, env: dict[str, str] | None = None, history: str | None = "0"
    ) -> None:
        self.port, self.ingest_port, self.broker_port = free_port(), free_port(), free_port()
        ports = ["--port", str(self.port), "--broker-port", str(self.broker_port)]
        if history and "--history" not in arguments:
            ports += ["--history", history]
        env = {"INGEST_HTTP_PORT": str(self.ingest_port), **(env or {})}
        super().__init__(directory, "shared.commands.cli", "up", *ports, *arguments, env=env)

    def wait_until_running(self) -> list[psutil.Process]:
        """Its children, once it has said that it runs."""
        wait_until(
            lambda: "ECS Backend runs" in self.output() or self.returncode is not None, 30, self.output
        )
        assert self.returncode is None, self.output()
        return psutil.Process(self.pid).children()

    def wait_for_rows(self) -> int:
        """How many telemetry messages its embedded database holds, once there are some."""
        return wait_until(self.rows, 20, self.output)

    def rows(self) -> int:
        return int(self.execute("SELECT count(*) FROM ven_telemetry")[0][0])

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        settings = EmbeddedPostgres(self.directory / ".data" / "postgres").settings("ecs")
        return execute(settings, statement)


@embedded
def test_it_runs_everything_and_goes_on_with_its_data(home: Path) -> None:
    # Left over from docker compose: what leads to other servers must not trip the embedded ones.
    (home / ".env").write_text(
        "DB_USER=x\nDB_PORT=nonsense\nDB_CA_CERT=none.pem\nDB_API_ROLE=\nMQTT_PORT=1\nMQTT_USE_TLS=true\n"
    )
    with Up(home, "--vens", "3", "--interval", "0.2") as up:
        children = up.wait_until_running()
        assert all(accepts("127.0.0.1", port) for port in (up.port, up.ingest_port, up.broker_port))
        stored = up.wait_for_rows()
        for arguments, answer in ((["status"], "online"), (["dead-letters", "list"], "no dead letters")):
            with Process(home, "shared.commands.cli", *arguments, env={}) as beside:
                assert beside.wait() == 0, beside.output()
                assert answer in beside.output()
        up.send_signal(signal.SIGINT)
        assert up.wait() == 0
        assert "the data" in up.output()
        assert alive(children) == []
    with Up(home, "--no-simulate") as up:
        up.wait_until_running()
        assert up.wait_for_rows() >= stored
        assert up.stop() == 0


def test_a_signal_while_it_asks_the_database_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_STOP_SIGNALS", ())

    async def asking() -> None:
        asyncio.get_running_loop().call_soon(command._stop)
        await asyncio.Event().wait()

    with pytest.raises(command._Stop):
        asyncio.run(asyncio.wait_for(asking(), 5))


_SIGNAL_AT_FORK = """
import os, signal, sys
from shared.commands import cli, up
step = sys.argv.pop(1)
do = getattr(up.Services, step)
def with_signal(services):
    os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
    do(services)
setattr(up.Services, step, with_signal)
raise SystemExit(cli.main())
"""


@embedded
@pytest.mark.parametrize("step", ["_start_servers", "_spawn_fleet"])
def test_a_signal_while_it_starts_a_process_stops_it(home: Path, step: str) -> None:
    """Python ignores what the handler raises then."""
    ports = [f"--port={free_port()}", f"--broker-port={free_port()}", "--history=0"]
    done = subprocess.run(
        [sys.executable, "-c", _SIGNAL_AT_FORK, step, "up", *ports],
        cwd=home,
        env={"PATH": os.environ["PATH"], "INGEST_HTTP_PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Exception ignored" in done.stderr
    assert done.returncode == 0, done.stderr
    assert "Stopped" in done.stdout


@embedded
def test_an_empty_database_gets_a_day_of_the_fleets_past(home: Path) -> None:
    with Up(home, "--vens", "2", "--history", "6h") as up:
        up.wait_until_running()
        oldest = "SELECT min(ts) < now() - interval '5 hours 50 minutes' FROM ven_telemetry"
        wait_until(lambda: up.execute(oldest) == [(True,)], 60, up.output)
        day = "/api/stats/network/history?granularity=15m"
        # Counted too: the network's history is made of tiers.
        wait_until(
            lambda: len(httpx.get(f"http://127.0.0.1:{up.port}{day}").json()["points"]) >= 24, 60, up.output
        )
        assert up.stop() == 0
    # What is there is not published again.
    with Up(home, "--vens", "2", history=None) as up:
        up.wait_until_running()
        assert "at once" not in up.output()
        assert up.stop() == 0


@embedded
def test_a_second_run_on_the_same_data_is_refused_harmlessly(home: Path) -> None:
    with Up(home, "--no-simulate") as up:
        children = up.wait_until_running()
        with Up(home) as second:
            assert second.wait() == 1
            assert f"process {up.pid} already runs on" in second.output()
        assert alive(children) == children


@embedded
def test_a_server_that_dies_brings_an_orderly_stop_that_names_it(home: Path) -> None:
    with Up(home) as up:
        children = up.wait_until_running()
        next(child for child in children if child.name() == "mosquitto").kill()
        assert up.wait() == 1
        assert "broker ended (SIGKILL)" in up.output()
        assert alive(children) == []


@embedded
def test_killed_it_leaves_nothing_behind(home: Path) -> None:
    with Up(home, "--interval", "0.2") as up:
        children = up.wait_until_running()
        up.wait_for_rows()
        up.kill()
        wait_until(lambda: not alive(children), 20, lambda: str(alive(children)))


@embedded
@pytest.mark.parametrize("setting", ["API_PORT", "INGEST_HTTP_PORT", "--broker-port"])
def test_a_port_in_use_is_named_and_nothing_is_left_behind(home: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        arguments = {"API_PORT": ["--port", port], "--broker-port": ["--broker-port", port]}.get(setting, [])
        env = {"INGEST_HTTP_PORT": port} if setting == "INGEST_HTTP_PORT" else {}
        with Up(home, *arguments, env=env) as up:
            assert up.wait() == 1
            said = up.output().splitlines()[-1]
    assert f"port {port}" in said
    assert setting in said
    assert not (home / ".data" / "postgres" / "postmaster.pid").exists()


def test_servers_named_by_settings_get_no_simulated_fleet(
    home: Path, database: Database, broker: Address, unique: str
) -> None:
    mqtt = Mqtt(host=broker[0], port=broker[1], client_id=unique)
    with Up(home, env=as_environment(database, mqtt)) as up:
        up.wait_until_running()
        assert "simulated" not in up.output()
        assert up.stop() == 0
    assert {path.name for path in (home / ".data").iterdir()} == {"lock"}


def test_servers_named_by_settings_get_a_fleet_that_is_asked_for(
    home: Path, database: Database, broker: Address, unique: str
) -> None:
    mqtt = Mqtt(host=broker[0], port=broker[1], client_id=unique)
    with Up(home, "--vens", "2", env=as_environment(database, mqtt)) as up:
        up.wait_until_running()
        wait_until(lambda: execute(database, "SELECT 1 FROM ven_telemetry"), 20, up.output)
        assert up.stop() == 0


def test_a_database_that_is_not_there_ends_it_after_db_timeout(home: Path, broker: Address) -> None:
    away = Database(host="127.0.0.1", port=free_port(), user="u", password="p", name="n", timeout=0.5)
    mqtt = Mqtt(host=broker[0], port=broker[1])
    with Up(home, env=as_environment(away, mqtt)) as up:
        assert up.wait() == 1
        assert "no database at DB_HOST=127.0.0.1" in up.output().splitlines()[-1]


def test_a_broker_that_is_not_there_ends_it_after_db_timeout(home: Path, database: Database) -> None:
    mqtt = Mqtt(host="127.0.0.1", port=free_port())
    with Up(home, env=as_environment(database, mqtt) | {"DB_TIMEOUT": "0.5"}) as up:
        assert up.wait() == 1
        assert f"no broker at MQTT_HOST=127.0.0.1 MQTT_PORT={mqtt.port}" in up.output().splitlines()[-1]


def test_a_wrong_setting_is_named_before_anything_starts(home: Path) -> None:
    with Up(home, env={"DASHBOARD_TIMEZONE": "Mars/Olympus"}) as up:
        assert up.wait() == 2
        assert up.output().startswith("ecs-backend: DASHBOARD_TIMEZONE")
    assert not (home / ".data").exists()
