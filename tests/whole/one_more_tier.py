"""What holds with a tier of an hour. test_one_more_tier.py runs it, with that tier (tests/support/hour_tier.py)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from ingest.upkeep import history, retention
from shared import tiers
from shared.commands.migrate import migrate
from shared.config import Database, Retention
from tests.support.counting import ORIGIN, at
from tests.support.model import R
from tests.whole.test_exact_history import Api, serving

PATHS = {"network": "stats/network", "ven": "vens/a", "load": "vens/a/loads/x"}
TABLES = [tier.table(kind) for tier in tiers.TIERS if tier.minutes == 60 for kind in tier.kept]
# ORIGIN is half past an hour, and an hour ends 1,800 and 5,400 s later.
QUESTIONS: list[tuple[Any, ...]] = [
    *((of, granularity, None, None, 1) for of in PATHS for granularity in ("15m", "1h", "1d")),
    *((of, "1h", zone, None, 1) for of in PATHS for zone in ("Asia/Kolkata", "Australia/Lord_Howe")),
    *((of, "1h", None, 2000, 5000) for of in PATHS),
    ("network", "1m", None, None, 1),
]


def readings(start: int, end: int, every: int = 440) -> list[R]:
    return [
        R(ven, ts + 7 * n, 1.0 + ts / 1000, 0.1, 0.5, "evt-1" if n else None, (("x", ts / 2000, 0.2),))
        for n, ven in enumerate(("a", "b"))
        for ts in range(start, end, every)
    ]


HAPPENED: list[tuple[str, Any]] = [
    ("write", readings(0, 5300)),
    ("move", 5330),  # by leaps
    ("live", readings(5, 40, 20)),
    ("move", 50),
    ("move", 50),  # a tick ends an hour
    ("write", [R("a", 1700, 9.0, 0.3, None, None, (("x", 4.0, 0.1),)), R("b", 5000, 2.0)]),
    ("redo", 10),
    ("write", readings(5600, 9300)),
    ("hold", 1860),
    ("move", 5000),  # into the next hour, beyond a quarter of it
    ("write", [R("a", at, 3.0, 0.3, None, None, (("x", 0.5, 0.1),)) for at in (7100, 9100)]),
    ("redo", 10),
    ("redo lists", 10),
    ("recount", (3000, 4000)),
]


@pytest.fixture
async def its(database: Database) -> AsyncIterator[Api]:
    """A fleet that all of that happened to."""
    async with serving(database) as its:
        await its.empty()
        for what, how in HAPPENED:
            await its.happen(what, how)
            while await its.loads.step(its.connection):
                pass
        yield its


async def ask_all(its: Api) -> None:
    for question in QUESTIONS:
        await its.ask(question)


async def energy(its: Api, path: str, granularity: str) -> float:
    """In kWh, of all there is."""
    return float(sum(point["usedEnergyKwh"] for point in await its.history(path, granularity=granularity)))


async def test_whatever_happens_what_is_kept_and_answered_is_exact(database: Database) -> None:
    async with serving(database) as its:
        await its.empty()
        for what, how in HAPPENED:
            await its.happen(what, how)
            await its.check()
            await its.loads.step(its.connection)
            await its.check()
            await ask_all(its)
        for table in TABLES:
            assert await its.connection.fetchval(f"SELECT count(*) FROM {table}") >= 3


async def test_hours_and_days_are_read_from_it_until_a_rebuild(its: Api) -> None:
    for table in TABLES:
        await its.connection.execute(
            f"UPDATE {table} SET used_uwh = used_uwh + 1000000000 WHERE bucket = $1", at(ORIGIN + 1800)
        )
    for path in PATHS.values():
        quarters, hours, six, days = [await energy(its, path, each) for each in ("15m", "1h", "6h", "1d")]
        assert hours == pytest.approx(quarters + 1)
        assert hours == pytest.approx(six) == pytest.approx(days)
    assert await history.rebuild(its.connection, None, None, lambda _: None)
    await its.check()
    await ask_all(its)


async def test_a_rebuild_fills_what_nobody_kept(its: Api) -> None:
    await its.connection.execute(f"TRUNCATE {', '.join(TABLES)}")
    start = at(ORIGIN + 2000)
    assert await history.rebuild(its.connection, start, None, lambda _: None)
    hours = await its.history(PATHS["ven"], granularity="1h")
    assert hours[0]["timestamp"] == f"{at(ORIGIN + 1800):%Y-%m-%dT%H:%M:%SZ}"
    assert await history.rebuild(its.connection, None, None, lambda _: None)
    await its.check()
    await ask_all(its)


async def test_who_is_new_in_the_hour_that_is_open_is_found(its: Api) -> None:
    await its.happen("write", [R("c", 9100, 2.0, loads=(("y", 1.0, 0.0),))])
    await its.happen("redo", 1)
    await its.happen("redo lists", 1)
    # Both speak for the hold of 1,860 s.
    for granularity in ("15m", "1h", "1d"):
        assert await energy(its, "vens/c", granularity) == pytest.approx(2 * 1860 / 3600)
        assert await energy(its, "vens/c/loads/y", granularity) == pytest.approx(1860 / 3600)


async def test_its_migration_fills_its_past(its: Api, database: Database) -> None:
    assert await asyncio.to_thread(migrate, database, 1) == ["9000.hour-tier"]
    assert "network_power_60m" in (await its.client.get("/health/db-check")).text
    assert await asyncio.to_thread(migrate, database) == ["9000.hour-tier"]
    await its.check()
    await ask_all(its)
    await its.happen("move", 3600)
    await its.check()


async def test_what_it_is_made_of_goes_when_it_has_taken_it_in(its: Api) -> None:
    keep = Retention(raw_retention_days=30, fine_rollup_retention_days=35)
    await retention.drop_expired(its.connection, at(ORIGIN + 5000) + timedelta(days=35), keep)
    state = await its.connection.fetchrow("SELECT fine_from, raw_from FROM rollup_state")
    assert state is not None
    assert tuple(state) == (at(ORIGIN + 1800), at(ORIGIN + 5400 + 1860))
    assert await its.connection.fetchval("SELECT min(bucket) FROM network_power_5m") == at(ORIGIN + 1800)
    rebuilt = await history.rebuild(its.connection, None, None, lambda _: None)
    assert rebuilt == (at(ORIGIN + 9000), at(ORIGIN + 10200)), "from the first whole hour of raw rows on"
    for of in PATHS:
        for granularity in ("15m", "1h", "1d"):
            await its.ask((of, granularity, None, None, 1))
