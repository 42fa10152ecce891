"""Lengths of time on command lines."""

import argparse

import pytest

from shared.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("90", 90), ("90s", 90), ("1.5h", 5400), ("30m", 1800), ("2d", 172800)]
)
def test_a_length_is_read_in_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-1d", "1w", "1 d", "inf", "1e9"])
def test_what_is_no_length_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write 90s, 30m, 6h or 2d"):
        parse_duration(text)
