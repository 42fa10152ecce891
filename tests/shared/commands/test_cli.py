"""The `ecs-backend` command: help, settings, exit codes."""

import fcntl
from pathlib import Path

import pytest

from shared.commands import running
from shared.commands.migrate import migration_ids
from shared.config import Database
from tests.support.servers import Process, as_environment, execute, new_database


@pytest.mark.parametrize(
    "command", [(), ("up",), ("migrate",), ("ingest",), ("api",), ("simulate",), ("dead-letters",)]
)
def test_help_explains_each_command(tmp_path: Path, command: tuple[str, ...]) -> None:
    with Process(tmp_path, "shared.commands.cli", *command, "--help", env={}) as process:
        assert process.wait() == 0
        assert f"usage: {' '.join(('ecs-backend', *command))}" in process.output()


@pytest.mark.parametrize("arguments", [(), ("fly",), ("ingest", "--fast"), ("migrate", "--rollback", "0")])
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with Process(tmp_path, "shared.commands.cli", *arguments, env={}) as process:
        assert process.wait() == 2
        assert "usage: ecs-backend" in process.output()


@pytest.mark.parametrize("command", ["migrate", "ingest", "api", "simulate"])
def test_a_missing_setting_is_named_in_one_line(tmp_path: Path, command: str) -> None:
    with Process(tmp_path, "shared.commands.cli", command, env={}) as process:
        assert process.wait() == 2
        (line,) = process.output().splitlines()
        assert "is missing" in line
        assert "_HOST" in line


def test_migrate_applies_and_rolls_back(tmp_path: Path, postgres: Database) -> None:
    def applied() -> int:
        return len(execute(database, "SELECT 1 FROM _yoyo_migration"))

    with new_database(postgres) as database:
        env = as_environment(database)
        with Process(tmp_path, "shared.commands.cli", "migrate", env=env) as process:
            assert process.wait() == 0
        assert applied() == len(migration_ids())
        with Process(tmp_path, "shared.commands.cli", "migrate", "--rollback", "2", env=env) as process:
            assert process.wait() == 0
        assert applied() == len(migration_ids()) - 2


def test_settings_come_from_env_file_too(tmp_path: Path, database: Database) -> None:
    lines = [f"{name}={value}\n" for name, value in as_environment(database).items()]
    (tmp_path / ".env").write_text("".join(lines))
    with Process(tmp_path, "shared.commands.cli", "migrate", env={}) as process:
        assert process.wait() == 0
        assert '"event": "migrated"' in process.output()
    with Process(tmp_path, "shared.commands.cli", "migrate", env={"LOG_LEVEL": "warning"}) as process:
        assert process.wait() == 0
        assert process.output() == ""


def test_what_up_has_written_counts_only_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    running.write(tmp_path, {"DB_HOST": "/a", "DB_USER": "u", "MQTT_HOST": "here", "INGEST_HTTP_PORT": "9"})
    assert "DB_HOST" not in running.environment(tmp_path)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setenv("DB_USER", "other")
        found = running.environment(tmp_path)
        assert (found["DB_HOST"], found["DB_USER"], found["INGEST_HTTP_PORT"]) == ("/a", "u", "9")
        monkeypatch.setenv("DB_HOST", "mine")
        found = running.environment(tmp_path)
        assert (found["DB_HOST"], found["DB_USER"], found["MQTT_HOST"]) == ("mine", "other", "here")
