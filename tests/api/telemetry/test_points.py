from datetime import UTC, datetime, timedelta
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.telemetry.buckets import cover
from api.telemetry.params import Fill, parse_granularity
from api.telemetry.points import (
    Point,
    Sums,
    filled,
    kilowatts,
    network_point,
    rounded_count,
    share,
    ven_point,
)
from api.web.figures import rounded

START = datetime(2026, 7, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
END = START + 5 * HOUR
HOUR_US = 3_600_000_000
BUCKETS = cover(START, END, parse_granularity("1h"), None)
FOUND = [
    Point(START + HOUR, 2.0, 1.0, 2.0, "dr", 3.0, 4.0),
    Point(START + 3 * HOUR, 5.0, 0.0, 5.0, None, None, 4.0),
]
# Half an hour of 4 kW, of which 1 kW shed; for a quarter of an hour of it 2 kW are asked for.
HALF = Sums(2_000_000_000, 500_000_000, 500_000_000, HOUR_US // 2, HOUR_US // 4, "dr")


def shown(fill: Fill, before: Point | None = None, until: datetime = END) -> list[tuple[int, float | None]]:
    points = filled(FOUND, BUCKETS, fill, before, until)
    return [((point.timestamp - START) // HOUR, point.used_power_kw) for point in points]


def test_figures_are_rounded_to_3_decimals_and_never_minus_zero() -> None:
    assert [rounded(2.00051), rounded(1 / 3), str(rounded(-0.0001))] == [2.001, 0.333, "0.0"]


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**12))
def test_a_power_is_in_whole_watts(uwh: int, us: int) -> None:
    watts = Fraction(kilowatts(uwh, us) * 1000).limit_denominator(1)
    assert watts - Fraction(1, 2) <= Fraction(3600 * uwh, us) < watts + Fraction(1, 2)
    assert kilowatts(uwh, us) == int(watts) / 1000


@pytest.mark.parametrize(("watts", "shown"), [(1501, 1.501), (1501.5, 1.502), (-1501.5, -1.501), (-0.5, 0.0)])
def test_half_a_watt_is_rounded_up(watts: float, shown: float) -> None:
    found = kilowatts(int(watts * 1_000_000), 3_600_000_000)
    assert str(found) == str(shown)


@pytest.mark.parametrize(("part", "shown"), [(0, 0.0), (1, 0.001), (999, 0.5), (1998, 0.999), (2000, 1.0)])
def test_a_share_has_3_decimals(part: int, shown: float) -> None:
    assert share(part, 2000) == shown


def test_a_ven_has_its_power_while_it_speaks() -> None:
    assert ven_point(START, HOUR_US, *HALF) == Point(START, 4.0, 1.0, 2.0, "dr", 1.0, None, 0.5)


def test_coverage_is_of_the_bucket_so_far() -> None:
    assert ven_point(START, HOUR_US // 2, *HALF).coverage == 1


def test_the_network_has_its_power_over_the_bucket() -> None:
    assert network_point(START, START + HOUR, HALF, START) == Point(START, 2.0, 0.5, 2.0, "dr", 0.5, 0.5)


def test_the_network_begins_with_its_first_reading() -> None:
    begun = network_point(START, START + HOUR, HALF, START + HOUR / 2)
    assert begun == Point(START, 4.0, 1.0, 2.0, "dr", 1.0, 1)


@pytest.mark.parametrize("first_at", [START + HOUR, START + 2 * HOUR])
def test_a_first_reading_not_heard_of_yet_dilutes_nothing(first_at: datetime) -> None:
    assert network_point(START, START + HOUR, HALF, first_at).used_power_kw == 2


def test_nothing_is_asked_for_where_no_reading_names_an_event() -> None:
    calm = HALF._replace(requested_uwh=0, event_us=0, event_id=None)
    assert ven_point(START, HOUR_US, *calm).requested_reduction_kw is None
    assert network_point(START, START + HOUR, calm, START).requested_reduction_kw is None
    asked_for_nothing = calm._replace(event_us=1)
    assert ven_point(START, HOUR_US, *asked_for_nothing).requested_reduction_kw == 0


def test_energy_has_9_decimals() -> None:
    tiny = ven_point(START, HOUR_US, *HALF._replace(used_uwh=1))
    assert msgspec.to_builtins(tiny)["usedEnergyKwh"] == 0.000000001
    assert str(ven_point(START, HOUR_US, *HALF._replace(used_uwh=0)).used_energy_kwh) == "0.0"


def test_sums_of_two_stretches_add_up() -> None:
    later = Sums(1, 2, 3, 4, 5, "ev")
    assert HALF.plus(later) == Sums(
        2_000_000_001, 500_000_002, 500_000_003, HOUR_US // 2 + 4, HOUR_US // 4 + 5, "ev"
    )
    assert later._replace(event_id=None).plus(HALF).event_id == "dr"


def test_null_fills_every_bucket() -> None:
    assert shown("null") == [(0, None), (1, 2.0), (2, None), (3, 5.0), (4, None)]


def test_locf_carries_the_last_point_forward() -> None:
    assert shown("locf") == [(0, None), (1, 2.0), (2, 2.0), (3, 5.0), (4, 5.0)]


def test_locf_carries_the_point_before_the_range() -> None:
    assert shown("locf", Point(START - HOUR, 9.0)) == [(0, 9.0), (1, 2.0), (2, 2.0), (3, 5.0), (4, 5.0)]
    assert shown("null", Point(START - HOUR, 9.0))[0] == (0, None)


def test_nothing_is_filled_from_a_time_on() -> None:
    assert shown("locf", until=START + 4 * HOUR) == [(0, None), (1, 2.0), (2, 2.0), (3, 5.0)]


def test_a_carried_point_has_all_but_energy() -> None:
    carried = filled(FOUND, BUCKETS, "locf", None, END)[2]
    assert carried == Point(START + 2 * HOUR, 2.0, 1.0, 0.0, "dr", 3.0, 4.0)


def test_a_carried_point_of_a_ven_is_not_covered() -> None:
    carried = filled([], BUCKETS, "locf", Point(START - HOUR, 2.0, 1.0, 2.0, coverage=1.0), END)[0]
    assert carried == Point(START, 2.0, 1.0, 0.0, coverage=0.0)


@pytest.mark.parametrize("fill", ["null", "locf"])
def test_without_data_every_bucket_is_null(fill: Fill) -> None:
    assert filled([], BUCKETS, fill, None, END) == [Point(START + n * HOUR) for n in range(5)]


@pytest.mark.parametrize(
    ("mean", "text"), [(25.0, "25"), (24.5, "24.5"), (24.99999, "25"), (0.0, "0"), (1 / 3, "0.333")]
)
def test_a_whole_count_has_no_decimals(mean: float, text: str) -> None:
    assert msgspec.json.encode(rounded_count(mean)).decode() == text
