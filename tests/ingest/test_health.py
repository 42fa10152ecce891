"""Whether the database is away: what /health says of it, and what the log says once."""

import re
import time

import pytest

from ingest.health import Asker, DatabaseHealth

AWAY, LOCKED = ConnectionRefusedError(), TimeoutError()
Captured = pytest.CaptureFixture[str]


def events(capsys: Captured) -> list[str]:
    known = ("waiting_for_database", "database_ready", "leader_waits", "leader_ready")
    lines = capsys.readouterr().out.splitlines()
    return [name for line in lines for name in known if name in line]


def plain(capsys: Captured) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)


def test_it_is_away_until_the_writer_has_had_an_answer(capsys: Captured) -> None:
    health = DatabaseHealth()
    assert health.problem == "not yet connected"
    health.worked(Asker.WRITER)
    assert health.problem is None
    assert events(capsys) == ["database_ready"]


def test_what_two_find_is_logged_once(capsys: Captured) -> None:
    health = DatabaseHealth({})
    for asker in (Asker.PROBE, Asker.WRITER, Asker.PROBE, Asker.LEADER):
        health.failed(asker, AWAY)
    assert events(capsys) == ["waiting_for_database"]


def test_another_reason_is_a_change(capsys: Captured) -> None:
    health = DatabaseHealth({})
    health.failed(Asker.WRITER, AWAY)
    health.failed(Asker.WRITER, LOCKED)
    assert events(capsys) == ["waiting_for_database"] * 2


def test_the_probe_does_not_answer_for_the_writer(capsys: Captured) -> None:
    health = DatabaseHealth({})
    health.failed(Asker.WRITER, LOCKED)
    health.worked(Asker.PROBE)
    assert health.problem is not None
    assert "database_ready" not in events(capsys)


def test_the_writer_answers_for_the_probe_too(capsys: Captured) -> None:
    health = DatabaseHealth({})
    health.failed(Asker.PROBE, AWAY)
    health.worked(Asker.WRITER)
    assert health.problem is None
    assert events(capsys) == ["waiting_for_database", "database_ready"]


def test_what_only_the_leader_cannot_do_stops_no_batch(capsys: Captured) -> None:
    health = DatabaseHealth({})
    health.failed(Asker.LEADER, LOCKED)
    assert health.problem is None
    health.failed(Asker.WRITER, LOCKED)
    assert events(capsys) == ["leader_waits", "waiting_for_database"]


def test_the_end_says_how_long_it_lasted_and_what_waited(capsys: Captured) -> None:
    health = DatabaseHealth({})
    health.in_hand = lambda: 84
    health.worked(Asker.WRITER)
    health._worked_at = time.monotonic() - 42
    health.failed(Asker.PROBE, AWAY)
    health.failed(Asker.WRITER, LOCKED)
    health.worked(Asker.WRITER)
    assert "messages=84 seconds=42.0" in plain(capsys)


def test_one_leader_does_not_answer_for_the_other(capsys: Captured) -> None:
    health = DatabaseHealth({})
    for _ in range(2):
        health.failed(Asker.LEADER, LOCKED)
        health.worked(Asker.LOADS_LEADER)
    assert events(capsys) == ["leader_waits"]
    health.worked(Asker.LEADER)
    assert events(capsys) == ["leader_ready"]


def test_what_the_writer_has_said_the_leader_does_not_end(capsys: Captured) -> None:
    health = DatabaseHealth({})
    health.failed(Asker.WRITER, AWAY)
    health.failed(Asker.LEADER, AWAY)
    health.worked(Asker.WRITER)
    health.worked(Asker.LEADER)
    assert events(capsys) == ["waiting_for_database", "database_ready"]
