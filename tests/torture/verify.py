"""The database against the ledger: exactly equal, or AssertionError that says where not."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from ingest import rollup
from shared import db
from tests import model
from tests.torture.ledger import Ledger
from tests.torture.world import MEMORY_LIMIT_MB, World

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
    assert differences(world, ledger) == {}


def differences(world: World, ledger: Ledger) -> dict[str, object]:
    """What is stored and not in the ledger, or the other way round, by table; empty when all is exact."""
    expected_samples = Counter(
        (ven, ts, name, used)
        for (ven, ts), reading in ledger.readings.items()
        for name, used, _ in reading.loads
    )
    stored_samples = Counter(
        world.sql(f"SELECT ven_id, {_MS.format('ts')}, load_id, used_power_kw FROM ven_load_samples")
    )
    expected_readings = Counter((ven, ts, reading.used) for (ven, ts), reading in ledger.readings.items())
    stored_readings = Counter(
        world.sql(f"SELECT ven_id, {_MS.format('ts')}, used_power_kw FROM ven_telemetry")
    )
    stored_dead = {sha for (sha,) in world.sql("SELECT message_sha256 FROM dead_letters")}
    latest = world.sql(
        f"SELECT ven_id, {_MS.format('telemetry_ts')}, used_power_kw FROM vens WHERE telemetry_ts > '-infinity'"
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


_MS = "(extract(epoch FROM {}) * 1000)::bigint"


def _stored_transitions(world: World) -> set[tuple[str, int, str]]:
    rows = world.sql(f"SELECT ven_id, {_MS.format('recorded_at')}, status FROM ven_statuses")
    return {(ven, ts, status) for ven, ts, status in rows}


def accounted(world: World) -> None:
    """Of each running process: received is the sum of the three outcomes."""
    for worker in world.workers:
        m = worker.metrics()
        outcomes = [m[f"ecs_ingest_{name}_total"] for name in ("stored", "duplicate", "dead_lettered")]
        assert m["ecs_ingest_received_total"] == sum(outcomes)


def sound(world: World) -> None:
    """Memory bounded, and nothing in any log that nobody caught."""
    for worker in world.workers:
        worker.measure()
        assert worker.peak_mb <= MEMORY_LIMIT_MB, f"{worker.peak_mb:.0f} MB"
        text = "\n".join([*worker.logs, worker.process.output()])
        assert not [word for word in _CRASHES if word in text], text[-3000:]


async def rolled_up(world: World, ledger: Ledger) -> None:
    """Close every bucket there is: the rollups equal a recomputation from the ledger."""
    connection = await db.connect(world.db, application="verify")
    try:
        await rollup.roll_up(connection, datetime.now(UTC) + timedelta(minutes=15))
        rows = await connection.fetch(
            "SELECT extract(epoch FROM bucket)::bigint, used_kw, ven_count FROM network_power_5m ORDER BY 1"
        )
        loads = await connection.fetchval("SELECT sum(readings) FROM load_power_5m")
    finally:
        await connection.close()
    expected = model.history(list(ledger.readings.values()), 300)
    assert [tuple(row) for row in rows] == [
        (p.start, pytest.approx(p.used, abs=1e-6), p.vens) for p in expected
    ]
    assert (loads or 0) == sum(len(reading.loads) for reading in ledger.readings.values())
