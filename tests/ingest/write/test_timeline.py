"""Statuses: a row is a transition, and taking the same ones in again adds none."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.message import Outcome
from ingest.write.timeline import Timeline


def test_a_repeat_of_the_current_status_adds_no_row_but_moves_its_time() -> None:
    timeline = Timeline()
    assert timeline.apply(10, "online", None) is Outcome.STORED
    assert timeline.apply(20, "online", None) is Outcome.DUPLICATE
    assert (timeline.status_at, [row[:2] for row in timeline.new]) == (20, [(10, "online")])


def test_an_older_status_is_history_and_never_becomes_current() -> None:
    timeline = Timeline(rows=[(20, "online")], status="online", status_at=20)
    assert timeline.apply(10, "offline", "why") is Outcome.STORED
    assert (timeline.status, timeline.status_at, timeline.new) == (
        "online",
        20,
        [(10, "offline", "why")],
    )


def test_two_statuses_of_one_instant_are_one_row() -> None:
    timeline = Timeline()
    timeline.apply(10, "online", None)
    assert timeline.apply(10, "offline", None) is Outcome.DUPLICATE
    assert timeline.status == "online"


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["online", "offline", "ready"])), max_size=12))
def test_what_was_taken_in_once_changes_nothing_the_second_time(reports: list[tuple[int, str]]) -> None:
    timeline = Timeline()
    for ts, status in sorted(reports, key=lambda report: report[0]):
        timeline.apply(ts, status, None)
    rows, current = list(timeline.rows), (timeline.status, timeline.status_at)
    again = Timeline(rows=list(rows), status=current[0], status_at=current[1])
    outcomes = [again.apply(ts, status, None) for ts, status in sorted(reports, key=lambda report: report[0])]
    assert set(outcomes) <= {Outcome.DUPLICATE}
    assert (again.rows, (again.status, again.status_at)) == (rows, current)
    assert all(a[1] != b[1] for a, b in pairwise(rows))
