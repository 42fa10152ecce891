"""Lengths of time on a command line: 90s, 30m, 6h, 2d, or 0."""

import argparse
import re

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """`text` in s. Raises argparse.ArgumentTypeError that says what would be right."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhd]?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a length of time: write 90s, 30m, 6h or 2d")
    return float(found[1]) * _SECONDS[found[2]]
