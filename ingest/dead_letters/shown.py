"""Shows the payload of a dead letter to a person, and points at its defect."""

import json
import re
from typing import Any

from ingest.receive.payloads import SPELLINGS
from shared.terminal import printable

# The field at the start of a reason, such as usedPowerKw or loads[2].name.
_FIELD = re.compile(r"(\w+)(?:\[(\d+)\])?(?:\.(\w+))?(?= |$)")
_CHARACTER = re.compile(
    r"character (\d+) does not belong|breaks off after (\d+) characters|byte (\d+) is wrong"
)
_CONTEXT = 60
_POINTER = "  <-- "


def pointed_at(payload: bytes, error: str) -> str:
    """The payload, one field a line if it is JSON, with `error` beside the field that it names."""
    try:
        value = json.loads(payload.decode().strip("\0 \t\r\n\ufeff"), strict=False)
    except (ValueError, RecursionError):
        return _raw(payload.decode(errors="replace").strip("\0 \t\r\n\ufeff"), error)
    lines = json.dumps(value, indent=2, ensure_ascii=False).splitlines()
    at = _line_of(value, lines, error)
    lines[at] += f"{_POINTER}{error}"
    return "\n".join(printable(line) for line in lines)


def _raw(text: str, error: str) -> str:
    """A payload that is not JSON: the text around the defect, with a pointer below it."""
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
    """The line of the field that the reason names; 0 if there is no such field."""
    named = _FIELD.match(error)
    if named is None or not isinstance(value, dict):
        return 0
    name, index, _ = named.groups()
    for spelling in (name, *SPELLINGS.get(name, ())):
        # Fields of the outermost object are indented by two blanks.
        begin = f"  {json.dumps(spelling, ensure_ascii=False)}:"
        for at, line in enumerate(lines):
            if line.startswith(begin):
                return _entry(lines, at, int(index)) if index else at
    return 0


def _entry(lines: list[str], at: int, index: int) -> int:
    """The first line of entry `index` of the list that begins at line `at`."""
    entries = [n for n, line in enumerate(lines) if n > at and re.match(r" {4}[^ \]}]", line)]
    return entries[index] if index < len(entries) else at
