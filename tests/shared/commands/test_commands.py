"""`ecs-backend status` and `ecs-backend rollup` on a real database."""

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from ingest.partitions import Partitions
from ingest.write.batch import Store
from shared import db
from shared.config import Database
from tests.ingest.upkeep.support import END, START, at, network, write
from tests.support.leader import count
from tests.support.model import R
from tests.support.samples import message, reading, status
from tests.support.servers import as_environment, execute, free_port


def command(directory: Path, settings: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", **as_environment(settings)}
    return subprocess.run(
        [sys.executable, "-m", "shared.commands.cli", *arguments],
        env=env,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_status_shows_what_there_is(database: Database, tmp_path: Path) -> None:
    connection = await db.connect(database, application="test")
    await write(connection, R("a", START, 1.0), R("b", START, 1.0))
    await count(connection, at(END))
    await write(connection, R("a", START + 1, 1.0))
    dead = [
        message("volttron/metering", b'{"venId": "v", "timestamp": %d, "usedPowerKw": 1}' % n)
        for n in range(3)
    ]
    await Store("t", Partitions()).write(connection, [*dead, status("a", "ready")])
    await connection.close()
    execute(database, "UPDATE vens SET last_seen_at = now() - interval '1 day' WHERE ven_id = 'b'")
    done = command(tmp_path, database, "status")
    assert done.returncode == 0, done.stderr
    lines = {line.split("  ")[0].strip(): line for line in done.stdout.splitlines()}
    assert "1 online, 1 offline, 2 in all" in lines["VENs"]
    assert f"{at(END):%Y-%m-%dT}" in lines["counted up to"]
    assert lines["late readings"].split()[2] == "1"
    assert "ven_telemetry" in done.stdout
    assert "more than the … days of RAW_RETENTION_DAYS" in done.stdout


async def test_status_names_slow_reporters_and_what_would_be_right(
    database: Database, tmp_path: Path
) -> None:
    connection = await db.connect(database, application="test")
    seldom = [R(v, START + 1800 * n, 1.0) for n in range(4) for v in ("s", "t")]
    await write(connection, *seldom, *(R("often", START + 300 * n, 1.0) for n in range(6)))
    await connection.close()
    done = command(tmp_path, database, "status")
    assert done.returncode == 0, done.stderr
    assert "2 VENs report every 30 min; raise VEN_OFFLINE_AFTER to 1860" in done.stdout
    assert "a tick takes   unknown" in done.stdout


async def test_status_names_flaws_conflicts_and_clocks(database: Database, tmp_path: Path) -> None:
    connection = await db.connect(database, application="test")
    slow = time.time() - 3600
    await Store("t", Partitions()).write(
        connection, [reading("slow", slow, 1.0, batterySoc="full"), reading("slow", slow, 2.0)]
    )
    await connection.close()
    execute(database, "UPDATE vens SET last_seen_at = now()")
    lines = command(tmp_path, database, "status").stdout.splitlines()
    assert any("slow" in line and "flawed" in line and "batterySoc is a text" in line for line in lines)
    assert any("slow" in line and "conflict" in line and "give each reading a time" in line for line in lines)
    assert any("slow" in line and "whole hours: zone" in line and "3,600 s" in line for line in lines)


async def test_rebuild_puts_rollups_right_and_says_what_it_did(database: Database, tmp_path: Path) -> None:
    connection = await db.connect(database, application="test")
    await write(connection, R("a", START, 1.0), R("a", START + 600, 3.0))
    await count(connection, at(END))
    await connection.execute("DELETE FROM network_power_5m")
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + 1000))
    done = command(tmp_path, database, "rollup", "--rebuild", "--from", since)
    assert done.returncode == 0, done.stderr
    assert "rebuilt" in done.stdout
    assert min(await network(connection)) == 900, "whole quarters of an hour"
    await connection.close()


@pytest.mark.parametrize("arguments", [["status"], ["rollup", "--rebuild"]])
def test_without_a_database_it_says_so_and_fails(
    database: Database, tmp_path: Path, arguments: list[str]
) -> None:
    away = msgspec.structs.replace(database, host="127.0.0.1", port=free_port())
    done = command(tmp_path, away, *arguments)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "database" in done.stderr


@pytest.mark.parametrize("arguments", [["rollup"], ["rollup", "--rebuild", "--from", "then"], ["nonsense"]])
def test_wrong_usage_is_2(database: Database, tmp_path: Path, arguments: list[str]) -> None:
    assert command(tmp_path, database, *arguments).returncode == 2


def test_status_without_a_schema_names_the_command(database: Database, tmp_path: Path) -> None:
    execute(database, "DROP TABLE rollup_state")
    done = command(tmp_path, database, "status")
    assert done.returncode == 1
    assert "ecs-backend migrate" in done.stderr
