"""Compares the database with the ledger; an AssertionError says where they differ."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ingest.database import rebuild_connection
from shared.tiers import TIERS, Kind, Tier
from tests.support import integral
from tests.support.leader import count
from tests.torture.ledger import Ledger
from tests.torture.world import MEMORY_LIMIT_MB, World, sum_of_outcomes

# A time as the ledger has it.
MS = "(extract(epoch FROM {}) * 1000)::bigint"
# A time, or a length of time, as the model has it.
US = "(extract(epoch FROM {}) * 1000000)::bigint"
MINUTE = 60 * integral.US
_KEYS: dict[Kind, str] = {"network": "''", "ven": "ven_id", "load": "ven_id || '/' || load_id"}
_CRASHES = ("Traceback", "unhandled", "never retrieved", "was destroyed")


async def drained(world: World, ledger: Ledger, timeout: float = 20) -> float:  # noqa: ASYNC109 a deadline
    """Wait until everything in the ledger is stored; returns how many s that took."""
    began = time.monotonic()
    await world.healthy(timeout)
    while not _all_there(world, ledger):
        if time.monotonic() - began > timeout:
            raise AssertionError(f"not drained after {timeout:g} s: {differences(world, ledger)}")
        await asyncio.sleep(0.1)
    return time.monotonic() - began


def _all_there(world: World, ledger: Ledger) -> bool:
    counts = "SELECT (SELECT count(*) FROM ven_telemetry), (SELECT count(*) FROM dead_letters)"
    ((readings, dead),) = world.sql(counts)
    return (
        readings >= len(ledger.readings)
        and dead >= len(ledger.dead)
        and all(worker.metrics().get("ecs_ingest_unacked") == 0 for worker in world.workers)
        and world.sql("SELECT ven_id, status FROM vens WHERE status IS NOT NULL ORDER BY 1")
        == ledger.current()
    )


def exact(world: World, ledger: Ledger) -> None:
    """Every row of the raw tables, and the latest of each VEN, are those of the ledger."""
    found = differences(world, ledger)
    assert not found, found


def differences(world: World, ledger: Ledger) -> dict[str, dict[str, list[str]]]:
    """What is stored and not in the ledger, or the other way round, by table; empty when all is exact."""
    expected_samples = Counter(
        (ven, ts, name, used)
        for (ven, ts), reading in ledger.readings.items()
        for name, used, _ in reading.loads or ()
    )
    stored_samples = Counter(
        world.sql(f"SELECT ven_id, {MS.format('ts')}, load_id, used_power_kw FROM ven_load_samples")
    )
    expected_readings = Counter((ven, ts, reading.used) for (ven, ts), reading in ledger.readings.items())
    stored_readings = Counter(
        world.sql(f"SELECT ven_id, {MS.format('ts')}, used_power_kw FROM ven_telemetry")
    )
    stored_dead = {sha for (sha,) in world.sql("SELECT message_sha256 FROM dead_letters")}
    latest = world.sql(
        f"SELECT ven_id, {MS.format('telemetry_ts')}, used_power_kw FROM vens WHERE telemetry_ts > '-infinity'"
    )
    transitions = _stored_transitions(world)
    # Several workers may store a VEN's statuses out of order. Only this depends on it: which of two equal statuses
    # is the transition.
    expected_transitions = (
        ledger.transitions() if len(world.workers) == 1 else transitions & ledger.reported()
    )
    pairs: dict[str, tuple[set[object], set[object]]] = {
        "ven_telemetry": (set(expected_readings.items()), set(stored_readings.items())),
        "ven_load_samples": (set(expected_samples.items()), set(stored_samples.items())),
        "ven_statuses": (set(expected_transitions), set(transitions)),
        "dead_letters": (set(ledger.dead), set(stored_dead)),
        "vens": ({(v, *at) for v, at in ledger.latest().items()}, set(latest)),
    }
    return {
        table: {"missing": sorted(map(str, want - have))[:5], "too much": sorted(map(str, have - want))[:5]}
        for table, (want, have) in pairs.items()
        if want != have
    }


def _stored_transitions(world: World) -> set[tuple[str, int, str]]:
    rows = world.sql(f"SELECT ven_id, {MS.format('recorded_at')}, status FROM ven_statuses")
    return {(ven, ts, status) for ven, ts, status in rows}


def accounted(world: World) -> None:
    """AssertionError unless every message that a running process received has an outcome, or waits."""
    for worker in world.workers:
        figures = worker.metrics()
        assert figures
        assert balanced(figures), figures


def balanced(figures: dict[str, float]) -> bool:
    """Whether every message received was returned, has an outcome, or waits; true without any figures."""
    received, returned, unacked = (
        figures.get(f"ecs_ingest_{name}", 0) for name in ("received_total", "returned_total", "unacked")
    )
    return received - returned == sum_of_outcomes(figures) + unacked


def sound(world: World) -> None:
    """AssertionError unless memory is bounded and no log holds an uncaught exception."""
    for worker in world.workers:
        worker.measure()
        assert worker.peak_mb <= MEMORY_LIMIT_MB, f"{worker.peak_mb:.0f} MB"
        text = "\n".join([*worker.logs, worker.process.output()])
        assert not [word for word in _CRASHES if word in text], text[-3000:]


async def rolled_up(world: World, ledger: Ledger) -> None:
    """Count everything; AssertionError unless tiers and open rows are what the ledger gives, to the last uWh.

    The watermark moves 15 minutes ahead, so that what is stored after that is late and is redone. The leader in ingest
    may be counting meanwhile, under the same locks.
    """
    connection = await rebuild_connection(world.db)
    try:
        await count(connection, datetime.now(UTC) + timedelta(minutes=15))
    finally:
        await connection.close()
    readings = [reading._replace(ts=ms / 1000) for (_, ms), reading in ledger.readings.items()]
    ((watermark, loads_watermark),) = world.sql(
        f"SELECT {US.format('watermark')}, {US.format('loads_watermark')} FROM rollup_state"
    )
    holds = world.sql(
        f"SELECT CASE WHEN isfinite(since) THEN {US.format('since')} ELSE 0 END, {US.format('hold')} FROM holds"
        " ORDER BY since"
    )
    spans = integral.spans(readings, holds, until=watermark)
    samples = integral.load_spans(readings, holds, until=loads_watermark)
    counted: dict[Kind, tuple[list[integral.Span], int]] = {
        "network": (spans, watermark),
        "ven": (spans, watermark),
        "load": (samples, loads_watermark),
    }
    for tier in TIERS:
        for kind in tier.kept:
            speaking, until = counted[kind]
            sums = integral.buckets(speaking, tier.minutes * MINUTE)
            _compare(world, tier, kind, _network(sums) if kind == "network" else sums, until)
    _compare_open(world, spans, watermark)


def _network(vens: Mapping[tuple[str, int], integral.Sums]) -> dict[tuple[str, int], integral.Sums]:
    return {("", at): sums for at, sums in integral.over_vens(vens).items()}


def _compare(
    world: World, tier: Tier, kind: Kind, sums: Mapping[tuple[str, int], integral.Sums], until: int
) -> None:
    """AssertionError unless the rows of a tier are the sums of its closed buckets; for minutes also of the open one."""
    table, width = tier.table(kind), tier.minutes * MINUTE
    end = until if tier.minutes > 1 else until + MINUTE
    wanted = {
        (of, at): (each.used, each.shed, each.covered)
        for (of, at), each in sums.items()
        if each.covered and at + width <= end
    }
    rows = world.sql(
        f"SELECT {_KEYS[kind]}, {US.format('bucket')}, used_uwh, shed_uwh, covered_us FROM {table} WHERE covered_us > 0"
    )
    stored = {(of, at): (used, shed, covered) for of, at, used, shed, covered in rows}
    assert stored == wanted, (table, sorted(stored.items() ^ wanted.items())[:5])


def _compare_open(world: World, spans: list[integral.Span], watermark: int) -> None:
    """AssertionError unless ven_open has each VEN whose last reading before the watermark still speaks, with sums."""
    last = {span.ven: span.start for span in sorted(spans, key=lambda span: span.start)}
    rows = world.sql(
        f"SELECT ven_id, {US.format('ts')} FROM ven_open WHERE until > (SELECT watermark FROM rollup_state)"
    )
    assert all(last[ven] == ts for ven, ts in rows), [
        (ven, ts, last[ven]) for ven, ts in rows if last[ven] != ts
    ][:5]
    assert world.sql("SELECT count(*) FROM late_readings, rollup_state WHERE ts < watermark") == [(0,)]
