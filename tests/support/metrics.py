"""The Prometheus families that both services show, and docs/metrics.md as data."""

import re
from pathlib import Path
from typing import NamedTuple

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from ingest.health import State
from ingest.http import create_app
from tests.support.api_client import serving

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
# prometheus_client adds to each counter and histogram the time at which it began.
_CREATED = "_created"


class Family(NamedTuple):
    """`name`: as in a query, so a counter's ends in _total; `labels`: without a bucket's `le`; `help`: its meaning."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


async def shown() -> tuple[str, str]:
    """The text of /metrics of ingest and of the api, after an answer of each kind that gives families their labels."""
    state = State()
    state.metrics.name_clocks(lambda: [("ven-1", 3600.0)])
    transport = httpx.ASGITransport(create_app(state))
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        of_ingest = (await client.get("/metrics")).text
    async with serving() as api:
        await api.get("/health")
        return of_ingest, (await api.get("/metrics")).text


def families(text: str) -> set[Family]:
    """The families of an exposition."""
    return {
        _family(each) for each in text_string_to_metric_families(text) if not each.name.endswith(_CREATED)
    }


def sample_names(text: str) -> dict[str, set[str]]:
    """The names that a query may use, with their labels."""
    return {
        sample.name: set(sample.labels)
        for each in text_string_to_metric_families(text)
        for sample in each.samples
    }


def documented() -> set[Family]:
    """The families of the page."""
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([^|]*)\| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return {
        Family(name, kind, tuple(sorted(re.findall(r"`(\w+)`", labels))), text)
        for name, kind, labels, text in rows
    }


def _family(metric: Metric) -> Family:
    labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    return Family(name, metric.type, tuple(sorted(labels)), metric.documentation)
