"""How many rows a statement read, from its plan as EXPLAIN (ANALYZE, FORMAT JSON) tells it."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

RAW = ("ven_telemetry", "ven_load_lists")
_REMOVED = ("Rows Removed by Filter", "Rows Removed by Index Recheck")


def nodes(explained: str | list[Any]) -> list[dict[str, Any]]:
    """Every node of the plan."""
    plan = json.loads(explained) if isinstance(explained, str) else explained
    return list(_nodes(plan[0]["Plan"]))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def raw_rows(plan: Iterable[dict[str, Any]], tables: tuple[str, ...] = RAW) -> int:
    """How many rows of these tables were read, those that a condition left out too."""
    raw = (node for node in plan if node.get("Relation Name", "").startswith(tables))
    return int(
        sum((n["Actual Rows"] + sum(n.get(each, 0) for each in _REMOVED)) * n["Actual Loops"] for n in raw)
    )
