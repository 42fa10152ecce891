"""The payload of a dead letter for a person, with the defect pointed at."""

import json
import re
from typing import Any

from ingest.receive.payloads import SPELLINGS
from shared.terminal import printable

# What a reason begins with: the field that is wrong, perhaps one within a list.
_FIELD = re.compile(r"(\w+)(?:\[(\d+)\])?(?:\.(\w+))?(?= |$)")
_CHARACTER = re.compile(
    r"character (\d+) does not belong|breaks off after (\d+) characters|byte (\d+) is wrong"
)
_CONTEXT = 60
_POINTER = "  <-- "


def pointed_at(payload: bytes, error: str) -> str:
    """The payload, one field a line where it is JSON, and `error` beside the place that it speaks of."""
    try:
        value = json.loads(payload.decode().strip("\0 \t\r\n\ufeff"), strict=False)
    except (ValueError, RecursionError):
        return _raw(payload.decode(errors="replace").strip("\0 \t\r\n\ufeff"), error)
    lines = json.dumps(value, indent=2, ensure_ascii=False).splitlines()
    at = _line_of(value, lines, error)
    lines[at] += f"{_POINTER}{error}"
    return "\n".join(printable(line) for line in lines)


def _raw(text: str, error: str) -> str:
    """What is not JSON: the text around the place, with a pointer below it."""
    found = _CHARACTER.search(error)
    if found is None:
        return f"{printable(text[: 10 * _CONTEXT])}\n^ {error}"
    first, end, byte = found.groups()
    at = int(first) - 1 if first else int(end or byte)
    begin = max(0, at - _CONTEXT)
    before, after = printable(text[begin:at]), printable(text[at : at + _CONTEXT])
    start = "..." if begin else ""
    return f"{start}{before}{after}\n{' ' * (len(start) + len(before))}^ {error}"


def _line_of(value: Any, lines: list[str], error: str) -> int:
    """The line of the field that the reason names; the first one if it names none that is there."""
    named = _FIELD.match(error)
    if named is None or not isinstance(value, dict):
        return 0
    name, index, _ = named.groups()
    for spelling in (name, *SPELLINGS.get(name, ())):
        # Of the outermost object, two blanks in.
        begin = f"  {json.dumps(spelling, ensure_ascii=False)}:"
        for at, line in enumerate(lines):
            if line.startswith(begin):
                return _entry(lines, at, int(index)) if index else at
    return 0


def _entry(lines: list[str], at: int, index: int) -> int:
    """The first line of an entry of the list that begins at a line."""
    entries = [n for n, line in enumerate(lines) if n > at and re.match(r" {4}[^ \]}]", line)]
    return entries[index] if index < len(entries) else at
