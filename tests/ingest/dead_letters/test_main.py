"""`ecs-backend dead-letters` on a real database."""

import argparse
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.dead_letters.__main__ import _moment
from ingest.message import DeadLetter, Message
from ingest.partitions import Partitions
from ingest.write.batch import Store
from shared import db
from shared.config import Database
from tests.support.samples import message, reading, status, telemetry
from tests.support.servers import Process, as_environment, connect, execute, wait_until

NOW = time.time()
# How many are done in one transaction.
AT_ONCE = 200


async def bury(database: Database, *messages: Message, reason: str | None = None) -> None:
    """Put messages into dead_letters, those that are well with `reason`."""
    for each in messages:
        if reason is not None:
            each.content = DeadLetter(reason, getattr(each.content, "ven_id", None))
    connection = await db.connect(database, application="test")
    await Store("t", Partitions()).write(connection, messages)
    await connection.close()


def run(directory: Path, database: Database, *arguments: str, code: int = 0) -> str:
    env = as_environment(database)
    with Process(directory, "ingest.dead_letters", *arguments, env=env) as process:
        assert process.wait() == code, process.output()
        return process.output()


def stored(database: Database) -> list[tuple[str, float]]:
    return execute(database, "SELECT ven_id, used_power_kw FROM ven_telemetry ORDER BY 1, ts")


def left(database: Database) -> int:
    return int(execute(database, "SELECT count(*) FROM dead_letters")[0][0])


def wrong(ven: str, **fields: object) -> Message:
    return message("volttron/metering", telemetry(ven, NOW, 1, **fields))


async def test_a_list_has_no_control_characters(database: Database, tmp_path: Path) -> None:
    await bury(database, message("oadr/meter/v2\x1b[2J", b'{"timestamp": 1'))
    text = run(tmp_path, database, "list")
    assert "1 of 1 dead letter\n" in text
    assert "\x1b" not in text


async def test_a_list_has_the_chosen_ones(database: Database, tmp_path: Path) -> None:
    await bury(database, wrong("v1", timestamp="soon"), message("oadr/meter/v2", b'{"timestamp": 1'))
    assert "2 of 2 dead letters" in run(tmp_path, database, "list")
    assert "1 of 1 dead letter\n" in run(tmp_path, database, "list", "--ven", "v1")
    assert "1 of 1 dead letter\n" in run(tmp_path, database, "list", "--reason", "BREAKS OFF")
    assert "no dead letters" in run(tmp_path, database, "list", "--since", "2999-01-01")


async def test_a_letter_is_shown_with_a_pointer_to_its_defect(database: Database, tmp_path: Path) -> None:
    await bury(database, wrong("v1", timestamp="soon"))
    ((letter,),) = execute(database, "SELECT id FROM dead_letters")
    text = run(tmp_path, database, "show", str(letter))
    assert '"timestamp": "soon"' in text
    assert "<-- timestamp is a text" in text


def test_an_unknown_letter_is_named(database: Database, tmp_path: Path) -> None:
    assert "there is no dead letter 99" in run(tmp_path, database, "show", "99", code=1)


async def test_retry_stores_what_is_good_now_and_keeps_the_rest(database: Database, tmp_path: Path) -> None:
    good = [reading(v, NOW, 1.0, loads={"a": 1.0}) for v in ("v1", "v2")]
    await bury(database, *good, status("v1", "ready"), reason="refused by an older version")
    await bury(database, reading("v3", NOW, 3.0))
    await bury(
        database, reading("v3", NOW, 3.0), wrong("v4", usedPowerKw="much"), reason="not what it says now"
    )
    text = run(tmp_path, database, "retry", "--all")
    assert "stored now: 3, stored before: 1, left: 1" in text
    assert "1  usedPowerKw is a text that is not a number" in text
    assert stored(database) == [("v1", 1.0), ("v2", 1.0), ("v3", 3.0)]
    assert execute(database, "SELECT count(*) FROM ven_load_samples") == [(2,)]
    assert execute(database, "SELECT status FROM ven_statuses") == [("ready",)]
    ((error, ven),) = execute(database, "SELECT error, ven_id FROM dead_letters")
    assert (error[:23], ven) == ("usedPowerKw is a text t", "v4")


async def test_retry_takes_the_chosen_ones(database: Database, tmp_path: Path) -> None:
    await bury(database, *(reading(v, NOW, 1.0) for v in ("v1", "v2")), reason="odd")
    run(tmp_path, database, "retry", "--ven", "v1")
    assert (stored(database), left(database)) == ([("v1", 1.0)], 1)


async def test_purge_deletes_the_chosen_ones(database: Database, tmp_path: Path) -> None:
    await bury(database, *(reading(v, NOW, 1.0) for v in ("v1", "v2", "v3")), reason="odd")
    assert "1 deleted" in run(tmp_path, database, "purge", "--ven", "v2")
    assert left(database) == 2
    assert "2 deleted" in run(tmp_path, database, "purge", "--all")
    assert left(database) == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [("retry", "could be stored: 2, would be left: 0"), ("purge", "2 would be deleted")],
)
async def test_a_dry_run_changes_nothing(database: Database, tmp_path: Path, command: str, said: str) -> None:
    await bury(database, *(reading(v, NOW, 1.0) for v in ("v1", "v2")), reason="odd")
    assert said in run(tmp_path, database, command, "--all", "--dry-run")
    assert (stored(database), left(database)) == ([], 2)


@pytest.mark.parametrize("command", ["retry", "purge"])
def test_which_letters_must_be_said(database: Database, tmp_path: Path, command: str) -> None:
    assert "--all" in run(tmp_path, database, command, code=2)


async def test_what_is_not_whole_or_refused_by_the_database_stays(database: Database, tmp_path: Path) -> None:
    execute(database, "ALTER TABLE ven_telemetry ADD CONSTRAINT no_thirteen CHECK (used_power_kw <> 13)")
    large = message("volttron/metering", telemetry("v1", NOW, 1.0, eventId="x" * 70_000))
    await bury(database, large, reading("v2", NOW, 13.0), reading("v3", NOW, 1.0), reason="odd")
    text = run(tmp_path, database, "retry", "--all")
    assert "stored now: 1, stored before: 0, left: 2" in text
    assert "only its beginning is kept" in text
    assert "constraint no_thirteen" in text
    assert stored(database) == [("v3", 1.0)]
    assert left(database) == 2


async def test_a_retried_reading_does_not_make_its_ven_speak_now(database: Database, tmp_path: Path) -> None:
    old = message("volttron/metering", telemetry("v", NOW - 7200, 1.0), received_at=NOW - 7200)
    await bury(database, old, reason="odd")
    run(tmp_path, database, "retry", "--all")
    assert execute(database, "SELECT last_seen_at < now() - interval '1 hour', clock_offset FROM vens") == [
        (True, None)
    ]


async def test_killed_half_way_it_has_stored_each_once(database: Database, tmp_path: Path) -> None:
    letters: Sequence[Message] = [reading(f"v{n}", NOW, 1.0, loads={"a": 1.0}) for n in range(3 * AT_ONCE)]
    await bury(database, *letters, reason="odd")
    ((blocked,),) = execute(database, f"SELECT id FROM dead_letters ORDER BY id OFFSET {AT_ONCE + 7} LIMIT 1")
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE%%' AND datname = %s"
    env = as_environment(database)
    with connect(database) as holder:
        holder.execute("SELECT FROM dead_letters WHERE id = %s FOR UPDATE", [blocked])
        with Process(tmp_path, "ingest.dead_letters", "retry", "--all", env=env) as process:
            # The second lot is written, and about to leave the table.
            wait_until(lambda: execute(database, waits, database.name), 20, process.output)
            assert "another retry" in run(tmp_path, database, "retry", "--all", code=1)
            process.kill()
    wait_until(
        lambda: (
            not execute(database, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1684369524")
        )
    )
    assert (len(stored(database)), left(database)) == (AT_ONCE, 2 * AT_ONCE)
    assert f"stored now: {2 * AT_ONCE}, stored before: 0" in run(tmp_path, database, "retry", "--all")
    assert (len(stored(database)), left(database)) == (3 * AT_ONCE, 0)
    assert execute(database, "SELECT count(*) FROM ven_load_samples") == [(3 * AT_ONCE,)]


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90m", timedelta(minutes=90)), ("2h", timedelta(hours=2)), ("1.5d", timedelta(hours=36))],
)
def test_since_may_be_a_span(text: str, ago: timedelta) -> None:
    assert abs(datetime.now(UTC) - _moment(text) - ago) < timedelta(minutes=1)
    assert _moment("2026-11-25T02:14:07") == datetime(2026, 11, 25, 2, 14, 7, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "3 d", "999999999d"])
def test_a_wrong_since_says_what_would_be_right(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="neither ISO 8601 nor a length of time: write"):
        _moment(text)
