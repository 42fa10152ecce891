from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from api.telemetry.buckets import cover
from api.telemetry.params import Fill, parse_granularity
from api.telemetry.points import Point, filled, rounded_count
from api.web.figures import rounded

START = datetime(2026, 7, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BUCKETS = cover(START, START + 5 * HOUR, parse_granularity("1h"), None)
FOUND = [
    Point(START + HOUR, 2.0, 1.0, 2.0, "dr", 3.0, 4.0),
    Point(START + 3 * HOUR, 5.0, 0.0, 5.0, None, None, 4.0),
]


def shown(fill: Fill, *, open_start: bool = False, open_end: bool = False) -> list[tuple[int, float | None]]:
    points = filled(FOUND, BUCKETS, fill, open_start=open_start, open_end=open_end)
    return [((point.timestamp - START) // HOUR, point.used_power_kw) for point in points]


def test_figures_are_rounded_to_3_decimals_and_never_minus_zero() -> None:
    assert [rounded(2.00051), rounded(1 / 3), str(rounded(-0.0001))] == [2.001, 0.333, "0.0"]


def test_without_fill_only_buckets_with_data_are_there() -> None:
    assert shown("none") == [(1, 2.0), (3, 5.0)]


def test_null_fills_every_bucket_asked_for() -> None:
    assert shown("null") == [(0, None), (1, 2.0), (2, None), (3, 5.0), (4, None)]


def test_locf_carries_the_last_point_forward() -> None:
    assert shown("locf") == [(0, None), (1, 2.0), (2, 2.0), (3, 5.0), (4, 5.0)]


def test_a_carried_point_has_everything_but_energy() -> None:
    carried = filled(FOUND, BUCKETS, "locf", open_start=False, open_end=False)[2]
    assert carried == Point(START + 2 * HOUR, 2.0, 1.0, 0.0, "dr", 3.0, 4.0)


def test_an_open_side_is_filled_as_far_as_data_goes() -> None:
    assert shown("null", open_start=True) == [(1, 2.0), (2, None), (3, 5.0), (4, None)]
    assert shown("locf", open_end=True) == [(0, None), (1, 2.0), (2, 2.0), (3, 5.0)]


@pytest.mark.parametrize("fill", ["null", "locf"])
def test_without_data_every_bucket_asked_for_is_null(fill: Fill) -> None:
    points = filled([], BUCKETS, fill, open_start=False, open_end=False)
    assert points == [Point(START + n * HOUR) for n in range(5)]
    assert filled([], BUCKETS, fill, open_start=True, open_end=False) == []


@pytest.mark.parametrize(
    ("mean", "text"), [(25.0, "25"), (24.5, "24.5"), (24.99999, "25"), (0.0, "0"), (1 / 3, "0.333")]
)
def test_a_whole_count_has_no_decimals(mean: float, text: str) -> None:
    assert msgspec.json.encode(rounded_count(mean)).decode() == text
