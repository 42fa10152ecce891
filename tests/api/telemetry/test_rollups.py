"""Histories where rollups, raw rows and dirty buckets meet: each bucket comes from exactly one of them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.config import Database
from tests.support import model
from tests.support.api_client import Client, serving
from tests.support.api_data import (
    DAY,
    HOUR,
    assert_close,
    at,
    drop_raw,
    execute,
    iso,
    roll_up,
    shown,
    store,
)
from tests.support.model import R

NETWORK = "/api/stats/network/history"
# 2026-07-10T00:00:00Z
MIDNIGHT = 1_783_641_600
NOON = MIDNIGHT + 12 * HOUR
LOAD = (("l", 1, 0),)
TABLES = (
    "vens, ven_loads, ven_telemetry, ven_load_samples, "
    "network_power_1m, network_power_5m, ven_power_5m, load_power_5m"
)
EVERY: tuple[tuple[str, dict[str, Any]], ...] = (
    (NETWORK, {}),
    ("/api/vens/a/history", {"ven": "a"}),
    ("/api/vens/a/loads/l/history", {"ven": "a", "load": "l"}),
)


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Client]:
    async with serving(database) as client:
        yield client


def readings(start: int, end: int, every: int = 100) -> list[R]:
    """Two VENs whose power never repeats; b sleeps now and then."""
    found = []
    for ts in range(start, end, every):
        power = (ts - MIDNIGHT) / 1000
        event = "dr" if ts % 3000 < 700 else None
        found.append(R("a", ts, power, 0.5, power / 2, event, (("l", power / 4, 0.25), ("m", -1, 0))))
        if ts % 2000 < 1000:
            found.append(R("b", ts + 7, 2 * power, 0, 1, event))
    return found


async def assert_exact(api: Client, everything: list[R], **span: int) -> None:
    """Every history is what its definition says of all readings."""
    params = {name: iso(value) for name, value in span.items()}
    for path, of in EVERY:
        for granularity, seconds in (
            ("1m", 60),
            ("4m", 240),
            ("5m", 300),
            ("15m", 900),
            ("1h", HOUR),
            ("1d", DAY),
        ):
            found = await api.points(path, granularity=granularity, **params)
            expected = model.history(everything, seconds, **of, **_aligned(span, seconds))
            assert_close(found, shown(expected))


def _aligned(span: dict[str, int], seconds: int) -> dict[str, Any]:
    floored = {"start": span["start"] // seconds * seconds} if "start" in span else {}
    return floored | ({"end": -(-span["end"] // seconds) * seconds} if "end" in span else {})


async def test_before_and_after_the_watermark(api: Client, database: Database) -> None:
    everything = readings(NOON, NOON + 3 * HOUR)
    store(database, everything)
    await assert_exact(api, everything)
    await roll_up(database, NOON + HOUR + 600)
    await assert_exact(api, everything)
    await roll_up(database, NOON + 3 * HOUR)
    await assert_exact(api, everything)
    await assert_exact(api, everything, start=NOON + 1234, end=NOON + 2 * HOUR + 77)


async def test_rollups_are_read_and_not_raw_rows_where_there_are_both(
    api: Client, database: Database
) -> None:
    everything = readings(NOON, NOON + HOUR)
    store(database, everything)
    await roll_up(database, NOON + HOUR)
    # Behind the leader's back: raw rows of closed clean buckets are not looked at.
    execute(database, "UPDATE ven_telemetry SET used_power_kw = 99")
    for path in (NETWORK, "/api/vens/a/history"):
        expected = model.history(everything, 300, ven=None if path == NETWORK else "a")
        assert_close(await api.points(path), shown(expected))


async def test_late_readings_count_at_once_though_rollups_do_not_have_them_yet(
    api: Client, database: Database
) -> None:
    everything = readings(NOON, NOON + 2 * HOUR)
    store(database, everything)
    await roll_up(database, NOON + HOUR)
    late = [
        R("a", NOON + 333, 50, 5, 7, "zz", (("l", 9, 1),)),
        R("b", NOON + 3599, 3),
        R("c", NOON + 1200, 1),
    ]
    store(database, late, dirty=True)
    await assert_exact(api, everything + late)
    await assert_exact(api, everything + late, start=NOON + 400, end=NOON + 1300)
    await roll_up(database, NOON + HOUR)
    await assert_exact(api, everything + late)


async def test_a_late_reading_in_a_bucket_that_had_none(api: Client, database: Database) -> None:
    everything = [R("a", NOON, 1, loads=LOAD), R("a", NOON + HOUR, 1, loads=LOAD)]
    store(database, everything)
    await roll_up(database, NOON + 2 * HOUR)
    late = [R("a", NOON + 1800, 5, loads=(("l", 3, 0),)), R("a", NOON - DAY, 7, loads=(("l", 2, 0),))]
    store(database, late, dirty=True)
    await assert_exact(api, everything + late)


async def test_a_mark_without_rows_takes_nothing_away_from_others(api: Client, database: Database) -> None:
    everything = readings(NOON, NOON + HOUR)
    store(database, everything)
    await roll_up(database, NOON + HOUR)
    for bucket in (NOON, NOON + 300, NOON + 2 * HOUR):
        execute(
            database,
            "INSERT INTO dirty_buckets (bucket, ven_id) VALUES (%s, 'x'), (%s, 'a')",
            at(bucket),
            at(bucket),
        )
    await assert_exact(api, everything)


async def test_where_raw_rows_are_gone_rollups_stay(api: Client, database: Database) -> None:
    everything = readings(MIDNIGHT - HOUR, MIDNIGHT + HOUR)
    store(database, everything)
    await roll_up(database, MIDNIGHT + 1800)
    # A mark from before: its raw rows are gone, so its rollups are all there is.
    execute(database, "INSERT INTO dirty_buckets (bucket, ven_id) VALUES (%s, 'a')", at(MIDNIGHT - 600))
    drop_raw(database, MIDNIGHT)
    for path, of in EVERY:
        for granularity, seconds in (("5m", 300), ("1h", HOUR), ("1d", DAY)):
            found = await api.points(path, granularity=granularity)
            assert_close(found, shown(model.history(everything, seconds, **of)))
    # Minutes of the network are rolled up too; those of VENs and loads are raw.
    assert_close(await api.points(NETWORK, granularity="1m"), shown(model.history(everything, 60)))


async def test_raw_granularities_reach_as_far_back_as_raw_rows(api: Client, database: Database) -> None:
    everything = readings(MIDNIGHT - HOUR, MIDNIGHT + HOUR)
    store(database, everything)
    await roll_up(database, MIDNIGHT + HOUR)
    drop_raw(database, MIDNIGHT)
    kept = [r for r in everything if r.ts >= MIDNIGHT]
    asked = [(NETWORK, {}, "30s", 30), *((path, of, "1m", 60) for path, of in EVERY[1:]),
             *((path, of, "20s", 20) for path, of in EVERY)]  # fmt: skip
    for path, of, granularity, seconds in asked:
        expected = shown(model.history(kept, seconds, **of))
        assert_close(await api.points(path, granularity=granularity), expected)
        assert_close(await api.points(path, granularity=granularity, start=iso(MIDNIGHT)), expected)
        detail = await api.detail(400, path, params={"granularity": granularity, "start": iso(MIDNIGHT - 1)})
        assert detail.startswith("start: ")
        assert "2026-07-10T00:00:00Z" in detail
        before = {"granularity": granularity, "end": iso(MIDNIGHT - 60)}
        assert await api.points(path, **before) == []


async def test_a_calendar_over_rollups_and_raw_rows(api: Client, database: Database) -> None:
    # Both days on which Berlin's clocks change.
    for day in (1_774_652_400, 1_792_792_800):
        everything = [
            R("a", ts, ts % 7919 / 100, loads=(("l", ts % 13, 0),)) for ts in range(day, day + 3 * DAY, 900)
        ]
        execute(database, f"TRUNCATE {TABLES}")
        execute(database, "UPDATE rollup_state SET closing = '-infinity', watermark = '-infinity'")
        store(database, everything)
        await roll_up(database, day + 2 * DAY)
        for path, of in EVERY:
            for days in (1, 2, 3):
                found = await api.points(path, granularity=f"{days}d", timezone="Europe/Berlin")
                assert_close(found, shown(model.history(everything, days * DAY, zone="Europe/Berlin", **of)))
