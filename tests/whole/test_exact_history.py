"""For any data in any order of arrival, a history is what its definition says of all raw rows: random fleets
through the real writer, rollup and api, against plain Python (tests/support/model.py, which shares no code)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.app import create_app
from api.settings import Settings
from ingest.partitions import Partitions
from ingest.upkeep import rollup
from ingest.write.batch import Store
from shared import config, db
from shared.config import Database
from shared.db import Connection
from tests.support import model
from tests.support.model import R
from tests.support.samples import message, payload_of

# Midnight UTC before the nights in which Berlin's clocks change.
AUTUMN = round(datetime(2026, 10, 24, tzinfo=UTC).timestamp())
SPRING = round(datetime(2026, 3, 28, tzinfo=UTC).timestamp())
ZONE = "Europe/Berlin"
SPAN = 2 * 86400
GRANULARITIES = {
    "10s": 10,
    "30s": 30,
    "1m": 60,
    "2m": 120,
    "5m": 300,
    "15m": 900,
    "1h": 3600,
    "1d": 86400,
    "2d": 2 * 86400,
}
SHORT = 3600
TABLES = (
    "vens, ven_loads, ven_telemetry, ven_load_samples, network_power_1m, network_power_5m, ven_power_5m,"
    " load_power_5m, dirty_buckets"
)

kilowatts = st.integers(-5000, 15000).map(lambda watts: watts / 1000)
edges = st.builds(
    lambda n, width, off: n * width + off,
    st.integers(0, 8),
    st.sampled_from((60, 300, 3600)),
    st.integers(-1, 1),
)
moments = st.one_of(st.integers(0, 600), st.integers(0, SHORT), edges, st.integers(0, SPAN - 1)).map(
    lambda s: max(0, min(s, SPAN - 1))
)
loads = st.lists(
    st.tuples(st.sampled_from("xyz"), kilowatts, kilowatts), max_size=3, unique_by=lambda load: load[0]
)
events = st.one_of(st.none(), st.sampled_from(("evt-1", "evt-2", "ø")))
readings = st.builds(
    R,
    st.sampled_from(("a", "b", "c")),
    moments,
    kilowatts,
    kilowatts.map(abs),
    st.one_of(st.none(), kilowatts.map(abs)),
    events,
    loads.map(tuple),
)
questions = st.tuples(
    st.sampled_from(("network", "ven", "load")),
    st.sampled_from(sorted(GRANULARITIES)),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, SPAN)),
    st.integers(1, SPAN),
    st.sampled_from(("none", "null", "locf")),
)
# What happens: readings are stored, or the leader rolls up at some time, or somebody asks.
steps = st.lists(
    st.one_of(
        st.lists(readings, min_size=1, max_size=8),
        st.integers(0, SPAN + 1000),
        st.just("redo"),
    ),
    min_size=1,
    max_size=8,
)
# What chance seldom makes: a late reading at the very end of a bucket that is rolled up, of every kind of history.
LATE: list[Any] = [
    [R("a", 1, 1.0, 0.1, None, None, (("x", 1.0, 0.1),))],
    SHORT,
    [R("a", 299, 2.0, 0.2, 1.0, "evt-1", (("x", 3.0, 0.3),))],
    "redo",
]
FIVE_MINUTES = [(of, "5m", False, None, 1, "none") for of in ("network", "ven", "load")]


class System:
    """The writer, the leader's work and the api on one database."""

    def __init__(self, connection: Connection, client: httpx.AsyncClient) -> None:
        self.connection = connection
        self.client = client
        self.store = Store("exact", Partitions())

    async def empty(self) -> None:
        await self.connection.execute(f"TRUNCATE {TABLES}")
        await self.connection.execute("UPDATE rollup_state SET closing='-infinity', watermark='-infinity'")
        self.store.forget()

    async def write(self, batch: list[R]) -> None:
        messages = [message("volttron/metering", payload_of(r), received_at=float(r.ts)) for r in batch]
        await self.store.prepare(self.connection)
        await self.store.write(self.connection, messages)

    async def history(self, path: str, **params: Any) -> Any:
        given = {name: value for name, value in params.items() if value is not None}
        answer = await self.client.get(f"/api/{path}/history", params=given)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def system(database: Database) -> AsyncIterator[System]:
    app = create_app(Settings(db=database, api=config.Api(), dashboard=config.Dashboard(), log=config.Log()))
    connection = await db.connect(database, application="exact")
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        yield System(connection, client)
    await connection.close()


async def check(
    its: System, stored: dict[tuple[str, int], R], origin: int, question: tuple[Any, ...]
) -> None:
    of, name, local, start, length, fill = question
    granularity = GRANULARITIES[name]
    zone = ZONE if local and granularity % 86400 == 0 else None
    if granularity % 60 or granularity in (60, 120):
        # Raw rows are read for a few hours at most, and no more than 11,000 points are given.
        start, length = start or 0, min(length, SHORT)
    first = None if start is None else origin + start
    last = None if first is None else first + length
    ven, load = {"network": (None, None), "ven": ("a", None), "load": ("a", "x")}[of]
    known = [
        r for r in stored.values() if r.ven == "a" and (of == "ven" or any(n == "x" for n, *_ in r.loads))
    ]
    if of != "network" and not known:
        return
    path = {"network": "stats/network", "ven": "vens/a", "load": "vens/a/loads/x"}[of]
    answer = await its.history(
        path, granularity=name, timezone=zone, fill=fill, start=_iso(first), end=_iso(last)
    )
    lower, upper = _whole(first, last, granularity, zone)
    expected = model.history(
        list(stored.values()), granularity, ven=ven, load=load, zone=zone, start=lower, end=upper
    )
    found = [
        p
        for p in answer["points"]
        if p["usedEnergyKwh"] is not None and p["timestamp"] in {_iso(e.start) for e in expected}
    ]
    assert [_point(p) for p in found] == [_expected(p) for p in expected]
    _check_fill(answer["points"], expected, fill, granularity, zone, lower, upper)


def _whole(
    first: int | None, last: int | None, granularity: int, zone: str | None
) -> tuple[int | None, int | None]:
    """The range, floored and ceiled to whole buckets."""
    if first is None or last is None:
        return None, None
    upper = model.bucket_start(last, granularity, zone)
    if upper < last:
        upper = model.bucket_start(
            upper + granularity + 7200 if zone else upper + granularity, granularity, zone
        )
    return model.bucket_start(first, granularity, zone), upper


def _check_fill(
    points: list[dict[str, Any]],
    expected: list[model.Point],
    fill: str,
    granularity: int,
    zone: str | None,
    lower: int | None,
    upper: int | None,
) -> None:
    by_start = {_iso(p.start): p for p in expected}
    if fill == "none":
        assert len(points) == len(expected)
        return
    starts = _all_starts(expected, granularity, zone, lower, upper)
    assert [p["timestamp"] for p in points] == [_iso(start) for start in starts]
    last: dict[str, Any] | None = None
    for point in points:
        if point["timestamp"] in by_start:
            last = point
        elif fill == "locf" and last is not None:
            assert point == {**last, "timestamp": point["timestamp"], "usedEnergyKwh": 0.0}
        else:
            assert {value for name, value in point.items() if name != "timestamp"} == {None}


def _all_starts(
    expected: list[model.Point], granularity: int, zone: str | None, lower: int | None, upper: int | None
) -> list[int]:
    if lower is None or upper is None:
        if not expected:
            return []
        lower, upper = expected[0].start, expected[-1].start + 1
    starts = [lower]
    while (
        following := model.bucket_start(starts[-1] + granularity + (7200 if zone else 0), granularity, zone)
    ) < upper:
        starts.append(following)
    return starts


def _iso(ts: int | None) -> str | None:
    return None if ts is None else datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _point(p: dict[str, Any]) -> tuple[Any, ...]:
    names = (
        "timestamp",
        "usedPowerKw",
        "shedPowerKw",
        "usedEnergyKwh",
        "requestedReductionKw",
        "venCount",
        "eventId",
    )
    return tuple(p[name] for name in names)


def _expected(p: model.Point) -> tuple[Any, ...]:
    figures = (p.used, p.shed, p.energy, p.requested, p.vens)
    return (_iso(p.start), *(None if f is None else pytest.approx(f, abs=0.001) for f in figures), p.event)


def test_every_history_is_exact_before_during_and_after_rolling_up(database: Database) -> None:
    with asyncio.Runner() as runner:
        context = system(database)
        its = runner.run(context.__aenter__())

        @settings(
            max_examples=200,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @example(AUTUMN, LATE, FIVE_MINUTES)
        @given(st.sampled_from((AUTUMN, SPRING)), steps, st.lists(questions, min_size=3, max_size=6))
        def examples(origin: int, happening: list[Any], asked: list[Any]) -> None:
            runner.run(play(its, origin, happening, asked))

        try:
            examples()
        finally:
            runner.run(context.__aexit__(None, None, None))


async def play(its: System, origin: int, happening: list[Any], asked: list[Any]) -> None:
    await its.empty()
    stored: dict[tuple[str, int], R] = {}
    for step in happening:
        if step == "redo":
            await rollup.redo_dirty(its.connection)
        elif isinstance(step, int):
            await rollup.roll_up(its.connection, datetime.fromtimestamp(origin + step, UTC))
        else:
            batch = [r._replace(ts=origin + r.ts) for r in step]
            await its.write(batch)
            for r in batch:
                stored.setdefault((r.ven, r.ts), r)
        for question in asked:
            await check(its, stored, origin, question)
