"""What each number of a history is, worked out by hand: power is energy over time."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.config import Database
from tests.support.api_client import Client, serving
from tests.support.api_data import DAY, HOUR, hold, iso, roll_up, store
from tests.support.model import R
from tests.support.servers import eventually

NETWORK = "/api/stats/network/history"
VEN, LOAD = "/api/vens/a/history", "/api/vens/a/loads/l/history"
# 2026-07-10T12:00:00Z
NOON = 1_783_684_800
MIDNIGHT = NOON - 12 * HOUR
# How long a reading speaks unless VEN_OFFLINE_AFTER is changed.
HOLD = 960


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Client]:
    async with serving(database) as client:
        yield client


def point(start: float, used: float, shed: float, energy: Any, **more: Any) -> dict[str, Any]:
    return {
        "timestamp": iso(start),
        "usedPowerKw": used,
        "shedPowerKw": shed,
        "usedEnergyKwh": energy,
        "eventId": None,
        "requestedReductionKw": None,
        "venCount": None,
        "coverage": None,
        **more,
    }


async def energies(api: Client, path: str, **params: str) -> list[int]:
    """Energies in uWh, which are whole."""
    return [round(point["usedEnergyKwh"] * 1e9) for point in await api.points(path, **params)]


@pytest.mark.parametrize("granularity", ["5m", "10m", "15m", "1h", "6h", "1d"])
@pytest.mark.parametrize("counted", [0, HOUR + 77, DAY])
async def test_quarterly_reports_are_all_of_the_power(
    api: Client, database: Database, granularity: str, counted: int
) -> None:
    vens = [R(ven, MIDNIGHT + s, 10) for s in range(0, DAY, 900) for ven in "abc"]
    store(database, vens)
    await roll_up(database, MIDNIGHT + counted)
    found = await api.points(NETWORK, granularity=granularity, start=iso(MIDNIGHT), end=iso(MIDNIGHT + DAY))
    assert {(p["usedPowerKw"], p["venCount"]) for p in found} == {(30, 3)}
    assert sum(p["usedEnergyKwh"] for p in found) == pytest.approx(720, abs=1e-6)


@pytest.mark.parametrize("counted", [0, 250, 300])
async def test_many_readings_weigh_no_more_than_their_time(
    api: Client, database: Database, counted: int
) -> None:
    store(
        database, [R("a", NOON, 0), *(R("a", NOON + s, 10) for s in range(240, 300)), R("a", NOON + 300, 0)]
    )
    await roll_up(database, NOON + counted)
    for path, more in ((NETWORK, {"venCount": 1}), (VEN, {"coverage": 1})):
        (found, *_) = await api.points(path)
        assert found == point(NOON, 2, 0, pytest.approx(1 / 6, abs=1e-7), **more)


@pytest.mark.parametrize("granularity", ["1m", "5m", "1h", "1d"])
async def test_small_energies_are_not_rounded_away(api: Client, database: Database, granularity: str) -> None:
    store(database, [R("a", MIDNIGHT + s, 0.005) for s in range(0, DAY, 900)])
    day = {"granularity": granularity, "start": iso(MIDNIGHT), "end": iso(MIDNIGHT + DAY)}
    for path in (NETWORK, VEN):
        assert sum(await energies(api, path, **day)) == 120_000_000


@pytest.mark.parametrize("counted", [0, 333, 900, 4000])
async def test_buckets_add_up_and_vens_add_up_to_the_network(
    api: Client, database: Database, counted: int
) -> None:
    readings = [R("a", NOON + s, s % 7919 / 1000, s % 3) for s in range(0, 3600, 77)]
    readings += [R("b", NOON + s, -s % 104729 / 1000) for s in range(11, 3600, 700)]
    store(database, readings)
    await roll_up(database, NOON + counted)
    hour = {"start": iso(NOON), "end": iso(NOON + HOUR)}
    of = [
        {sum(await energies(api, path, **hour, granularity=granularity)) for granularity in
         ("1s", "10s", "1m", "12m", "5m", "15m", "30m", "1h")}
        for path in (NETWORK, VEN, "/api/vens/b/history")
    ]  # fmt: skip
    assert [len(energy) for energy in of] == [1, 1, 1]
    assert of[0].pop() == of[1].pop() + of[2].pop()


async def test_a_reading_speaks_for_its_hold_at_most(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 6, 3)])
    assert await api.points(VEN) == [
        point(NOON, 6, 3, 0.5, coverage=1),
        point(NOON + 300, 6, 3, 0.5, coverage=1),
        point(NOON + 600, 6, 3, 0.5, coverage=1),
        point(NOON + 900, 6, 3, 0.1, coverage=0.2),
    ]
    assert await api.points(VEN, granularity="1h") == [point(NOON, 6, 3, 1.6, coverage=0.267)]


async def test_where_nothing_speaks_there_is_no_point(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 6), R("a", NOON + HOUR, 6)])
    assert [p["timestamp"] for p in await api.points(VEN, granularity="15m")] == [
        iso(NOON), iso(NOON + 900), iso(NOON + HOUR), iso(NOON + HOUR + 900),
    ]  # fmt: skip


async def test_a_ven_that_is_silent_for_a_while_is_part_of_it(api: Client, database: Database) -> None:
    # a speaks throughout; b, twice as much, only for the second half of the five minutes.
    store(database, [R("a", NOON, 6), R("b", NOON + 150, 12)])
    (found, *_) = await api.points(NETWORK)
    assert found == point(NOON, 12, 0, 1, venCount=1.5)
    (of_b, *_) = await api.points("/api/vens/b/history")
    assert of_b == point(NOON, 12, 0, 0.5, coverage=0.5)


async def test_time_before_the_first_reading_does_not_dilute(api: Client, database: Database) -> None:
    for counted in (0, 300):
        if not counted:
            store(database, [R("a", NOON + 200, 6)])
        await roll_up(database, NOON + counted)
        for granularity in ("5m", "10m", "15m"):
            (found, *_) = await api.points(NETWORK, granularity=granularity, end=iso(NOON + 900))
            assert (found["usedPowerKw"], found["venCount"]) == (6, 1)


@pytest.mark.parametrize("granularity", ["1m", "15m", "1d"])
async def test_time_after_now_does_not_dilute(api: Client, database: Database, granularity: str) -> None:
    now = int(time.time())
    first = now - 2 * HOUR
    store(database, [R("a", ts, 6, loads=(("l", 3, 0),)) for ts in range(first, now, 300)])
    network, ven, load = [
        (await api.points(path, granularity=granularity))[-1] for path in (NETWORK, VEN, LOAD)
    ]
    assert (network["usedPowerKw"], network["venCount"]) == (6, 1)
    assert (ven["usedPowerKw"], load["usedPowerKw"]) == (6, 3)
    if granularity != "1d":
        assert (ven["coverage"], load["coverage"]) == (1, 1)


async def test_a_future_reading_counts_when_its_time_has_come(api: Client, database: Database) -> None:
    now = int(time.time())
    store(database, [R("a", now - 100, 1), R("a", now + 3, 500, loads=(("l", 500, 0),))])

    async def greatest(path: str) -> float:
        found = await api.points(path, granularity="1s", start=str(now - 100), end=str(now + 60))
        return max((p["usedPowerKw"] for p in found), default=0)

    before = [await greatest(path) for path in (NETWORK, VEN, LOAD)]
    if time.time() < now + 3:
        assert before == [1, 1, 0]

    async def has_come() -> bool:
        return [await greatest(path) for path in (NETWORK, VEN, LOAD)] == [500] * 3

    come: bool = await eventually(has_come)
    assert come
    assert all(p["timestamp"] <= iso(time.time()) for p in await api.points(VEN, granularity="1s"))


async def test_what_an_event_asks_for_is_an_integral_too(api: Client, database: Database) -> None:
    # 4 kW for half of 12:00, then 2 kW for half of 12:05, outside of the event nothing whatever the reading says.
    store(
        database,
        [
            R("a", NOON, 1, 0, 100, None),
            R("a", NOON + 150, 1, 0, 4, "dr-1"),
            R("a", NOON + 300, 1, 0, 2, "dr-2"),
            R("a", NOON + 450, 1, 0, 50),
            R("a", NOON + 600, 1, 0, None, "dr-0"),
            R("a", NOON + 900, 1, 0, 7, None),
            R("b", NOON, 1),
        ],
    )
    for path in (NETWORK, VEN):
        found = [(p["eventId"], p["requestedReductionKw"]) for p in await api.points(path)][:4]
        assert found == [("dr-1", 2), ("dr-2", 1), ("dr-0", 0), (None, None)]
        (larger, *_) = await api.points(path, granularity="10m")
        assert (larger["eventId"], larger["requestedReductionKw"]) == ("dr-2", 1.5)


async def test_an_event_is_diluted_over_a_day(api: Client, database: Database) -> None:
    day = [
        R("a", MIDNIGHT + s, 1, 0, 4, "dr" if 0 <= s - 12 * HOUR < HOUR else None) for s in range(0, DAY, 900)
    ]
    store(database, day)
    for path in (NETWORK, VEN):
        (found,) = await api.points(path, granularity="1d", start=iso(MIDNIGHT), end=iso(MIDNIGHT + DAY))
        assert (found["eventId"], found["requestedReductionKw"]) == ("dr", 0.167)


@pytest.mark.parametrize("counted", [0, 300, 600, 900])
async def test_an_event_is_named_where_its_readings_lie(
    api: Client, database: Database, counted: int
) -> None:
    store(database, [R("a", NOON + 299, 1, 0, 3, "dr")])
    await roll_up(database, NOON + counted)
    for path in (NETWORK, VEN):
        found = [(p["eventId"], p["requestedReductionKw"]) for p in await api.points(path)]
        assert found[:4] == [("dr", 3), (None, 3), (None, 3), (None, 3)]


@pytest.mark.parametrize("counted", [0, 600, 2000])
async def test_a_reading_has_the_hold_of_its_time(api: Client, database: Database, counted: int) -> None:
    hold(database, 60)
    hold(database, 240, since=NOON + 600)
    store(database, [R("a", NOON + s, 6, loads=(("l", 6, 0),)) for s in (0, 300, 600, 900)])
    await roll_up(database, NOON + counted)
    for path in (VEN, LOAD):
        assert [p["coverage"] for p in await api.points(path)] == [0.2, 0.2, 0.8, 0.8]
    assert [p["usedPowerKw"] for p in await api.points(NETWORK)] == [1.2, 1.2, 4.8, 4.8]


@pytest.mark.parametrize("counted", [0, 300, 1800])
async def test_a_load_speaks_until_its_vens_next_list(api: Client, database: Database, counted: int) -> None:
    store(
        database,
        [
            R("a", NOON, 9, loads=(("l", 6, 1), ("m", 7, 0))),
            R("a", NOON + 100, 9, loads=None),
            R("a", NOON + 150, 9, loads=(("l", 12, 1),)),
            R("a", NOON + 450, 9, loads=(("m", 1, 0),)),
            R("a", NOON + 700, 9, loads=()),
        ],
    )
    await roll_up(database, NOON + counted)
    assert await api.points(LOAD) == [
        point(NOON, 9, 1, 0.75, coverage=1),
        point(NOON + 300, 12, 1, 0.5, coverage=0.5),
    ]
    assert [(p["timestamp"], p["coverage"]) for p in await api.points("/api/vens/a/loads/m/history")] == [
        (iso(NOON), 0.5), (iso(NOON + 300), 0.5), (iso(NOON + 600), 0.333),
    ]  # fmt: skip


async def test_generation_is_negative_and_zero_has_no_sign(api: Client, database: Database) -> None:
    hold(database, 300)
    store(database, [R("a", NOON, -2), R("b", NOON + 300, -0.0001)])
    answer = await api.get(NETWORK)
    assert [p["usedPowerKw"] for p in answer.json()["points"]] == [-2, 0]
    assert "-0.0," not in answer.text
