"""docs/examples.md: every endpoint with a curl line and its answer.

`python -m tests.examples` writes it, against an api on a database of its own with an hour of two VENs in it.
tests/repository/test_examples.py holds the page against the contract and against what the api answers today.
"""

import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from shared.commands.migrate import migrate
from shared.config import Database
from tests.support import servers
from tests.support.api_data import store
from tests.support.api_process import running_api
from tests.support.model import R

PAGE = Path(__file__).parent.parent / "docs" / "examples.md"
_BASE = "http://127.0.0.1:8000"
_MOST_LINES = 14
_HEAD = """# Examples

Every endpoint of the API with a curl line, and what it answered when `python -m tests.examples` wrote this page; long
answers are cut where it says `…`. What the figures mean: [backend-api.md](backend-api.md). A client in Python:
[client.py](client.py).
"""


class Example(NamedTuple):
    """A request; `path` without what varies, as the contract names it."""

    operation: str
    target: str
    body: dict[str, Any] | None = None
    headers: tuple[str, ...] = ()


_BODY = {"name": "Mill Lane 4", "location": {"lat": 52.52, "lon": 13.4}}
_EVENT = {"startTime": "2027-01-15T17:00:00Z", "endTime": "2027-01-15T18:00:00Z", "requestedReductionKw": 120}
EXAMPLES = (
    Example("GET /api/stats/network", "/api/stats/network"),
    Example("GET /api/stats/loads", "/api/stats/loads"),
    Example("GET /api/stats/ingest", "/api/stats/ingest"),
    Example("GET /api/stats/network/history", "/api/stats/network/history?granularity=15m"),
    Example(
        "GET /api/stats/network/history",
        "/api/stats/network/history?granularity=15m",
        None,
        ("Accept: text/csv",),
    ),
    Example("GET /api/vens/{venId}/history", "/api/vens/ven-101/history?granularity=15m&fill=locf"),
    Example("GET /api/vens/{venId}/loads", "/api/vens/ven-101/loads"),
    Example("GET /api/vens/{venId}/loads/{loadId}", "/api/vens/ven-101/loads/ld-101-a"),
    Example(
        "GET /api/vens/{venId}/loads/{loadId}/history",
        "/api/vens/ven-101/loads/ld-101-a/history?granularity=1h",
    ),
    Example("GET /api/fleet", "/api/fleet?online=true&limit=1"),
    Example("GET /api/fleet/{venId}", "/api/fleet/ven-101"),
    Example("GET /api/vens", "/api/vens"),
    Example("POST /api/vens", "/api/vens", _BODY),
    Example("GET /api/vens/summary", "/api/vens/summary"),
    Example("GET /api/vens/{venId}", "/api/vens/ven-104"),
    Example("PATCH /api/vens/{venId}", "/api/vens/ven-104", {"status": "maintenance"}),
    Example("DELETE /api/vens/{venId}", "/api/vens/ven-104"),
    Example(
        "PATCH /api/vens/{venId}/loads/{loadId}", "/api/vens/ven-101/loads/ld-101-a", {"name": "Heat pump"}
    ),
    Example(
        "POST /api/vens/{venId}/loads/{loadId}/commands/shed",
        "/api/vens/ven-101/loads/ld-101-a/commands/shed",
        {"amountKw": 0.5},
    ),
    Example("GET /api/events", "/api/events"),
    Example("POST /api/events", "/api/events", _EVENT),
    Example("GET /api/events/current", "/api/events/current"),
    Example("GET /api/events/history", "/api/events/history?start=2027-01-01&end=2027-02-01"),
    Example("GET /api/events/{eventId}", "/api/events/evt-2"),
    Example("GET /api/events/{eventId}/metrics", "/api/events/evt-2/metrics"),
    Example("POST /api/events/{eventId}/stop", "/api/events/evt-2/stop", {}),
    Example("DELETE /api/events/{eventId}", "/api/events/evt-2"),
    Example("GET /health", "/health"),
    Example("GET /health/db-check", "/health/db-check"),
    Example("GET /metrics", "/metrics"),
    Example("GET /api/stats/network", "/api/stats/network?granularity=1h"),
    Example("GET /api/vens/{venId}/history", "/api/vens/nobody/history"),
)


def answers(postgres: Database, directory: Path) -> Iterator[tuple[Example, httpx.Response]]:
    """Each example and its answer, in order, from one api."""
    with servers.new_database(postgres) as database:
        migrate(database)
        now = int(time.time())
        store(database, _readings(now))
        with running_api(directory, database) as api, httpx.Client(base_url=api.url, timeout=30) as client:
            for each in EXAMPLES:
                headers = dict(line.split(": ") for line in each.headers)
                method = each.operation.split()[0]
                body = None if each.body is None or method == "DELETE" else each.body
                yield each, client.request(method, each.target, json=body, headers=headers)


def _readings(now: int) -> list[R]:
    return [
        R(ven, now - ago, power + ago / 10_000, 0.5, 0.75, "dr-1", ((f"ld-{ven[4:]}-a", 1.25, 0.5),))
        for ven, power in (("ven-101", 2.0), ("ven-102", 3.5))
        for ago in range(0, 3600, 60)
    ]


def curl(example: Example) -> str:
    """The line that asks it."""
    method = example.operation.split()[0]
    parts = ["curl"]
    if method != "GET":
        parts.append(f"-X {method}")
    parts += [f"-H '{line}'" for line in example.headers]
    if example.body:
        parts.append(f"-H 'Content-Type: application/json' -d '{json.dumps(example.body)}'")
    return " ".join([*parts, f"'{_BASE}{example.target}'"])


def shown(answer: httpx.Response) -> str:
    """Its status, and its body as far as it fits."""
    if "json" in answer.headers.get("content-type", ""):
        text = json.dumps(answer.json(), indent=2, ensure_ascii=False)
        # A short object on one line.
        text = re.sub(r"\{[^{}\[\]]{1,400}\}", lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text)
        lines = text.splitlines()
    else:
        lines = answer.text.splitlines()
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], "…"]
    return "\n".join([f"{answer.status_code} {answer.reason_phrase}", *lines])


def page(pairs: Iterator[tuple[Example, httpx.Response]]) -> str:
    """The whole of docs/examples.md."""
    parts, before = [_HEAD], ""
    for example, answer in pairs:
        if example.operation != before:
            parts.append(f"## {example.operation}\n")
        before = example.operation
        parts.append(f"```sh\n{curl(example)}\n```\n\n```\n{shown(answer)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    with servers.postgres_server() as server, tempfile.TemporaryDirectory() as temporary:
        PAGE.write_text(page(answers(server, Path(temporary))), encoding="utf-8")
