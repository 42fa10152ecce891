"""Statuses: a row is a transition, recorded at its own time where that fits between its neighbours by arrival."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.message import Outcome
from ingest.write.timeline import Timeline, Transition

S, D = Outcome.STORED, Outcome.DUPLICATE


def take(timeline: Timeline, arrival: int, status: str, ts: int | None = None) -> Outcome:
    return timeline.apply(arrival, ts, status, None, status == "offline")


def recorded(timeline: Timeline) -> list[tuple[int, str]]:
    return sorted((row.recorded_at, row.status) for row in timeline.rows)


def test_a_repeated_status_moves_its_time_and_adds_no_row() -> None:
    timeline = Timeline()
    assert [take(timeline, 10, "online"), take(timeline, 20, "online")] == [S, D]
    assert (timeline.status_at, recorded(timeline)) == (20, [(10, "online")])
    take(timeline, 40, "online", ts=35)
    assert timeline.status_at == 35


def test_a_transition_stands_at_its_own_time_where_that_fits() -> None:
    timeline = Timeline()
    take(timeline, 100, "online", ts=90)
    take(timeline, 101, "ready", ts=95)
    assert recorded(timeline) == [(90, "online"), (95, "ready")]
    assert (timeline.status, timeline.status_at) == ("ready", 95)


def test_an_old_will_takes_the_ven_offline_on_arrival() -> None:
    timeline = Timeline()
    take(timeline, 100, "online", ts=100)
    assert take(timeline, 900, "offline", ts=99) is S
    assert (timeline.status, recorded(timeline)) == ("offline", [(100, "online"), (900, "offline")])


def test_a_will_that_says_the_same_each_time_counts_each_time() -> None:
    timeline = Timeline()
    outcomes = [take(timeline, at, s, ts=5) for at, s in ((10, "offline"), (20, "online"), (30, "offline"))]
    assert outcomes == [S, S, S]
    assert timeline.status == "offline"


def test_a_status_of_the_future_stands_at_its_arrival() -> None:
    timeline = Timeline()
    take(timeline, 100, "online", ts=400)
    take(timeline, 200, "offline", ts=210)
    assert recorded(timeline) == [(100, "online"), (200, "offline")]


def test_a_status_stored_with_just_this_time_is_a_duplicate() -> None:
    timeline = Timeline()
    take(timeline, 10, "online", ts=8)
    take(timeline, 20, "ready", ts=18)
    assert take(timeline, 30, "online", ts=8) is D
    assert timeline.status == "ready"


def test_one_that_arrived_before_the_current_one_is_history() -> None:
    timeline = Timeline(rows=[Transition(20, 20, "online")], status="online", status_at=20, received_at=20)
    assert take(timeline, 10, "offline") is S
    assert (timeline.status, timeline.status_at, recorded(timeline)) == (
        "online",
        20,
        [(10, "offline"), (20, "online")],
    )


def test_a_first_status_that_fits_nowhere_stands_before_the_next() -> None:
    timeline = Timeline()
    take(timeline, 200, "online", ts=90)
    take(timeline, 150, "offline", ts=95)
    assert recorded(timeline) == [(89, "offline"), (90, "online")]


def test_a_status_before_a_repeat_leaves_the_repeat_current() -> None:
    # Another process has the repeat stored already.
    timeline = Timeline(rows=[Transition(10, 10, "online")], status="online", status_at=50, received_at=50)
    assert take(timeline, 30, "offline") is S
    assert (timeline.status, recorded(timeline)) == (
        "online",
        [(10, "online"), (30, "offline"), (50, "online")],
    )


@given(
    st.lists(
        st.tuples(
            st.integers(1, 30),
            st.none() | st.integers(1, 30),
            st.sampled_from(["online", "offline", "ready"]),
        ),
        max_size=12,
        unique_by=lambda report: report[0],
    )
)
def test_in_any_order_of_arrival_history_is_a_row_of_changes(
    reports: list[tuple[int, int | None, str]],
) -> None:
    timeline = Timeline()
    for arrival, ts, status in sorted(reports):
        take(timeline, arrival, status, ts)
    rows = [(row.received_at, row.recorded_at) for row in timeline.rows]
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(rows))
    assert all(at >= recorded_at for at, recorded_at in rows)
    assert all(a.status != b.status for a, b in pairwise(timeline.rows))
    if timeline.rows:
        assert timeline.status == timeline.rows[-1].status
