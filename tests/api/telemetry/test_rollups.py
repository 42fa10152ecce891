"""Histories where tiers, raw rows and late readings meet: each moment comes from exactly one of them. What the numbers
are is said in test_integral.py: here they may not change with what the leader has done."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared import tiers
from shared.config import Database
from tests.support.api_client import Client, serving
from tests.support.api_data import DAY, HOUR, at, drop_raw, execute, iso, roll_up, store
from tests.support.counting import shared_results
from tests.support.model import R

NETWORK = "/api/stats/network/history"
VEN, LOAD = "/api/vens/a/history", "/api/vens/a/loads/l/history"
PATHS = (NETWORK, VEN, LOAD)
# 2026-07-10T00:00:00Z
MIDNIGHT = 1_783_641_600
NOON = MIDNIGHT + 12 * HOUR
GRANULARITIES = ("20s", "1m", "4m", "5m", "10m", "15m", "1h", "1d")

Answers = dict[tuple[str, str], list[dict[str, Any]]]


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Client]:
    async with serving(database) as client:
        yield client


def readings(start: int, end: int, every: int = 100) -> list[R]:
    """Two VENs whose power never repeats; b sleeps now and then, a does not always list its loads."""
    found = []
    for ts in range(start, end, every):
        power = (ts - MIDNIGHT) / 1000
        event = "dr" if ts % 3000 < 700 else None
        loads = (("l", power / 4, 0.25), ("m", -1, 0)) if ts % 700 else None
        found.append(R("a", ts, power, 0.5, power / 2, event, loads))
        if ts % 4000 < 1000:
            found.append(R("b", ts + 7, 2 * power, 0, 1, event))
    return found


async def answers(api: Client, paths: tuple[str, ...] = PATHS, **span: int) -> Answers:
    """Every history at every granularity."""
    params = {name: iso(value) for name, value in span.items()}
    return {
        (path, granularity): await api.points(path, granularity=granularity, **params)
        for path, granularity in itertools.product(paths, GRANULARITIES)
    }


@pytest.mark.parametrize("until", [60, 333, 900, HOUR + 600, 3 * HOUR])
async def test_answers_do_not_change_as_the_watermark_moves(
    api: Client, database: Database, until: int
) -> None:
    store(database, readings(NOON, NOON + 3 * HOUR))
    whole, part = await answers(api), await answers(api, start=NOON + 1234, end=NOON + 2 * HOUR + 77)
    await roll_up(database, NOON + until)
    assert await answers(api) == whole
    assert await answers(api, start=NOON + 1234, end=NOON + 2 * HOUR + 77) == part


async def test_tiers_are_read_where_they_tell(api: Client, database: Database) -> None:
    store(database, readings(NOON, NOON + HOUR))
    wanted = {(path, g): await api.points(path, granularity=g) for path in PATHS for g in ("5m", "15m", "1h")}
    await roll_up(database, NOON + 2 * HOUR)
    # Behind the leader's back: raw rows of counted time are not looked at.
    execute(database, "UPDATE ven_telemetry SET used_power_kw = 99")
    execute(database, "UPDATE ven_load_lists SET used_power_kw = '{99,99}'")
    assert {(path, g): await api.points(path, granularity=g) for path, g in wanted} == wanted


async def test_late_readings_of_vens_and_loads_count_at_once(api: Client, database: Database) -> None:
    store(database, readings(NOON, NOON + 2 * HOUR))
    await roll_up(database, NOON + HOUR)
    late = [
        R("a", NOON + 333, 50, 5, 7, "zz", (("l", 9, 1),)),
        R("a", NOON + 3599, 3, loads=()),
        R("a", NOON + 1200 + 1, 1, loads=None),
        R("c", NOON + 1200, 1),
    ]
    before = await answers(api)
    store(database, late, late=True)
    at_once = await answers(api, (VEN, LOAD))
    part = await answers(api, (VEN, LOAD), start=NOON + 400, end=NOON + 1300)
    assert at_once[VEN, "5m"] != before[VEN, "5m"]
    assert at_once[LOAD, "15m"] != before[LOAD, "15m"]
    await roll_up(database, NOON + HOUR)
    assert await answers(api, (VEN, LOAD)) == at_once
    assert await answers(api, (VEN, LOAD), start=NOON + 400, end=NOON + 1300) == part


async def test_late_readings_of_the_network_count_when_redone(api: Client, database: Database) -> None:
    store(database, readings(NOON, NOON + 2 * HOUR))
    late = [R("a", NOON + 333, 50, 5, 7, "zz"), R("b", NOON + 3599, 3), R("c", NOON - 1200, 1)]
    await roll_up(database, NOON + HOUR)
    store(database, late, late=True)
    await roll_up(database, NOON + HOUR)
    redone = await answers(api)
    # As if all had been in time: nothing is counted, raw rows tell.
    execute(database, f"TRUNCATE {', '.join(tiers.TABLES)}, ven_open, loads_open")
    execute(database, "UPDATE rollup_state SET closing = '-infinity', watermark = '-infinity'")
    execute(database, "UPDATE rollup_state SET loads_watermark = '-infinity', first_at = 'infinity'")
    assert redone == await answers(api)


async def test_a_network_of_nothing_but_late_readings(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1)])
    counted = [at(NOON + DAY)] * 3
    execute(database, "UPDATE rollup_state SET closing = %s, watermark = %s, loads_watermark = %s", *counted)
    execute(database, "INSERT INTO late_readings VALUES ('a', %s)", at(NOON))
    for granularity in GRANULARITIES:
        assert await api.points(NETWORK, granularity=granularity) == []
    await roll_up(database, NOON + DAY)
    for granularity in GRANULARITIES:
        assert await api.points(NETWORK, granularity=granularity) != []


async def test_a_late_reading_where_there_was_none(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1, loads=(("l", 1, 0),)), R("a", NOON + 4 * HOUR, 1, loads=(("l", 1, 0),))])
    await roll_up(database, NOON + 5 * HOUR)
    store(database, [R("a", NOON + ts, 12, loads=(("l", 12, 0),)) for ts in (-HOUR, 2 * HOUR)], late=True)
    for path in (VEN, LOAD):
        energies = [p["usedEnergyKwh"] for p in await api.points(path, granularity="1h")]
        assert energies == pytest.approx([3.2, 16 / 60, 3.2, 16 / 60])
        later = {"start": iso(NOON + 2 * HOUR + 600), "end": iso(NOON + 3 * HOUR)}
        assert [p["usedEnergyKwh"] for p in await api.points(path, **later)] == pytest.approx([1, 0.2])


async def test_a_note_without_a_reading_takes_nothing_away(api: Client, database: Database) -> None:
    store(database, readings(NOON, NOON + HOUR))
    await roll_up(database, NOON + HOUR)
    wanted = await answers(api)
    for table in ("late_readings", "late_lists"):
        for ts in (NOON + 1, NOON + 300, NOON + 2 * HOUR):
            values = f"INSERT INTO {table} VALUES ('x', %s), ('a', %s)"
            execute(database, values, at(ts), at(ts))
    assert await answers(api, (VEN, LOAD)) == {key: wanted[key] for key in wanted if key[0] != NETWORK}
    await roll_up(database, NOON + HOUR)
    assert await answers(api) == wanted


async def test_where_raw_rows_are_gone_tiers_stay(api: Client, database: Database) -> None:
    store(database, readings(MIDNIGHT - HOUR, MIDNIGHT + HOUR))
    await roll_up(database, MIDNIGHT + HOUR)
    tiers = ("5m", "10m", "15m", "1h", "1d")
    wanted = {(path, g): await api.points(path, granularity=g) for path in PATHS for g in tiers}
    minutes = await api.points(NETWORK, granularity="4m")
    # A note from before: its raw rows are gone, so its tiers are all there is.
    execute(database, "INSERT INTO late_readings VALUES ('a', %s)", at(MIDNIGHT - 600))
    execute(database, "INSERT INTO late_lists VALUES ('a', %s)", at(MIDNIGHT - 600))
    drop_raw(database, MIDNIGHT)
    assert {(path, g): await api.points(path, granularity=g) for path, g in wanted} == wanted
    assert await api.points(NETWORK, granularity="4m") == minutes


async def test_one_answer_is_of_one_moment(api: Client, database: Database) -> None:
    store(database, readings(NOON, NOON + 2 * HOUR))
    await roll_up(database, NOON + 1000)
    before = await answers(api, (NETWORK,))
    live, *_ = shared_results(api.app)
    # What requests share is from now on what it was: its tail, from where tiers ended then.
    live._stale_at = float("inf")
    for until in (1100, 1900, 2 * HOUR):
        await roll_up(database, NOON + until)
        assert await answers(api, (NETWORK,)) == before


@pytest.mark.parametrize("day", ["2026-03-28T18:30:00Z", "2026-10-24T18:30:00Z"])
async def test_a_calendar_over_tiers_and_raw_rows(api: Client, database: Database, day: str) -> None:
    # Days on which Berlin's clocks change; a Sunday that ends a week.
    first = {"2026-03-28T18:30:00Z": 1_774_722_600, "2026-10-24T18:30:00Z": 1_792_866_600}[day]
    assert iso(first) == day
    store(
        database,
        [
            R("a", ts, ts % 7919 / 100, loads=(("l", ts % 13, 0),))
            for ts in range(first, first + 2 * DAY, 900)
        ],
    )
    zones = ("Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns")
    asked = list(itertools.product(PATHS, ("1h", "6h", "1d", "2d", "1w", "1mo"), zones))
    wanted = [await api.points(path, granularity=g, timezone=zone) for path, g, zone in asked]
    for until in (DAY + 77, 2 * DAY):
        await roll_up(database, first + until)
        found = [await api.points(path, granularity=g, timezone=zone) for path, g, zone in asked]
        assert found == wanted
    energies = [sum(round(p["usedEnergyKwh"] * 1e9) for p in points) for points in wanted]
    assert [len({energies[n] for n in range(of * 24, of * 24 + 24)}) for of in range(3)] == [1, 1, 1]
