"""Migrations: all there and back, two at once, after a kill, and on a server that is still starting."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from shared.commands.migrate import DIRECTORY, migrate, migration_ids
from shared.config import Database
from shared.embedded.postgres import EmbeddedPostgres
from shared.errors import StartupError
from tests.support.servers import (
    Process,
    as_environment,
    connect,
    execute,
    free_port,
    new_database,
    temporary_directory,
    wait_until,
)

_OBJECTS = """
    SELECT relkind::text, relname::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname !~ 'yoyo'
    UNION ALL SELECT 'function', proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ORDER BY 1, 2
"""


def test_every_step_has_its_rollback() -> None:
    assert [(DIRECTORY / f"{name}.rollback.sql").exists() for name in migration_ids()] == [True] * len(
        migration_ids()
    )


def test_all_there_all_back_and_all_there_again(postgres: Database) -> None:
    with new_database(postgres) as db:
        before = execute(db, _OBJECTS)
        assert migrate(db) == migration_ids()
        there = execute(db, _OBJECTS)
        assert migrate(db) == []
        assert migrate(db, rollback=1) == migration_ids()[-1:]
        assert migrate(db, rollback=99) == migration_ids()[-2::-1]
        assert execute(db, _OBJECTS) == before
        migrate(db)
        assert execute(db, _OBJECTS) == there


def test_a_rollback_works_with_partitions_and_rows_there(database: Database) -> None:
    execute(database, "SELECT make_raw_day('2026-01-01 00:00Z'), make_rollup_month('2026-01-01 00:00Z')")
    execute(
        database, "INSERT INTO ven_telemetry VALUES ('v', '2026-01-01Z', 1, 0, null, null, null, '{}', now())"
    )
    migrate(database, rollback=99)
    assert migrate(database) == migration_ids()


_SAMPLES = """
    SELECT ven_id, load_id, load_type, name, used_power_kw, shed_power_kw, shed_capability_kw, capacity_kw
    FROM ven_load_samples ORDER BY ven_id, ts, load_id
"""


def store_samples(database: Database, samples: list[tuple[object, ...]]) -> None:
    """Each: VEN, day of January at noon, and the other columns of the table of before 0026."""
    for sample in samples:
        execute(
            database,
            "INSERT INTO ven_load_samples"
            " VALUES (%s, make_timestamptz(2026, 1, %s, 12, 0, 0), %s, %s, %s, %s, %s, %s, %s)",
            *sample,
        )


def test_samples_are_carried_over_into_lists_and_back(database: Database) -> None:
    """Lists with optional fields of some loads, of none, without a load; and what expired days have left."""
    migrate(database, rollback=len([name for name in migration_ids() if name >= "0026"]))
    execute(
        database,
        "SELECT make_raw_day(day) FROM generate_series('2025-12-30Z', '2026-01-02Z'::timestamptz, '1 day') AS day",
    )
    for ven, day, lists in (("a", 1, True), ("b", 1, True), ("c", 1, True), ("d", 1, False), ("a", 2, True)):
        execute(
            database,
            "INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, payload, received_at, lists_loads)"
            " VALUES (%s, make_timestamptz(2026, 1, %s, 12, 0, 0), 1, 0, '{}', now(), %s)",
            *(ven, day, lists),
        )
    given: list[tuple[object, ...]] = [
        ("a", 1, "x", "hvac", None, 1.5, None, 0.5, 7.5),
        ("a", 1, "y", None, "Boiler", 2.5, None, None, 3.0),
        ("b", 1, "x", None, None, -1.0, 0.25, None, None),
        ("a", 2, "x", "hvac", "", 0.0, 0.0, 0.0, 0.0),
    ]
    store_samples(database, given)
    execute(database, "COMMENT ON TABLE ven_load_samples_20251231 IS 'expired'")
    for name in ("ven_load_samples_20251230", "ven_load_samples_20251231"):
        execute(database, f"ALTER TABLE ven_load_samples DETACH PARTITION {name}")
    before = execute(database, _SAMPLES)
    assert len(before) == len(given)
    migrate(database)
    assert execute(database, _SAMPLES) == before
    assert execute(
        database, "SELECT ven_id, load_types, cardinality(load_ids) FROM ven_load_lists ORDER BY ts, ven_id"
    ) == [
        ("a", ["hvac", None], 2),
        ("b", None, 1),
        ("c", None, 0),
        ("a", ["hvac"], 1),
    ]
    # What an operator has detached is left alone.
    detached = "SELECT relname::text FROM pg_class WHERE relname ~ '^ven_load_samples_[0-9]+$'"
    assert execute(database, detached) == [("ven_load_samples_20251230",)]
    assert execute(database, "SELECT count(*) FROM current_loads") == [(0,)]
    migrate(database, rollback=1)
    assert execute(database, _SAMPLES) == before
    assert execute(database, "SELECT relkind::text FROM pg_class WHERE relname = 'ven_load_samples_key'") == [
        ("I",)
    ]


@pytest.mark.parametrize("back", [False, True])
def test_a_batch_that_commits_meanwhile_is_carried_over(database: Database, back: bool) -> None:
    """ingest stores until the migration, or its rollback, has the tables for itself."""
    execute(database, "SELECT make_raw_day('2026-01-01Z')")
    newer = len([name for name in migration_ids() if name >= "0026"])
    if not back:
        migrate(database, rollback=newer)
    with connect(database) as writer, ThreadPoolExecutor(1) as pool:
        writer.execute(
            "INSERT INTO ven_telemetry VALUES ('v', '2026-01-01Z', 1, 0, null, null, null, '{}', now())"
        )
        if back:
            writer.execute(
                "INSERT INTO ven_load_lists (ven_id, ts, load_ids, used_power_kw)"
                " VALUES ('v', '2026-01-01Z', '{x}', '{1.5}')"
            )
        else:
            writer.execute(
                "INSERT INTO ven_load_samples (ven_id, ts, load_id, used_power_kw)"
                " VALUES ('v', '2026-01-01Z', 'x', 1.5)"
            )
        running = pool.submit(migrate, database, newer if back else 0)
        waiting = (
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE NOT l.granted AND d.datname = %s"
        )
        wait_until(lambda: execute(database, waiting, database.name)[0][0] >= 1, 20)
        writer.commit()
        running.result(30)
    assert execute(database, "SELECT load_id, used_power_kw FROM ven_load_samples") == [("x", 1.5)]


def test_two_at_once_take_turns(postgres: Database) -> None:
    with new_database(postgres) as db, ThreadPoolExecutor(4) as pool:
        done = [future.result() for future in [pool.submit(migrate, db) for _ in range(4)]]
    assert sorted(map(len, done)) == [0, 0, 0, len(migration_ids())]


def test_a_lock_row_left_by_a_killed_process_is_cleared(postgres: Database) -> None:
    with new_database(postgres) as db:
        migrate(db, rollback=1)
        execute(db, "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")
        assert migrate(db) == migration_ids()
        assert execute(db, "SELECT count(*) FROM yoyo_lock") == [(0,)]


@pytest.mark.usefixtures("superuser")
def test_the_next_run_finishes_what_a_kill_left_half_done(postgres: Database, tmp_path: Path) -> None:
    with new_database(postgres) as db:
        migrate(db)
        migrate(db, rollback=99)
        with connect(db) as blocker:
            # The first step waits for this lock in the middle of its transaction.
            blocker.execute("LOCK TABLE pg_class IN SHARE MODE")
            run = Process(tmp_path, "shared.commands.cli", "migrate", env=as_environment(db))
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
            wait_until(lambda: execute(postgres, waiting, db.name)[0][0] >= 1, 20, run.output)
            run.kill()
        assert migrate(db) == migration_ids()


def test_it_waits_for_a_server_that_is_still_starting(tmp_path: Path) -> None:
    with temporary_directory() as directory:
        server = EmbeddedPostgres(directory / "pg")
        server.start()
        settings = server.settings()
        server.stop()
        run = Process(tmp_path, "shared.commands.cli", "migrate", env=as_environment(settings))
        wait_until(lambda: "waiting_for_database" in run.output(), 20)
        assert "No such file or directory" in run.output().splitlines()[0], "why, from the first line on"
        server.start()
        assert run.wait(30) == 0
        server.stop()


def test_it_gives_up_after_db_timeout_with_one_line(database: Database, tmp_path: Path) -> None:
    away = msgspec.structs.replace(database, host="127.0.0.1", port=free_port(), timeout=1)
    with pytest.raises(StartupError, match=r"DB_HOST=127.0.0.1 .* within DB_TIMEOUT=1 s"):
        migrate(away)
    done = subprocess.run(
        [sys.executable, "-m", "shared.commands.cli", "migrate"],
        env={"PATH": "/usr/bin:/bin", **as_environment(away)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ecs-backend: no database at DB_HOST=127.0.0.1")


def test_writers_go_on_while_migrations_run(database: Database) -> None:
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        with connect(database) as c:
            while not stop.is_set():
                c.execute("INSERT INTO vens (ven_id, first_seen_at) VALUES (%s, now())", [f"v{written}"])
                c.commit()
                written += 1

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: written > 10)
    assert migrate(database) == []
    stop.set()
    writer.join()
    assert execute(database, "SELECT count(*) FROM vens") == [(written,)]
