from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.requests import Request

from api.telemetry.params import HistoryParams, history_params, parse_granularity
from api.web.errors import BadRequestError
from api.web.query_string import parse_time


def asked(query: str = "", accept: str = "*/*") -> HistoryParams:
    scope: dict[str, Any] = {
        "type": "http",
        "query_string": query.encode(),
        "headers": [(b"accept", accept.encode())],
    }
    return history_params(Request(scope))


@pytest.mark.parametrize(
    "text",
    [
        "2026-07-10T15:00:00Z",
        "2026-07-10T15:00:00",
        "2026-07-10T17:00:00+02:00",
        "2026-07-10T17:00:00 02:00",
        "2026-07-10T17:00 02",
        "2026-07-10 15:00",
        "20260710T150000Z",
        "2026-07-10T15:00:00.000Z",
        "1783695600",
        "1783695600.0",
        "1783695600000",
    ],
)
def test_a_time_is_iso_8601_or_a_unix_time(text: str) -> None:
    assert parse_time("start", text) == datetime(2026, 7, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "-1",
        "1e9",
        "inf",
        "7258118401",
        "99999999999999",
        "123456789012345",
        "2026-13-01",
        "2026-07-10T25:00Z",
        "0001-01-01T00:00:00+02:00",
        "9999-12-31",
        "1969-12-31",
    ],
)
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequestError, match=r"^end: .*(ISO 8601|between 1970 and 2200)"):
        parse_time("end", text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("5m", 300),
        ("6h", 21600),
        ("1d", 86400),
        ("2w", 1209600),
        ("3mo", 90 * 86400),
        ("3660d", 316224000),
    ],
)
def test_a_granularity_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_granularity(text).seconds == seconds
    assert parse_granularity(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "0m",
        "-5m",
        "05m",
        "1.5h",
        "5 m",
        "5M",
        "1M",
        "1y",
        "1W",
        "wk",
        "523w",
        "123mo",
        "3661d",
        "99999999999d",
        "\u0665m",
        "5m\n",
    ],
)
def test_what_is_no_granularity_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequestError, match=r"^granularity: "):
        parse_granularity(text)


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "Europe", "../etc/passwd", "/etc/passwd", "", "Europe/Berlin ", "CET+1"]
)
def test_what_is_no_time_zone_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadRequestError, match=r"^timezone: "):
        asked(f"timezone={name}")


def test_the_case_of_a_time_zone_does_not_matter() -> None:
    for name in ("Europe/Berlin", "europe/berlin", "EUROPE/BERLIN"):
        zone = asked(f"timezone={name}").timezone
        assert zone is not None
        assert zone.key == "Europe/Berlin"


def test_eight_digits_are_a_date() -> None:
    assert parse_time("start", "20260710") == datetime(2026, 7, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "field"), [("fill=zero", "fill"), ("format=xml", "format"), ("fill=", "fill")]
)
def test_a_word_that_is_not_known_is_refused_by_name(query: str, field: str) -> None:
    with pytest.raises(BadRequestError, match=rf"^{field}: .* is not one of "):
        asked(query)


def test_start_must_be_before_end() -> None:
    with pytest.raises(BadRequestError, match=r"^start: must be before end"):
        asked("start=2026-07-10T15:00Z&end=2026-07-10T15:00Z")


def test_without_a_query_everything_is_left_open() -> None:
    params = asked()
    assert (params.start, params.end, params.granularity, params.timezone) == (None, None, None, None)
    assert (params.fill, params.format) == ("none", "json")


@pytest.mark.parametrize(
    ("query", "accept", "wanted"),
    [
        ("", "text/csv", "csv"),
        ("", "text/csv;q=0.9, */*;q=0.1", "csv"),
        ("", "application/json, text/csv;q=0.5", "json"),
        ("", "text/csv;q=0", "json"),
        ("", "text/html", "json"),
        ("format=json", "text/csv", "json"),
        ("format=csv", "application/json", "csv"),
    ],
)
def test_csv_is_asked_for_by_parameter_or_header(query: str, accept: str, wanted: str) -> None:
    assert asked(query, accept).format == wanted


def test_times_are_taken_to_the_microsecond() -> None:
    assert parse_time("start", "2026-07-10T15:00:00.000001Z") - datetime(
        2026, 7, 10, 15, tzinfo=UTC
    ) == timedelta(microseconds=1)
