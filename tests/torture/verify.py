"""Compares the database with the ledger: equal, or an AssertionError that says where they differ."""

import asyncio
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from ingest.database import leader_connection
from ingest.upkeep import rollup
from tests.support import model
from tests.torture.ledger import Ledger
from tests.torture.world import MEMORY_LIMIT_MB, World, sum_of_outcomes

# A time as the ledger has it.
MS = "(extract(epoch FROM {}) * 1000)::bigint"
_CRASHES = ("Traceback", "unhandled", "never retrieved", "was destroyed")


async def drained(world: World, ledger: Ledger, timeout: float = 20) -> float:  # noqa: ASYNC109 a deadline
    """Wait until all that the ledger holds is stored; returns the seconds that took."""
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
        for name, used, _ in reading.loads
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
    # Several workers may take a VEN's statuses in out of order; which of two equal ones is the transition
    # depends on that. Everything else does not.
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
    """Every message that a running process received has an outcome, or still waits."""
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
    """Memory is bounded, and no log holds an uncaught exception."""
    for worker in world.workers:
        worker.measure()
        assert worker.peak_mb <= MEMORY_LIMIT_MB, f"{worker.peak_mb:.0f} MB"
        text = "\n".join([*worker.logs, worker.process.output()])
        assert not [word for word in _CRASHES if word in text], text[-3000:]


async def rolled_up(world: World, ledger: Ledger) -> None:
    """Close every bucket there is: the rollups equal a recomputation from the ledger.

    What is stored after that comes late, and goes the way of dirty buckets: the leader in ingest may be redoing
    some meanwhile, under the lock that this takes too.
    """
    connection = await leader_connection(world.db)
    try:
        await rollup.roll_up(connection, datetime.now(UTC) + timedelta(minutes=15))
    finally:
        await connection.close()
    for table, expected in _rollups(list(ledger.readings.values())).items():
        stored = {tuple(key): used for *key, used in world.sql(_ROLLUPS[table])}
        close = stored == pytest.approx(expected, abs=1e-6)
        assert close, (table, sorted(stored.items() ^ expected.items(), key=str)[:5])


# → all that tells a row from others and how many readings or VENs are in it, then the power.
_BUCKET = "extract(epoch FROM bucket)::bigint"
_ROLLUPS = {
    "network_power_1m": f"SELECT {_BUCKET}, ven_count, used_kw FROM network_power_1m",
    "network_power_5m": f"SELECT {_BUCKET}, ven_count, used_kw FROM network_power_5m",
    "ven_power_5m": f"SELECT ven_id, {_BUCKET}, readings, used_sum_kw FROM ven_power_5m",
    "load_power_5m": f"SELECT ven_id, load_id, {_BUCKET}, readings, used_sum_kw FROM load_power_5m",
}


def _rollups(readings: list[model.R]) -> dict[str, dict[tuple[object, ...], float]]:
    """What `_ROLLUPS` must return, computed from the readings themselves."""
    vens, loads = defaultdict(list), defaultdict(list)
    for r in readings:
        bucket = r.ts - r.ts % 300
        vens[r.ven, bucket].append(r.used)
        for name, used, _ in r.loads:
            loads[r.ven, name, bucket].append(used)
    return {
        **{
            table: {(p.start, p.vens): p.used for p in model.history(readings, seconds)}
            for table, seconds in (("network_power_1m", 60), ("network_power_5m", 300))
        },
        "ven_power_5m": {(*key, len(used)): sum(used) for key, used in vens.items()},
        "load_power_5m": {(*key, len(used)): sum(used) for key, used in loads.items()},
    }
