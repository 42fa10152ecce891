"""What the log says of batches, and of what waited while a server was away."""

import time

import pytest

from ingest.write.flush_log import Backlog, FlushSummary
from tests.support.samples import message, reading, status, telemetry

HOLD = 100


def test_it_tells_the_median_the_worst_and_the_newest() -> None:
    flushes, now = FlushSummary(), time.time()
    older = reading("v", now - 50, 1.0)
    for seconds in (0.01, 0.03, 0.5):
        flushes.add(
            [older, reading("w", now - 20, 1.0), status("v", "on")], [], rows=3, seconds=seconds, busy=0.1
        )
    fields = flushes.fields()
    assert (fields["messages"], fields["rows"], fields["batches"], fields["ms"]) == (9, 9, 3, 300.0)
    assert (fields["median_ms"], fields["worst_ms"]) == (30.0, 500.0)
    assert fields["behind_s"] == pytest.approx(20, abs=5)


def test_a_clock_ahead_makes_nothing_newer_than_its_arrival() -> None:
    flushes, now = FlushSummary(), time.time()
    ahead = message("volttron/metering", telemetry("v", now + 200, 1.0), received_at=now - 60)
    flushes.add([ahead], [], rows=1, seconds=0.1, busy=0.1)
    assert flushes.fields()["behind_s"] == pytest.approx(60, abs=5)


def test_what_waited_is_told_once_it_is_worked_off() -> None:
    backlog = Backlog(HOLD)
    assert backlog.look(0, 100, away=True) is None
    assert backlog.look(400, 100, away=False) is None
    told = backlog.look(350, 20, away=False)
    assert told is not None
    assert told[0] == 750
    assert backlog.look(350, 20, away=False) is None


def test_what_was_in_hand_alone_is_no_backlog() -> None:
    backlog = Backlog(HOLD)
    backlog.look(0, 60, away=True)
    assert backlog.look(60, 0, away=False) is None
    assert backlog.look(500, 0, away=False) is None


def test_what_came_before_the_next_outage_is_not_counted() -> None:
    backlog = Backlog(HOLD)
    backlog.look(200, 100, away=False)
    backlog.look(0, 100, away=True)
    told = backlog.look(150, 0, away=False)
    assert told is not None
    assert told[0] == 150
