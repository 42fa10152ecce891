"""The log on a terminal: a sentence for each record, and a table of the figures that come every second."""

import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Fields = Mapping[str, Any]

PLAIN, DIM, GOOD, WARN, BAD = "", "2", "32", "1;33", "1;31"
# From this width on, columns have whole numbers and longer heads.
WIDE_COLUMNS = 120
_ROWS_A_HEAD = 20
_OF_LEVEL = {"warning": WARN, "error": BAD, "critical": BAD}
_COMMON = ("time", "level", "service", "event")
# A file or a pipe has no width.
_UNBOUNDED = 10_000


class Cell(NamedTuple):
    """One cell of a table: the text, and its style."""

    text: str
    style: str = PLAIN


@dataclass(frozen=True)
class Column:
    """A column of the table. `narrow`, `wide`: its head and its width on either kind of terminal. `cell` gets the
    record and the number of characters that the text may have."""

    narrow: tuple[str, int]
    wide: tuple[str, int]
    cell: Callable[[Fields, int], Cell]


@dataclass(frozen=True)
class Lines:
    """How a program's records are shown. `table`: the event that is shown as a row of `columns`; `sentences`: events
    that are shown as a sentence; `good`: those of them that end a trouble. Others are shown with their fields."""

    table: str = ""
    columns: Sequence[Column] = ()
    sentences: Mapping[str, Callable[[Fields], str]] = field(default_factory=dict)
    good: frozenset[str] = frozenset()


class Renderer:
    """Turns records into text; structlog's last processor. `width` is called for each line, since windows change."""

    def __init__(self, lines: Lines, width: Callable[[], int], *, colours: bool) -> None:
        self._lines = lines
        self._width = width
        self._colours = colours
        self._rows_left = 0
        self._heads = ""

    def __call__(self, _: object, __: str, record: Mapping[str, Any]) -> str:
        """The text of one record, without the last line break."""
        if record["event"] == self._lines.table:
            return self._row(record)
        return self._sentence(record)

    def _row(self, record: Fields) -> str:
        """A row of the table; the first, and every 20th after it, below the heads of the columns."""
        width = self._width()
        wide = width >= WIDE_COLUMNS
        heads, cells, used = ["    time"], [self._styled(_clock(record), DIM)], 8
        for column in self._lines.columns:
            head, size = column.wide if wide else column.narrow
            used += size
            if used >= width:
                break
            text, style = column.cell(record, size - 1)
            heads.append(head.rjust(size))
            cells.append(self._styled(text.rjust(size), style))
        row = "".join(cells)
        if self._rows_left == 0 or "".join(heads) != self._heads:
            self._rows_left, self._heads = _ROWS_A_HEAD, "".join(heads)
            row = f"{self._styled(self._heads, DIM)}\n{row}"
        self._rows_left -= 1
        return row

    def _sentence(self, record: Fields) -> str:
        """A sentence, wrapped to the width of the terminal."""
        event = str(record["event"])
        begin = f"{_clock(record)} {record.get('service', ''):<7} "
        sentence = self._lines.sentences.get(event)
        text = printable(sentence(record) if sentence else _with_fields(event, record))
        style = GOOD if event in self._lines.good else _OF_LEVEL.get(str(record.get("level")), PLAIN)
        room = max(20, self._width() - len(begin) - 1)
        first, *more = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
        said = "\n".join(
            [
                self._styled(begin, DIM) + self._styled(first, style),
                *(" " * len(begin) + self._styled(line, style) for line in more),
            ]
        )
        trace = record.get("exception")
        return f"{said}\n{trace}" if trace else said

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._colours and style else text


def to_stderr(lines: Lines) -> Renderer:
    """A renderer for standard error: as wide as the terminal, and in colour on a terminal, unless NO_COLOR is set."""
    colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return Renderer(lines, _stderr_width, colours=colours)


def number(value: float | None, room: int) -> str:
    """A whole number with commas; in thousands (k), millions (M) or more if that is longer than `room` characters."""
    if value is None:
        return "-"
    whole = f"{value:,.0f}"
    if len(whole) <= room:
        return whole
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        for text in (f"{value / size:.1f}{unit}", f"{value / size:.0f}{unit}"):
            if len(text) <= room and value < 1000 * size:
                return text
    return "many"[:room]


def counted(figure: int, one: str) -> str:
    """A figure with its noun: 0 messages, 1 message, 4,000 messages."""
    return f"{figure:,} {one}" if figure == 1 else f"{figure:,} {one}s"


def duration(seconds: float | None) -> str:
    """A time in the unit that suits it, in at most six characters: 0.2 s, 42 s, 3 min, 12 h, 5 d."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    for unit, size, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < most * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def printable(text: str) -> str:
    """`text` with control characters replaced, so that a topic or a VEN's id cannot steer the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _stderr_width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _UNBOUNDED
    except (OSError, ValueError):
        return _UNBOUNDED


def _clock(record: Fields) -> str:
    """The time of day, cut out of 2026-11-25T02:14:07.123456Z."""
    return str(record.get("time", ""))[11:19]


def _with_fields(event: str, record: Fields) -> str:
    shown = (f"{key}={value}" for key, value in record.items() if key not in (*_COMMON, "exception"))
    return " ".join((event, *shown))
