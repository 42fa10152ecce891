"""`ecs-backend status` and `ecs-backend rollup` on a real database."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from ingest.database import leader_connection
from ingest.partitions import Partitions
from ingest.write.batch import Store
from shared.commands.status_report import changed, read
from shared.commands.status_screen import screen
from shared.config import Api, Database, Ingest
from tests.ingest.upkeep.support import END, START, at, network, write
from tests.support.leader import count
from tests.support.model import R
from tests.support.runbook import check
from tests.support.samples import message, status, telemetry
from tests.support.servers import Process, as_environment, connect, execute, free_port, wait_until


def command(directory: Path, settings: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Free ports, so that another run on this machine is not asked.
    nobody = Ingest(http_port=free_port()), Api(port=free_port())
    env = {"PATH": "/usr/bin:/bin", **as_environment(settings, *nobody)}
    return subprocess.run(
        [sys.executable, "-m", "shared.commands.cli", *arguments],
        env=env,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_status_shows_what_there_is(database: Database, tmp_path: Path) -> None:
    connection = await leader_connection(database)
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
    check("vens-offline", [" ".join(lines["VENs"].split())])
    assert f"{at(END):%Y-%m-%dT}" in lines["counted up to"]
    assert lines["late readings"].split()[2] == "1"
    assert "ven_telemetry" in done.stdout
    assert "more than the … days of RAW_RETENTION_DAYS" in done.stdout


async def test_status_names_slow_reporters_with_a_remedy(database: Database, tmp_path: Path) -> None:
    connection = await leader_connection(database)
    seldom = [R(v, START + 1800 * n, 1.0) for n in range(4) for v in ("s", "t")]
    await write(connection, *seldom, *(R("often", START + 300 * n, 1.0) for n in range(6)))
    await connection.close()
    done = command(tmp_path, database, "status")
    assert done.returncode == 0, done.stderr
    assert "2 VENs report every 30 min; raise VEN_OFFLINE_AFTER to 1860" in done.stdout
    check("slow-reporters", [" ".join(line.split()) for line in done.stdout.splitlines()])
    assert [line.split()[0] for line in done.stdout.splitlines() if line.rstrip().endswith(" 30 min")] == [
        "s",
        "t",
    ]


def test_status_says_that_no_ingest_answers(database: Database, tmp_path: Path) -> None:
    assert "unknown: no ingest answers" in command(tmp_path, database, "status").stdout


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ([{"batterySoc": "full"}], "batterySoc is a text"),
        ([{"usedPowerKw": 1}, {"usedPowerKw": 2}], "give each reading a time"),
        ([{}], "whole hours: zone 60 min"),
    ],
    ids=["flaw", "conflict", "clock"],
)
async def test_status_names_a_ven_with_a_defect(
    database: Database, tmp_path: Path, bodies: list[dict[str, Any]], said: str
) -> None:
    connection = await leader_connection(database)
    slow = time.time() - 3600
    messages = [message("volttron/metering", telemetry("odd", slow, 1.0, **body)) for body in bodies]
    await Store("t", Partitions()).write(connection, messages)
    await connection.close()
    lines = [" ".join(line.split()) for line in command(tmp_path, database, "status").stdout.splitlines()]
    assert any(line.startswith("odd ") and said in line for line in lines), lines


async def test_status_as_json_names_the_newest_dead_letter(database: Database, tmp_path: Path) -> None:
    connection = await leader_connection(database)
    dead = [
        message(f"oadr/meter/v{n}", telemetry(f"v{n}", 1, 1.0), received_at=time.time() - n) for n in (1, 2)
    ]
    await Store("t", Partitions()).write(connection, dead)
    await connection.close()
    (letter,) = json.loads(command(tmp_path, database, "status", "--json").stdout)["dead_letters"]
    assert (letter["messages"], letter["ven"], letter["topic"]) == (2, "v1", "oadr/meter/v1")


def test_status_as_json_has_every_section(database: Database, tmp_path: Path) -> None:
    report = json.loads(command(tmp_path, database, "status", "--json").stdout)
    assert report["health"]["ingest"]["status"] == "unreachable"
    assert report["database"]["encoding"] == "UTF8"
    assert (report["vens"]["known"], report["rates"]) == (0, None)
    assert report["settings"]["VEN_OFFLINE_AFTER"] == 960
    assert report["disk"]["used"] > 0


def test_status_names_who_holds_a_lock(database: Database, tmp_path: Path) -> None:
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
    with connect(database) as holder, ThreadPoolExecutor() as pool:
        holder.execute("SET application_name = 'backup'")
        holder.execute("LOCK TABLE vens IN SHARE MODE")
        waiting = pool.submit(delete_vens, database)
        wait_until(lambda: execute(database, waits, database.name))
        report = json.loads(command(tmp_path, database, "status", "--json").stdout)
        pid = holder.info.backend_pid
        holder.rollback()
        waiting.result()
    ((session),) = report["waiting"]
    assert (session["application"], session["holder_application"]) == ("ecs-test", "backup")
    assert session["holder"] == pid


def delete_vens(settings: Database) -> None:
    with connect(settings) as connection:
        connection.execute("SET application_name = 'ecs-test'")
        connection.execute("DELETE FROM vens")


def test_a_watch_goes_on_without_a_database_and_ends_at_ctrl_c(database: Database, tmp_path: Path) -> None:
    away = as_environment(msgspec.structs.replace(database, host="127.0.0.1", port=free_port()))
    arguments = ("status", "--json", "--watch", "0.1")
    with Process(tmp_path, "shared.commands.cli", *arguments, env=away) as watch:
        wait_until(lambda: watch.output().count("\n") >= 2, 20, watch.output)
        assert "no database at" in json.loads(watch.output().splitlines()[0])["error"]
        watch.send_signal(signal.SIGINT)
        assert watch.wait() == 0


def test_settings_that_differ_are_shown_and_secrets_are_not(database: Database) -> None:
    env = {**as_environment(database), "MQTT_HOST": "broker", "MQTT_PASSWORD": "s3", "API_KEYS": "k"}
    shown = changed(read({**env, "MQTT_USERNAME": "u", "MQTT_SHARED_GROUP": "g"}))
    assert {"MQTT_HOST", "MQTT_SHARED_GROUP", "RAW_RETENTION_DAYS"} <= shown.keys()
    assert not {"MQTT_PASSWORD", "API_KEYS", "MQTT_USERNAME", "MQTT_CLIENT_ID"} & shown.keys()


def test_growth_of_today_says_how_many_days_are_left() -> None:
    report = EMPTY | {
        "disk": {
            "used": 2**30,
            "free": 70 * 2**30,
            "a_day": 7.0 * 2**30,
            "days_left": 10.0,
            "raw_at_retention": 2**40,
        }
    }
    text = StringIO()
    Console(width=200, file=text).print(screen(report))
    assert (
        "70.0 GiB free; raw rows grow by 7.0 GiB a day, 1.0 TiB at retention; 10 days left" in text.getvalue()
    )


def test_bounds_of_partitions_are_whole_days_in_any_width() -> None:
    table = {"table": "ven_load_lists", "rows": 7, "bytes": 1024, "partitions": 2}
    days = {"first": datetime(2026, 11, 1, tzinfo=UTC), "last": datetime(2027, 1, 1, tzinfo=UTC)}
    text = StringIO()
    disk = {"used": 1, "free": 1, "a_day": None, "days_left": None}
    Console(width=80, file=text).print(screen(EMPTY | {"disk": disk, "tables": [table | days]}))
    line = next(line for line in text.getvalue().splitlines() if line.startswith("ven_load_lists"))
    assert line.split() == ["ven_load_lists", "7", "1.0", "KiB", "2", "2026-11-01", "2027-01-01"]


EMPTY: dict[str, Any] = {
    "health": {},
    "database": {
        "version": "18.0",
        "encoding": "UTF8",
        "fsync": "on",
        "synchronous_commit": "on",
        "read_only": False,
        "migration": "0001",
    },
    "rates": None,
    "waiting": [],
    "vens": {
        "online": 0,
        "known": 0,
        "clocks": [],
        "flawed": [],
        "conflicting": [],
        "longest_offline": [],
        "slow_reporters": {"vens": 0, "worst": []},
    },
    "counting": None,
    "dead_letters": [],
    "tables": [],
    "settings": {},
}


async def test_rebuild_puts_rollups_right_and_says_what_it_did(database: Database, tmp_path: Path) -> None:
    connection = await leader_connection(database)
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
