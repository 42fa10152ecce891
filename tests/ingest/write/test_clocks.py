"""How far a VEN's clock is off: the median of its live readings; a backlog says nothing of it."""

import pytest

from ingest.write.clocks import Clocks

SECOND = 1_000_000
T = 1_790_000_000 * SECOND


def hear(clocks: Clocks, late: float, *at: float) -> list[tuple[float | None, float]]:
    """Readings that arrive at `at` s and are `late` s old then."""
    return [clocks.hear("v", round(T + (s - late) * SECOND), round(T + s * SECOND)) for s in at]


def test_a_clock_that_is_right_is_not_off() -> None:
    clocks = Clocks()
    assert hear(clocks, 0.5, 0, 10, 20)[1:] == [(0.5, 0.5), (0.5, 0.5)]
    assert list(clocks.off()) == []


@pytest.mark.parametrize("late", [180, -200, 3600])
def test_a_clock_that_is_wrong_is_off_by_the_median(late: float) -> None:
    clocks = Clocks()
    hear(clocks, late, 0, 10, 20)
    hear(clocks, late + 60, 90)
    assert list(clocks.off()) == [("v", late)]


def test_a_backlog_is_not_taken_for_a_slow_clock() -> None:
    clocks = Clocks()
    hear(clocks, 1, 0, 10)
    behind = [clocks.hear("v", T + n * 10 * SECOND, T + 9000 * SECOND + n) for n in range(2, 20)]
    assert {lateness for lateness, _ in behind} == {None}
    assert list(clocks.off()) == []


def test_a_past_sent_at_once_is_not_taken_for_a_slow_clock() -> None:
    clocks = Clocks()
    past = [clocks.hear("v", T + n * 10 * SECOND, T + 9000 * SECOND + n) for n in range(9)]
    assert past[1:] == [(None, 0.0)] * 8
    assert list(clocks.off()) == []


def test_a_slow_clock_is_off_from_its_first_reading() -> None:
    clocks = Clocks()
    hear(clocks, 180, 0)
    assert list(clocks.off()) == [("v", 180)]


def test_readings_of_an_hour_ago_end_with_the_first_live_one() -> None:
    clocks = Clocks()
    # Slower than they were measured: each hour one, of the hour before and 20 s on.
    for n in range(9):
        clocks.hear("v", T + n * 20 * SECOND, T + (n + 1) * 3600 * SECOND)
    assert [ven for ven, _ in clocks.off()] == ["v"]
    hear(clocks, 1, 32410)
    hear(clocks, 1, 32420)
    assert list(clocks.off()) == []


def test_of_a_clock_set_anew_the_next_readings_say_so() -> None:
    clocks = Clocks()
    hear(clocks, 0, *range(0, 90, 10))
    (first, _), (second, _) = hear(clocks, 600, 90, 100)
    assert (first, second) == (None, 600)
