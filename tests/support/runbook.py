"""Compares the lines of the log in docs/operations.md with those that the code writes."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ingest.log_lines import LINES
from shared.terminal import Lines, Renderer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
_BEGIN = re.compile(r"^.{17}", re.DOTALL)


def sees() -> dict[str, list[str]]:
    """The lines of each block of the runbook, by its name; `…` stands for parts that differ from case to case."""
    text = PAGE.read_text(encoding="utf-8")
    # In a list, a block is indented.
    blocks = re.findall(r"<!-- sees: ([\w-]+) -->\n *```\n(.*?)\n *```", text, re.DOTALL)
    return {name: [line.strip() for line in lines.splitlines()] for name, lines in blocks}


def as_lines(records: Iterable[Mapping[str, Any]], lines: Lines = LINES) -> list[str]:
    """Records as sentences on a terminal, without time and service."""
    render = Renderer(lines, lambda: 10_000, colours=False)
    common = {"time": "2026-11-25T02:14:07Z", "service": ""}
    # structlog's capture_logs names the level `log_level`.
    fields = ({**common, **each, "level": each.get("log_level", each.get("level"))} for each in records)
    told = (render(None, "", {k: v for k, v in each.items() if k != "log_level"}) for each in fields)
    return [_BEGIN.sub("", line) for line in told if "\n" not in line]


def check(name: str, said: Iterable[str]) -> None:
    """AssertionError unless each line of the block `name` is among those that were `said`."""
    said = list(said)
    for line in sees()[name]:
        pattern = ".*".join(map(re.escape, line.split("…")))
        assert any(re.fullmatch(pattern, each) for each in said), f"{line!r} is not among {said}"


def check_row(name: str, records: Iterable[Mapping[str, Any]]) -> None:
    """AssertionError unless the table of the block `name` has the heads that `records` are shown with, and its row has
    the units of one of their rows; figures may differ."""
    render = Renderer(LINES, lambda: 200, colours=False)
    shown = [line for each in records for line in render(None, "", each).splitlines()]
    heads, row = sees()[name]
    assert heads.split() == shown[0].split()
    assert _units(row) in map(_units, shown), f"{row!r} is not among {shown}"


def _units(row: str) -> str:
    return " ".join(re.sub(r"\d[\d.,]*", "0", row).split())
