"""How commands print tables: as wide as the terminal; in a pipe or a file as wide as their content."""

import io
from typing import TextIO

from rich.console import Console, RenderableType

# Wider than any table. A file or a pipe has no width: rich would take 80 columns and cut what is longer.
_UNCUT_COLUMNS = 1_000_000


def console_for(file: TextIO) -> Console:
    """A console that prints to `file`; rich leaves colours out where NO_COLOR is set."""
    console = Console(file=file, highlight=False)
    return console if console.is_terminal else Console(file=file, width=_UNCUT_COLUMNS, highlight=False)


def print_to(file: TextIO, what: RenderableType) -> None:
    """Print to `file`; if it is not a terminal, without the blanks that fill a column at the end of a line."""
    console = console_for(file)
    if console.is_terminal:
        console.print(what)
        return
    text = io.StringIO()
    Console(file=text, width=_UNCUT_COLUMNS, highlight=False).print(what)
    file.writelines(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())
