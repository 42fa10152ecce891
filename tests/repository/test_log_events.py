"""docs/log-events.md lists every event that the code logs, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEVELS = {"debug", "info", "warning", "error", "exception"}


def literals(node: ast.expr) -> list[str]:
    """The texts that an expression may be; it must show them."""
    if isinstance(node, ast.IfExp):
        return literals(node.body) + literals(node.orelse)
    assert isinstance(node, ast.Constant), (
        f"line {node.lineno}: an event must be a text, not {ast.unparse(node)}"
    )
    return [str(node.value)]


def logged() -> Iterator[tuple[str, str]]:
    """Event and level of each call of a logger."""
    for path in (
        path for folder in ("api", "fixtures", "ingest", "shared") for path in (ROOT / folder).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level)) if level in LEVELS:
                    for event in literals(node.args[0]):
                        yield event, "error" if level == "exception" else level


def listed() -> Iterator[tuple[str, str]]:
    text = (ROOT / "docs" / "log-events.md").read_text(encoding="utf-8")
    for names, level in re.findall(r"^\| (`.+?) \| (\w+) \| .+ \|$", text, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            yield name, level


def test_every_event_is_listed_with_its_level() -> None:
    assert set(logged()) - set(listed()) == set()


def test_every_listed_event_is_logged() -> None:
    assert set(listed()) - set(logged()) == set()
