"""Types of arguments on a command line."""

import argparse
from collections.abc import Callable

import pytest

from shared.arguments import above_zero, at_least_one, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("90", 90), ("90s", 90), ("1.5h", 5400), ("30m", 1800), ("2d", 172800)]
)
def test_a_length_is_read_in_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-1d", "1w", "1 d", "inf", "1e9"])
def test_a_wrong_length_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write 90s, 30m, 6h or 2d"):
        parse_duration(text)


@pytest.mark.parametrize(("kind", "text", "value"), [(at_least_one, "25", 25), (above_zero, "0.5", 0.5)])
def test_a_number_is_read(kind: Callable[[str], float], text: str, value: float) -> None:
    assert kind(text) == value


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", ""])
def test_what_is_not_at_least_one_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="whole number of at least 1"):
        at_least_one(text)


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "soon"])
def test_what_is_not_above_zero_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="number above 0"):
        above_zero(text)
