"""Where commands print tables: as wide as the terminal; in a pipe or a file as wide as what is in them."""

from typing import TextIO

from rich.console import Console

# Nothing is this wide. A file or a pipe has no width: rich would take 80 columns and cut what is longer.
_UNCUT_COLUMNS = 1_000_000


def console_for(file: TextIO) -> Console:
    """A console that prints to `file`; rich leaves colours out where NO_COLOR is set."""
    console = Console(file=file, highlight=False)
    return console if console.is_terminal else Console(file=file, width=_UNCUT_COLUMNS, highlight=False)
