"""docs/log-events.md lists every event that the code logs, with its fields, and no other."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.log_schema import field_types, listed

ROOT = Path(__file__).resolve().parents[2]
LEVELS = {"debug", "info", "warning", "error", "exception"}
# Arguments of the logger that are not fields.
NO_FIELD = {"exc_info"}


def literals(node: ast.expr) -> list[str]:
    """The texts that an expression may be; it must show them."""
    if isinstance(node, ast.IfExp):
        return literals(node.body) + literals(node.orelse)
    assert isinstance(node, ast.Constant), (
        f"line {node.lineno}: an event must be a text, not {ast.unparse(node)}"
    )
    return [str(node.value)]


def logged() -> Iterator[tuple[str, str, frozenset[str], bool]]:
    """Event and level of each call of a logger, the fields that the call shows, and whether it shows all."""
    for path in (
        path for folder in ("api", "fixtures", "ingest", "shared") for path in (ROOT / folder).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level)) if level in LEVELS:
                    shown = {keyword.arg for keyword in node.keywords} - NO_FIELD
                    fields = frozenset(name for name in shown if name)
                    for event in literals(node.args[0]):
                        yield event, "error" if level == "exception" else level, fields, None not in shown


def test_every_event_is_listed_with_its_level() -> None:
    known = {(each.event, each.level) for each in listed()}
    assert {(event, level) for event, level, _, _ in logged()} == known


def test_every_event_has_the_fields_that_are_listed() -> None:
    # If a call does not show all its fields, log_schema.check compares them where a test reads the line.
    for event, _, fields, all_shown in logged():
        of_event = [each.fields for each in listed() if each.event == event]
        assert any(fields == known if all_shown else fields <= known for known in of_event), (event, fields)


def test_every_field_is_explained() -> None:
    assert {name for each in listed() for name in each.fields} - field_types().keys() == set()
