"""How tables are printed to what is not a terminal."""

from io import StringIO

from rich.table import Table

from shared.tables import print_to


def test_a_line_in_a_pipe_ends_without_blanks() -> None:
    table = Table("name", "note", box=None)
    table.add_row("one", "")
    table.add_row("two", "a note that fills its column")
    out = StringIO()
    print_to(out, table)
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["name", "one", "two"]
    assert [line for line in lines if line != line.rstrip()] == []


def test_a_line_in_a_pipe_is_not_cut() -> None:
    table = Table("reason", box=None)
    table.add_row("word " * 100)
    out = StringIO()
    print_to(out, table)
    assert out.getvalue().splitlines()[-1].split() == ["word"] * 100
