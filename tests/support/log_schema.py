"""docs/log-events.md as data: which events there are, and which fields each has."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).resolve().parents[2] / "docs" / "log-events.md"
COMMON = ("time", "level", "service", "event")
_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "count": (int,),
    "list": (list,),
    "boolean": (bool,),
    "null": (type(None),),
}


class Listed(NamedTuple):
    event: str
    level: str
    fields: frozenset[str]


def listed() -> Iterator[Listed]:
    """Each event of the page; an event of two programs may be there twice."""
    rows = re.findall(
        r"^\| (`[^|]+) \| (\w+) \| ([^|]*)\| [^|]+ \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    for names, level, fields in rows:
        for name in re.findall(r"`(\w+)`", names):
            yield Listed(name, level, frozenset(re.findall(r"`(\w+)`", fields)))


def field_types() -> dict[str, tuple[type, ...]]:
    """The fields of the page, and what each may be."""
    text = PAGE.read_text(encoding="utf-8").partition("## Fields")[2]
    return {
        name: tuple(kind for word in types.split(" or ") for kind in _TYPES[word])
        for names, types in re.findall(r"^\| (`[^|]+) \| ([\w ]+) \| [^|]+ \|$", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }


def check(record: Mapping[str, Any]) -> None:
    """AssertionError unless a line of the log is as the page says: its keys, their order, their types."""
    assert tuple(record)[: len(COMMON)] == COMMON, record
    fields = record.keys() - COMMON - {"exception"}
    allowed = [each.fields for each in listed() if each.event == record["event"]]
    assert fields in allowed, (
        f"{record['event']} has {sorted(fields)}, not {[sorted(each) for each in allowed]}"
    )
    types = field_types()
    wrong = {name: record[name] for name in record if not isinstance(record[name], types[name])}
    assert not wrong, wrong
