"""The named blocks of queries.sql, and rows turned into the arrays that they take."""

from collections.abc import Sequence
from pathlib import Path

from shared.sql import load_blocks

SQL = load_blocks(Path(__file__).with_name("queries.sql"))


def columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    """Rows, at least one, turned into one list for each column."""
    return [list(column) for column in zip(*rows, strict=True)]
