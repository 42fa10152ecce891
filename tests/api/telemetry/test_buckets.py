from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.telemetry.buckets import MAX_POINTS, Buckets, Limits, choose, count, cover
from api.telemetry.params import HistoryParams, parse_granularity
from api.web.errors import BadRequestError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Of the network, with everything since 1970, and of a VEN.
SINCE_1970: dict[int | None, datetime] = dict.fromkeys((900, 300, 60, None), EPOCH)
NETWORK, VEN = Limits((900, 300, 60), 6, SINCE_1970), Limits((900, 300), 48, SINCE_1970)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def params(**given: Any) -> HistoryParams:
    fields: dict[str, Any] = {"start": None, "end": None, "granularity": None, "timezone": None}
    return HistoryParams(**{**fields, **given}, fill="none", format="json")


def chosen(given: HistoryParams, start: datetime, end: datetime, limits: Limits = NETWORK) -> Buckets:
    found = choose(given, start, end, limits)
    assert found is not None
    return found


def edges(start: str, end: str, granularity: str, zone: str) -> list[str]:
    found = cover(at(start), at(end), parse_granularity(granularity), ZoneInfo(zone))
    assert found.edges is not None
    return [f"{edge:%Y-%m-%dT%H:%M}" for edge in found.edges]


def test_start_is_floored_and_end_is_ceiled_from_the_epoch() -> None:
    found = cover(at("2026-07-10T15:07"), at("2026-07-10T15:20:01"), parse_granularity("15m"), None)
    assert (found.start, found.end) == (at("2026-07-10T15:00"), at("2026-07-10T15:30"))
    assert [start for start, _ in found.spans()] == [at("2026-07-10T15:00"), at("2026-07-10T15:15")]
    assert found.edges is None


def test_whole_buckets_stay_as_they_are() -> None:
    found = cover(at("2026-07-10T15:00"), at("2026-07-10T15:15"), parse_granularity("15m"), None)
    assert [start for start, _ in found.spans()] == [at("2026-07-10T15:00")]


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


def test_a_day_that_a_zone_skipped_has_no_bucket() -> None:
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


@pytest.mark.parametrize(
    ("granularity", "found"),
    [
        # 2026-07-06 is day 20640 = 7 * 2948 + 4 since 1970-01-01, and a Monday: 2948 weeks after 1970-01-05.
        ("7d", ["2026-07-01T22:00", "2026-07-08T22:00"]),
        ("1w", ["2026-07-05T22:00", "2026-07-12T22:00"]),
        ("2w", ["2026-07-05T22:00", "2026-07-19T22:00"]),
        ("3w", ["2026-06-21T22:00", "2026-07-12T22:00"]),
        ("1mo", ["2026-06-30T22:00", "2026-07-31T22:00"]),
        ("3mo", ["2026-06-30T22:00", "2026-09-30T22:00"]),
        ("5mo", ["2026-03-31T22:00", "2026-08-31T22:00"]),
        ("12mo", ["2025-12-31T23:00", "2026-12-31T23:00"]),
        ("8h", ["2026-07-06T06:00", "2026-07-06T14:00"]),
        ("24h", ["2026-07-05T22:00", "2026-07-06T22:00"]),
        ("48h", ["2026-07-05T22:00", "2026-07-07T22:00"]),
        ("120m", ["2026-07-06T12:00", "2026-07-06T14:00"]),
        ("3600s", ["2026-07-06T12:00", "2026-07-06T13:00"]),
    ],
)
def test_steps_of_a_calendar_are_counted_from_1970(granularity: str, found: list[str]) -> None:
    assert edges("2026-07-06T12:00", "2026-07-06T12:01", granularity, "Europe/Berlin") == found


def test_weeks_and_months_are_of_utc_without_a_zone() -> None:
    for granularity, start in (("1w", "2026-07-06"), ("1mo", "2026-07-01"), ("6mo", "2026-07-01")):
        wide = parse_granularity(granularity)
        assert cover(at("2026-07-10T15:00"), at("2026-07-10T15:01"), wide, None).start == at(start)


@pytest.mark.parametrize(
    ("zone", "found"),
    [
        # Back at 03:00: the hour from 02:00 comes twice.
        ("Europe/Berlin", ["00:00", "01:00", "02:00"]),
        ("Asia/Kathmandu", ["00:15", "01:15", "02:15"]),
    ],
)
def test_hours_are_those_of_the_zones_clocks(zone: str, found: list[str]) -> None:
    assert [edge[11:] for edge in edges("2026-10-25T00:20", "2026-10-25T02:00", "1h", zone)] == found


def test_of_two_hours_one_may_come_twice() -> None:
    # Berlin, 2026-10-25: 02:00 comes at 00:00Z and at 01:00Z, 04:00 at 03:00Z.
    found = edges("2026-10-24T23:00", "2026-10-25T03:30", "2h", "Europe/Berlin")
    assert [edge[11:] for edge in found] == ["22:00", "00:00", "01:00", "03:00", "05:00"]


@pytest.mark.parametrize("granularity", ["36h", "7h", "90m", "59m", "15m"])
def test_what_does_not_divide_a_day_follows_no_calendar(granularity: str) -> None:
    wide = parse_granularity(granularity)
    found = cover(at("2026-07-10T15:00"), at("2026-07-10T16:00"), wide, ZoneInfo("Europe/Berlin"))
    assert found.edges is None
    assert (found.start - EPOCH) % found.width == timedelta(0)


@given(
    st.integers(0, 2_000_000_000),
    st.integers(1, 40 * 86400),
    st.sampled_from(["1h", "6h", "12h", "1d", "24h", "2d", "7d", "30d", "1w", "2w", "1mo", "3mo"]),
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"]
    ),
)
def test_calendar_buckets_cover_the_range_in_order(
    start: int, length: int, granularity: str, zone: str
) -> None:
    first, last = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(start + length, UTC)
    wide = parse_granularity(granularity)
    found = cover(first, last, wide, ZoneInfo(zone))
    assert found.edges is not None
    assert found.start == found.edges[0] <= first < found.edges[1]
    assert found.edges[-2] < last <= found.edges[-1] == found.end
    assert found.edges == sorted(set(found.edges))
    assert count(first, last, wide, ZoneInfo(zone)) == len(list(found.spans()))
    # A request for a part of the range gets the same buckets.
    (part,) = cover(found.edges[-2], found.edges[-1], wide, ZoneInfo(zone)).spans()
    assert part == (found.edges[-2], found.edges[-1])


@pytest.mark.parametrize(
    ("length", "granularity"),
    [
        (timedelta(minutes=5 * MAX_POINTS), "5m"),
        (timedelta(minutes=5 * MAX_POINTS + 1), "15m"),
        (timedelta(minutes=15 * MAX_POINTS + 1), "1h"),
        (timedelta(hours=MAX_POINTS + 1), "6h"),
        (timedelta(hours=6 * MAX_POINTS + 1), "1d"),
        (timedelta(days=MAX_POINTS + 1), "1w"),
    ],
)
def test_without_a_granularity_the_finest_that_fits_is_taken(length: timedelta, granularity: str) -> None:
    start = at("1980-01-01")
    assert chosen(params(), start, start + length).granularity.text == granularity


def test_the_whole_range_that_can_be_asked_for_fits() -> None:
    assert chosen(params(), at("1970-01-01"), at("2200-01-01")).granularity.text == "1mo"


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
        choose(params(granularity=parse_granularity(granularity)), start, start + length, NETWORK)


def test_exactly_11000_points_fit() -> None:
    start = at("2026-01-01")
    given = params(granularity=parse_granularity("1m"))
    found = chosen(given, start, start + timedelta(minutes=MAX_POINTS))
    assert len(list(found.spans())) == MAX_POINTS
    with pytest.raises(BadRequestError):
        choose(given, start, start + timedelta(minutes=MAX_POINTS, seconds=1), NETWORK)


@pytest.mark.parametrize(("limits", "hours"), [(NETWORK, 6), (VEN, 48)])
def test_raw_rows_are_read_for_the_whole_of_the_limit(limits: Limits, hours: int) -> None:
    start = at("2026-01-01T00:00:03")
    given = params(granularity=parse_granularity("17s"))
    assert chosen(given, start, start + timedelta(hours=hours), limits).granularity.text == "17s"
    with pytest.raises(BadRequestError, match=f"for at most {hours}h"):
        choose(given, start, start + timedelta(hours=hours, seconds=1), limits)


@pytest.mark.parametrize(
    ("granularity", "zone", "network", "ven"),
    [
        ("1s", None, None, None),
        ("90s", None, None, None),
        ("1m", None, 60, None),
        ("61m", None, 60, None),
        ("600s", None, 300, 300),
        ("10m", None, 300, 300),
        ("15m", None, 900, 900),
        ("7h", None, 900, 900),
        ("1d", "Asia/Kathmandu", 900, 900),
        ("1h", "Australia/Lord_Howe", 900, 900),
        ("1mo", None, 900, 900),
    ],
)
def test_the_widest_tier_that_buckets_are_made_of(
    granularity: str, zone: str | None, network: int | None, ven: int | None
) -> None:
    found = cover(
        at("2026-03-01"), at("2026-04-10"), parse_granularity(granularity), ZoneInfo(zone) if zone else None
    )
    assert (found.tier(NETWORK.tiers), found.tier(VEN.tiers)) == (network, ven)


LATELY = Limits(
    (900, 300),
    48,
    {900: at("2026-01-01"), 300: at("2026-06-01"), None: at("2026-07-01")},
)


@pytest.mark.parametrize(
    ("granularity", "start", "says"),
    [
        ("1m", "2026-06-30T23:59:59", "1m is made of raw data, which begins at 2026-07-01T00:00:00Z"),
        ("61m", "2026-06-30", "61m is made of raw data, which begins at 2026-07-01T00:00:00Z"),
        ("10m", "2026-05-31", "10m is made of 5-minute data, which begins at 2026-06-01T00:00:00Z"),
    ],
)
def test_what_its_tier_no_longer_has_is_refused(granularity: str, start: str, says: str) -> None:
    given = params(granularity=parse_granularity(granularity), start=at(start))
    with pytest.raises(BadRequestError, match=says) as refused:
        choose(given, at(start), at(start) + timedelta(hours=12), LATELY)
    assert str(refused.value).endswith(f"the finest that fits is {'15m' if granularity == '10m' else '5m'}")


def test_the_widest_tier_gives_what_it_has() -> None:
    given = params(granularity=parse_granularity("1h"), start=at("2025-12-31"))
    assert chosen(given, at("2025-12-31"), at("2026-01-02"), LATELY).start == at("2025-12-31")


def test_a_start_left_open_is_where_the_tier_begins() -> None:
    for granularity, begins in (("1m", "2026-07-01"), ("10m", "2026-06-01"), ("1h", "2026-01-01")):
        given = params(granularity=parse_granularity(granularity))
        until = at(begins) + timedelta(days=1)
        assert chosen(given, at("2025-01-01"), until, LATELY).start == at(begins)
        assert choose(given, at("2025-01-01"), at(begins), LATELY) is None


def test_the_server_picks_what_its_tiers_can_make() -> None:
    for start, picked in (("2026-06-01", "5m"), ("2026-05-31", "15m")):
        assert chosen(params(), at(start), at("2026-06-02"), LATELY).granularity.text == picked
