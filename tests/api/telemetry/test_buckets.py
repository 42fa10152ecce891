from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.telemetry.buckets import MAX_POINTS, choose, count, cover
from api.telemetry.params import HistoryParams, parse_granularity
from api.web.errors import BadRequestError
from tests.support import model

SIX_HOURS = timedelta(hours=6)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def params(**given: Any) -> HistoryParams:
    fields: dict[str, Any] = {"start": None, "end": None, "granularity": None, "timezone": None}
    return HistoryParams(**{**fields, **given}, fill="none", format="json")


def edges(start: str, end: str, granularity: str, zone: str) -> list[str]:
    found = cover(at(start), at(end), parse_granularity(granularity), ZoneInfo(zone))
    assert found.edges is not None
    return [f"{edge:%Y-%m-%dT%H:%M}" for edge in found.edges]


def test_start_is_floored_and_end_is_ceiled_from_the_epoch() -> None:
    found = cover(at("2026-07-10T15:07"), at("2026-07-10T15:20:01"), parse_granularity("15m"), None)
    assert (found.start, found.end) == (at("2026-07-10T15:00"), at("2026-07-10T15:30"))
    assert list(found.starts()) == [at("2026-07-10T15:00"), at("2026-07-10T15:15")]
    assert found.edges is None


def test_whole_buckets_stay_as_they_are() -> None:
    found = cover(at("2026-07-10T15:00"), at("2026-07-10T15:15"), parse_granularity("15m"), None)
    assert list(found.starts()) == [at("2026-07-10T15:00")]


def test_days_in_utc_need_no_edges() -> None:
    found = cover(at("2026-07-10T15:00"), at("2026-07-11T01:00"), parse_granularity("1d"), ZoneInfo("UTC"))
    assert found.edges is None
    assert (found.start, found.end) == (at("2026-07-10"), at("2026-07-12"))


def test_days_begin_at_the_zones_midnights_23_hours_in_spring() -> None:
    assert edges("2026-03-28T23:30", "2026-03-30T00:00", "1d", "Europe/Berlin") == [
        "2026-03-28T23:00",
        "2026-03-29T22:00",
        "2026-03-30T22:00",
    ]


def test_days_with_a_time_zone_are_25_hours_long_in_autumn() -> None:
    assert edges("2026-10-25T12:00", "2026-10-25T12:01", "1d", "Europe/Berlin") == [
        "2026-10-24T22:00",
        "2026-10-25T23:00",
    ]


def test_of_a_midnight_that_comes_twice_the_first_counts() -> None:
    # Havana, 2026-11-01: at 01:00 clocks go back to 00:00.
    assert edges("2026-11-01T05:30", "2026-11-01T05:31", "1d", "America/Havana") == [
        "2026-11-01T04:00",
        "2026-11-02T05:00",
    ]


def test_a_day_without_midnight_begins_when_clocks_jump() -> None:
    # Santiago, 2026-09-06: at 00:00 clocks go on to 01:00.
    assert edges("2026-09-06T12:00", "2026-09-06T12:01", "1d", "America/Santiago") == [
        "2026-09-06T04:00",
        "2026-09-07T03:00",
    ]


def test_a_day_that_never_was_has_no_bucket() -> None:
    # Samoa went from 2011-12-29 to 2011-12-31.
    assert edges("2011-12-30T09:00", "2011-12-30T11:00", "1d", "Pacific/Apia") == [
        "2011-12-29T10:00",
        "2011-12-30T10:00",
        "2011-12-31T10:00",
    ]


def test_clocks_back_over_midnight_leave_buckets_in_order() -> None:
    # St. John's, 2010-11-07: at 00:01 clocks went back to 23:01.
    assert edges("2010-11-07T02:32", "2010-11-07T02:33", "1d", "America/St_Johns") == [
        "2010-11-07T02:30",
        "2010-11-08T03:30",
    ]


def test_several_days_are_counted_from_local_1970() -> None:
    # 2026-07-06 is day 20640 = 7 * 2948 + 4, so the week of 7 days began on the 2nd.
    assert edges("2026-07-06T12:00", "2026-07-06T12:01", "7d", "Europe/Berlin") == [
        "2026-07-01T22:00",
        "2026-07-08T22:00",
    ]


def test_36_hours_are_no_days() -> None:
    found = cover(
        at("2026-07-10T15:00"), at("2026-07-10T16:00"), parse_granularity("36h"), ZoneInfo("Europe/Berlin")
    )
    assert found.edges is None


@given(
    st.integers(0, 2_000_000_000),
    st.integers(1, 40 * 86400),
    st.sampled_from(["1d", "24h", "2d", "7d", "30d"]),
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"]
    ),
)
def test_calendar_buckets_are_those_of_the_model(
    start: int, length: int, granularity: str, zone: str
) -> None:
    first, last = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(start + length, UTC)
    wide = parse_granularity(granularity)
    found = cover(first, last, wide, ZoneInfo(zone))
    assert found.edges is not None
    assert found.start == found.edges[0] <= first < found.edges[1]
    assert found.edges[-2] < last <= found.edges[-1] == found.end
    assert all(
        model.bucket_start(round(edge.timestamp()), wide.seconds, zone) == edge.timestamp()
        for edge in found.edges
    )
    assert model.bucket_start(start, wide.seconds, zone) == found.start.timestamp()
    assert count(first, last, wide, ZoneInfo(zone)) == len(list(found.starts()))


@pytest.mark.parametrize(
    ("length", "granularity"),
    [
        (timedelta(minutes=5 * MAX_POINTS), "5m"),
        (timedelta(minutes=5 * MAX_POINTS + 1), "15m"),
        (timedelta(minutes=15 * MAX_POINTS + 1), "1h"),
        (timedelta(hours=MAX_POINTS + 1), "6h"),
        (timedelta(hours=6 * MAX_POINTS + 1), "1d"),
    ],
)
def test_without_a_granularity_the_finest_that_fits_is_taken(length: timedelta, granularity: str) -> None:
    start = at("2000-01-01")
    assert choose(params(), start, start + length, SIX_HOURS).granularity.text == granularity


def test_the_whole_range_that_can_be_asked_for_does_not_fit() -> None:
    with pytest.raises(BadRequestError, match=r"^start, end: no granularity gives at most 11000 points"):
        choose(params(), at("1970-01-01"), at("2200-01-01"), SIX_HOURS)


@pytest.mark.parametrize(
    ("granularity", "length", "finest"),
    [
        ("1m", timedelta(days=30), "5m"),
        ("5m", timedelta(days=100), "15m"),
        ("7m", timedelta(days=100), "15m"),
        ("5m", timedelta(days=365), "1h"),
        ("1s", timedelta(hours=5), "5s"),
        ("1s", timedelta(hours=12), "1m"),
        ("90s", timedelta(hours=7), "1m"),
    ],
)
def test_a_granularity_too_fine_is_refused_with_one_that_fits(
    granularity: str, length: timedelta, finest: str
) -> None:
    start = at("2026-01-01")
    with pytest.raises(BadRequestError, match=rf"^granularity: .*the finest that fits is {finest}$"):
        choose(params(granularity=parse_granularity(granularity)), start, start + length, SIX_HOURS)


def test_exactly_11000_points_fit() -> None:
    start = at("2026-01-01")
    given = params(granularity=parse_granularity("1m"))
    assert (
        len(list(choose(given, start, start + timedelta(minutes=MAX_POINTS), SIX_HOURS).starts()))
        == MAX_POINTS
    )
    with pytest.raises(BadRequestError):
        choose(given, start, start + timedelta(minutes=MAX_POINTS, seconds=1), SIX_HOURS)


def test_raw_rows_are_read_for_the_whole_of_the_limit() -> None:
    start = at("2026-01-01T00:00:03")
    given = params(granularity=parse_granularity("7s"))
    assert choose(given, start, start + SIX_HOURS, SIX_HOURS).granularity.text == "7s"
    with pytest.raises(BadRequestError, match="for at most 6h"):
        choose(given, start, start + SIX_HOURS + timedelta(seconds=1), SIX_HOURS)
