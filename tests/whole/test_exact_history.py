"""Whatever comes in whatever order, an answer is what its definition says of all readings: random fleets through the
real writer, the leader's steps and the api, against plain Python (tests/support/integral.py, which shares no code)."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.app import create_app
from api.settings import Settings
from api.telemetry.shared_result import Shared
from ingest.database import leader_connection
from shared import config
from shared.config import Database
from tests.support import counting, integral
from tests.support.counting import ORIGIN, SPAN, Counting
from tests.support.integral import US, Sums
from tests.support.model import R

# 22:30 UTC is midnight and a half in Berlin on the night that its clocks go back; these zones have :30 and :45.
ZONES = ("Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe")
GRANULARITIES = ("10s", "7s", "1m", "2m", "5m", "10m", "15m", "1h", "6h", "1d", "2d", "1w", "2w", "1mo")
questions = st.tuples(
    st.sampled_from(("network", "ven", "load")),
    st.sampled_from(GRANULARITIES),
    st.one_of(st.none(), st.sampled_from(ZONES)),
    st.one_of(st.none(), st.integers(-1800, SPAN)),
    st.integers(1, SPAN),
)

pytestmark = pytest.mark.slow
EVERYTHING = [
    (of, granularity, None, None, 1)
    for of in ("network", "ven", "load")
    for granularity in ("10s", "1m", "15m", "1d")
]


class Api(Counting):
    """The writer, the leader's steps, and an api on the same database. Live figures are as new as the question."""

    client: httpx.AsyncClient
    shared: list[Shared[Any]]

    async def history(self, path: str, **params: Any) -> list[dict[str, Any]]:
        given = {name: value for name, value in params.items() if value is not None}
        for each in self.shared:
            each._stale_at = 0.0
        answer = await self.client.get(f"/api/{path}/history", params=given)
        assert answer.status_code == 200, answer.text
        points: list[dict[str, Any]] = answer.json()["points"]
        return points

    async def ask(self, question: tuple[Any, ...]) -> None:
        of, granularity, zone, start, length = question
        fixed = granularity[-1] in "sm" and not granularity.endswith("mo")
        zone = None if fixed else zone
        first = None if start is None else ORIGIN + start
        last = None if first is None else first + length
        known = [r for r in self.stored.values() if r.ven == "a" and (of == "ven" or listed(r, "x"))]
        if of != "network" and not known:
            return
        path = {"network": "stats/network", "ven": "vens/a", "load": "vens/a/loads/x"}[of]
        found = await self.history(path, granularity=granularity, timezone=zone, start=first, end=last)
        late = of == "network" and await self.connection.fetchval(
            "SELECT count(*) FROM late_readings, rollup_state WHERE ts < watermark"
        )
        if late and (start is None or granularity not in ("10s", "7s")):
            return  # The network waits for redo.
        spans = self.spans(of)
        starts = [bucket(at, granularity, zone) for at in starts_of(spans, granularity, zone)]
        wanted = [
            point
            for at in sorted(set(starts))
            if (point := self.point(of, spans, at, following(at, granularity, zone))) is not None
            and (first is None or last is None or (following(at, granularity, zone) > first and at < last))
        ]
        assert found == wanted, (
            f"{question} after {self.happened}: {found[:3]} {len(found)} not {wanted[:3]} {len(wanted)}"
        )

    def spans(self, of: str) -> list[integral.Span]:
        now = 10**18
        readings = list(self.stored.values())
        if of == "load":
            found = integral.load_spans(readings, self.holds, until=now)
            return [span for span in found if span.ven == "a/x"]
        return [s for s in integral.spans(readings, self.holds, until=now) if of == "network" or s.ven == "a"]

    def point(self, of: str, spans: list[integral.Span], start: int, end: int) -> dict[str, Any] | None:
        sums = Sums()
        for span in spans:
            sums = sums.plus(integral.piece(span, start * US, end * US))
        if not sums.covered:
            return None
        first = min(r.ts for r in self.stored.values())
        length = round((end - max(start, first)) * US)
        over = length if of == "network" else sums.covered
        count = round(sums.covered / length, 3)
        return {
            "timestamp": datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usedPowerKw": kilowatts(sums.used, over),
            "shedPowerKw": kilowatts(sums.shed, over),
            "usedEnergyKwh": sums.used / 1e9,
            "eventId": sums.event_id,
            "requestedReductionKw": kilowatts(sums.requested, over) if sums.event else None,
            "venCount": count if of == "network" else None,
            "coverage": None
            if of == "network"
            else in_thousandths(Fraction(sums.covered, (end - start) * US)),
        }


def kilowatts(uwh: int, us: int) -> float:
    return in_thousandths(Fraction(uwh * 36, us * 10))


def in_thousandths(figure: Fraction) -> float:
    """A half is rounded up."""
    return math.floor(figure * 1000 + Fraction(1, 2)) / 1000


def listed(r: R, load: str) -> bool:
    return any(name == load for name, *_ in r.loads or ())


def starts_of(spans: list[integral.Span], granularity: str, zone: str | None) -> list[int]:
    """A moment in each bucket that a span touches."""
    found = []
    for span in spans:
        at = span.start // US
        while at * US < span.end:
            found.append(at)
            at = following(bucket(at, granularity, zone), granularity, zone)
    return found


def bucket(at: int, granularity: str, zone: str | None) -> int:
    """The start of the bucket that a moment lies in: of a calendar's, walked back over the wall clock."""
    count, unit = counted(granularity)
    if (unit in "sm" and unit != "mo") or (unit in "hd" and zone is None):
        width = count * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
        return at - at % width
    while not begins(at, count, unit, zone):
        at -= at % 900 or 900
    return at


def following(at: int, granularity: str, zone: str | None) -> int:
    count, unit = counted(granularity)
    if (unit in "sm" and unit != "mo") or (unit in "hd" and zone is None):
        return at + count * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    at += 900
    while not begins(at, count, unit, zone):
        at += 900
    return at


def begins(at: int, count: int, unit: str, zone: str | None) -> bool:
    """Whether a bucket begins at `at`, a quarter of an hour: the wall clock shows the start of one."""
    local = datetime.fromtimestamp(at, ZoneInfo(zone or "UTC"))
    if local.minute or local.second:
        return False
    if unit == "h":
        return local.hour % count == 0
    if local.hour or local.fold:
        return False
    days = (local.date() - date(1970, 1, 1)).days
    if unit == "d":
        return days % count == 0
    if unit == "w":
        return local.weekday() == 0 and (days - 4) // 7 % count == 0
    return local.day == 1 and ((local.year - 1970) * 12 + local.month - 1) % count == 0


def counted(granularity: str) -> tuple[int, str]:
    unit = granularity.lstrip("0123456789")
    return int(granularity.removesuffix(unit)), unit


@asynccontextmanager
async def serving(database: Database) -> AsyncIterator[Api]:
    app = create_app(Settings(db=database, api=config.Api(), dashboard=config.Dashboard(), log=config.Log()))
    shared = counting.shared_results(app)
    for each in shared:
        each._tolerated = 0.0
    connection = await leader_connection(database)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client,
    ):
        its = Api(connection)
        its.client, its.shared = client, shared
        yield its
    await connection.close()


def test_every_history_is_exact_whatever_came_when(database: Database) -> None:
    with asyncio.Runner() as runner:
        context = serving(database)
        its = runner.run(context.__aenter__())

        async def play(happening: list[Any], asked: list[Any]) -> None:
            await its.empty()
            for what, how in happening:
                await its.happen(what, how)
                for question in asked:
                    await its.ask(question)

        @settings(
            max_examples=120,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @example(counting.LATE_EDGE, EVERYTHING)
        @example(counting.LATE_NEWEST, EVERYTHING)
        @example(counting.SILENT_FOR_SOME_TICKS, EVERYTHING)
        @example(counting.A_READING_WITHOUT_A_LIST, EVERYTHING)
        @example(counting.NOTED_AND_SEEN, EVERYTHING)
        @given(
            st.lists(counting.happenings, min_size=1, max_size=8), st.lists(questions, min_size=3, max_size=6)
        )
        def examples(happening: list[Any], asked: list[Any]) -> None:
            runner.run(play(happening, asked))

        try:
            examples()
        finally:
            runner.run(context.__aexit__(None, None, None))
