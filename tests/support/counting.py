"""Random fleets for property tests: what may happen to them, done by the real writer and the leader's steps, and what
must then be stored, computed in plain Python (integral.py, which shares no code with the project)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from starlette.applications import Starlette

from api.telemetry.live import Live
from api.telemetry.shared_result import Shared
from api.telemetry.totals import Totals
from api.web.lookup import Services
from ingest.partitions import Partitions
from ingest.upkeep import late, loads, recount, tick
from ingest.upkeep.alone import alone
from ingest.write.batch import Store
from shared import tiers
from shared.advisory_locks import COUNTING, COUNTING_LOADS
from shared.db import Connection
from tests.support import integral
from tests.support.integral import US, Sums
from tests.support.model import R
from tests.support.samples import message, payload_of

ORIGIN = round(datetime(2026, 10, 24, 22, 30, tzinfo=UTC).timestamp())
SPAN = 3 * 3600
TABLES = ", ".join(
    (
        *("vens", "ven_loads", "ven_telemetry", "ven_load_lists", *tiers.TABLES, "ven_open", "loads_open"),
        *("late_readings", "late_lists", "holds"),
    )
)
STATE = (
    "closing = '-infinity', watermark = '-infinity', loads_watermark = '-infinity', history_from = '-infinity',"
    " loads_history_from = '-infinity', first_at = 'infinity'"
)

kilowatts = st.integers(-5000, 15000).map(lambda watts: watts / 1000)
edges = st.builds(
    lambda n, width, off: n * width + off,
    st.integers(0, 12),
    st.sampled_from((60, 300, 900)),
    st.integers(-1, 1),
)
moments = st.one_of(st.integers(0, 600), edges, st.integers(0, SPAN - 1)).map(
    lambda s: max(0, min(s, SPAN - 1))
)
load_lists = st.lists(
    st.tuples(st.sampled_from("xyz"), kilowatts, kilowatts), max_size=2, unique_by=lambda load: load[0]
)


def readings_at(times: st.SearchStrategy[int]) -> st.SearchStrategy[R]:
    return st.builds(
        R,
        st.sampled_from(("a", "b", "c")),
        times,
        kilowatts,
        kilowatts.map(abs),
        st.one_of(st.none(), kilowatts.map(abs)),
        st.one_of(st.none(), st.sampled_from(("evt-1", "evt-2"))),
        st.one_of(st.none(), load_lists.map(tuple)),
    )


# What may happen: readings of any time arrive, or live ones (by their distance from the watermark); the watermark moves
# by some seconds; some late readings or lists are redone; loads are counted; a stretch is counted again;
# VEN_OFFLINE_AFTER changes.
happenings = st.one_of(
    st.tuples(st.just("write"), st.lists(readings_at(moments), min_size=1, max_size=8)),
    st.tuples(st.just("live"), st.lists(readings_at(st.integers(-30, 60)), min_size=1, max_size=4)),
    st.tuples(st.just("move"), st.integers(1, 90)),
    st.tuples(st.just("move"), st.integers(1, 2400)),
    st.tuples(st.sampled_from(("redo", "redo lists")), st.integers(1, 5)),
    st.tuples(st.just("loads"), st.just(0)),
    st.tuples(st.just("recount"), st.tuples(moments, st.integers(1, 2400))),
    st.tuples(st.just("hold"), st.sampled_from((30, 300, 960, 1860))),
)
LATE_EDGE = [
    ("write", [R("a", 1, 1.0, 0.1, None, None, (("x", 1.0, 0.1),))]),
    ("move", 1300),
    ("loads", 0),
    ("write", [R("a", 299, 2.0, 0.2, 1.0, "evt-1", (("x", 3.0, 0.3),))]),
    ("redo", 5),
    ("redo lists", 5),
]
LATE_NEWEST = [  # A late newest reading, then two moves without readings.
    ("write", [R("a", 10, 1.0), R("b", 12, 1.0)]),
    ("move", 290),
    ("write", [R("a", 200, 5.0)]),
    ("redo", 5),
    ("move", 10),
    ("move", 30),
]
SILENT_FOR_SOME_TICKS = [
    ("live", [R("a", 10, 1.0, 0.5, 2.0, "evt-1"), R("b", 12, 1.0)]),
    ("move", 20),
    ("move", 30),
    ("move", 30),
    ("live", [R("a", 10, 5.0)]),
    ("move", 90),
    ("move", 200),
]
A_READING_WITHOUT_A_LIST = [  # It says nothing of loads; an empty list ends them.
    ("live", [R("a", 10, 1.0, 0.5, None, None, (("x", 1.0, 0.1), ("y", 2.0, 0.2)))]),
    ("live", [R("a", 100, 1.0, loads=None), R("a", 400, 2.0, loads=())]),
    ("move", 1000),
    ("loads", 0),
    ("loads", 0),
    ("loads", 0),
]
NOTED_AND_SEEN = [  # A reading is noted because its time is closed, but the tick that counts its time sees it.
    ("write", [R("a", 10, 1.0), R("b", 12, 1.0)]),
    ("move", 120),
    ("close", 300),
    ("write", [R("a", 200, 5.0)]),
    ("move", 180),
    ("redo", 5),
]


class Counting:
    """The writer and the leader's work on one database. `now` is where the watermark was told to go, in s."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.store = Store("counting", Partitions())
        self.counter = tick.Counter()
        self.loads = loads.LoadCounter()
        self.stored: dict[tuple[str, float], R] = {}
        self.holds: list[tuple[int, int]] = []
        self.now = ORIGIN
        self.happened: list[tuple[str, Any]] = []

    async def empty(self) -> None:
        await self.connection.execute(f"TRUNCATE {TABLES}")
        await self.connection.execute(f"UPDATE rollup_state SET {STATE}")
        await self.connection.execute("INSERT INTO holds VALUES ('-infinity', '960 s')")
        self.store.forget()
        self.stored, self.holds, self.now = {}, [(-(10**18), 960 * US)], ORIGIN
        self.happened.clear()

    async def happen(self, what: str, how: Any) -> None:
        self.happened.append((what, how))
        match what:
            case "write":
                await self._write([r._replace(ts=ORIGIN + r.ts) for r in how])
            case "live":
                await self._write([r._replace(ts=max(ORIGIN, self.now + r.ts)) for r in how])
            case "move":
                self.now += how
                await self.counter.advance(self.connection, at(self.now))
            case "close":
                await tick.close(self.connection, at(ORIGIN + how))
            case "redo":
                await late.redo(self.connection, how)
            case "redo lists":
                await loads.redo(self.connection, how)
            case "loads":
                await self.loads.step(self.connection)
            case "recount":
                await self._recount(ORIGIN + how[0], ORIGIN + how[0] + how[1])
            case "hold":
                await self._hold(how)

    async def _write(self, batch: list[R]) -> None:
        messages = [message("volttron/metering", payload_of(r), received_at=float(r.ts)) for r in batch]
        await self.store.prepare(self.connection)
        await self.store.write(self.connection, messages)
        for r in batch:
            self.stored.setdefault((r.ven, r.ts), r)

    async def _recount(self, start: int, end: int) -> None:
        state = await tick.read_state(self.connection)
        if state["begun"]:
            async with alone(self.connection, COUNTING):
                await recount.recount(self.connection, at(start), at(end), state["watermark"])
            async with alone(self.connection, COUNTING_LOADS):
                await loads.recount(self.connection, at(start), at(end), state["loads_watermark"])

    async def _hold(self, seconds: int) -> None:
        since = max(self.now, ORIGIN)
        await self.connection.execute(
            "INSERT INTO holds VALUES ($1, $2) ON CONFLICT (since) DO UPDATE SET hold = excluded.hold",
            at(since),
            timedelta(seconds=seconds),
        )
        self.holds = [h for h in self.holds if h[0] != since * US] + [(since * US, seconds * US)]

    async def check(self) -> None:
        """AssertionError unless the stored sums are those of all readings but the ones noted as late."""
        state = await tick.read_state(self.connection)
        if not state["begun"]:
            return
        until = round(state["watermark"].timestamp() * US)
        noted = {(r["ven_id"], round(r["ts"].timestamp())) for r in await self.fetch("late_readings")}
        spans = integral.spans(
            [r for key, r in self.stored.items() if key not in noted], self.holds, until=until
        )
        for tier in tiers.of("ven"):
            width = tier.seconds * US
            wanted = closed(integral.buckets(spans, width), width, until)
            assert await self.table(tier.table("ven"), 1) == wanted
        for tier in tiers.of("network"):
            width = tier.seconds * US
            sums = {("", at): each for at, each in integral.over_vens(integral.buckets(spans, width)).items()}
            wanted = closed(sums, width, until if tier.minutes > 1 else until + width)
            assert await self.table(tier.table("network"), 0) == wanted
        await self._check_loads(round(state["loads_watermark"].timestamp() * US))

    async def _check_loads(self, until: int) -> None:
        noted = {(r["ven_id"], round(r["ts"].timestamp())) for r in await self.fetch("late_lists")}
        counted = [r for key, r in self.stored.items() if key not in noted]
        spans = integral.load_spans(counted, self.holds, until=until)
        for tier in tiers.of("load"):
            width = tier.seconds * US
            wanted = closed(integral.buckets(spans, width), width, until)
            assert await self.table(tier.table("load"), 2) == wanted

    async def table(self, name: str, ids: int) -> dict[tuple[str, int], Sums]:
        """The stored sums that have covered time, by id (of loads: VEN and load) and start in us."""
        found = {}
        for row in await self.fetch(name):
            key = "/".join(list(row)[:ids]), round(row["bucket"].timestamp() * US)
            power = row["used_uwh"], row["shed_uwh"]
            if ids == 2:
                sums = Sums(*power, covered=row["covered_us"])
            else:
                asked = row["requested_uwh"], row["covered_us"], row["event_us"]
                sums = Sums(*power, *asked, event_id=row["event_id"])
            if sums.covered:
                found[key] = sums
        return found

    async def fetch(self, table: str) -> Any:
        return await self.connection.fetch(f"SELECT * FROM {table}")


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def closed(sums: Any, width: int, until: int) -> dict[tuple[str, int], Sums]:
    return {key: each for key, each in sums.items() if key[1] + width <= until and each.covered}


def shared_results(app: Starlette) -> list[Shared[Any]]:
    """The results that requests share in an api."""
    services: Services = app.state.services
    totals = services.get(Totals)
    return [services.get(Live), totals.fleet, totals.loads, totals.bounds]
