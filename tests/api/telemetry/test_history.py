"""Histories as they are asked for: ranges, granularities, zones, fill, CSV. What the numbers mean: test_integral.py."""

import csv
import io
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.config import Database
from tests.support.api_client import Client, serving
from tests.support.api_data import DAY, HOUR, drop_fine, drop_raw, execute, hold, iso, roll_up, store
from tests.support.model import R

NETWORK = "/api/stats/network/history"
VEN, LOAD = "/api/vens/a/history", "/api/vens/a/loads/l/history"
# 2026-07-10T12:00:00Z
NOON = 1_783_684_800
MIDNIGHT = NOON - 12 * HOUR


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Client]:
    hold(database, 300)
    async with serving(database) as client:
        yield client


def every(seconds: int, start: int, end: int, used: float, ven: str = "a") -> list[R]:
    """Readings of one VEN and of its load l, which uses half."""
    return [R(ven, ts, used, loads=(("l", used / 2, 0),)) for ts in range(start, end, seconds)]


async def starts(api: Client, path: str, **params: str) -> list[str]:
    return [point["timestamp"] for point in await api.points(path, **params)]


async def powers(api: Client, path: str, **params: str) -> list[float | None]:
    return [point["usedPowerKw"] for point in await api.points(path, **params)]


async def test_start_is_floored_end_is_ceiled_and_excluded(api: Client, database: Database) -> None:
    store(database, [R("a", NOON + 300 * n, n) for n in range(6)])
    assert await starts(api, NETWORK, start=iso(NOON + 599), end=iso(NOON + 901)) == [
        iso(NOON + 300), iso(NOON + 600), iso(NOON + 900),
    ]  # fmt: skip
    assert await powers(api, VEN, start=iso(NOON + 600), end=iso(NOON + 900)) == [2]


@pytest.mark.parametrize(
    "start",
    [
        "2026-07-10T14:00:00+02:00",
        "2026-07-10T12:00",
        "2026-07-10 12:00:00Z",
        "1783684800",
        "1783684800.0",
        "1783684800000",
    ],
)
async def test_a_time_is_iso_8601_or_unix_s_or_ms(api: Client, database: Database, start: str) -> None:
    store(database, [R("a", NOON - 300, 1), R("a", NOON, 2)])
    assert await powers(api, NETWORK, start=start) == [2]


@pytest.mark.parametrize("granularity", ["5m", "1m", "15m", "1h", "1d", "1w"])
async def test_a_range_left_open_is_all_that_is_stored(
    api: Client, database: Database, granularity: str
) -> None:
    days = [R("a", NOON - DAY, 1), R("a", NOON, 2), R("b", NOON + DAY, 3, loads=(("l", 1, 0),))]
    store(database, days)
    for path, of in ((NETWORK, days), (VEN, days[:2]), ("/api/vens/b/loads/l/history", days[2:])):
        found = await api.points(path, granularity=granularity)
        energies = sum(r.used if path != "/api/vens/b/loads/l/history" else 1 for r in of) / 12
        assert sum(point["usedEnergyKwh"] for point in found) == pytest.approx(energies, abs=1e-8)


@pytest.mark.parametrize("granularity", ["1s", "10s", "1m", "5m", "15m", "1d", "1w", "1mo"])
async def test_a_start_long_before_the_stored_data_is_allowed(
    api: Client, database: Database, granularity: str
) -> None:
    store(database, every(60, NOON, NOON + 600, 1))
    for path in (NETWORK, VEN, LOAD):
        found = await api.points(path, start="1970-01-01", granularity=granularity)
        assert found == await api.points(path, granularity=granularity)
        assert found


async def test_what_is_asked_beyond_what_is_stored_is_cut(api: Client, database: Database) -> None:
    store(database, every(60, NOON, NOON + 600, 1))
    for path in (NETWORK, VEN, LOAD):
        for granularity in ({}, {"granularity": "1m"}):
            asked = {"start": "1970-01-01", "end": "2199-01-01", **granularity}
            assert await api.points(path, **asked) == await api.points(path, **granularity)


@pytest.mark.parametrize("until", [0, 900, 960, 1200, 1800])
async def test_a_range_left_open_ends_where_readings_end(api: Client, database: Database, until: int) -> None:
    store(database, [R("a", NOON + 800, 12, loads=(("l", 12, 0),))])
    await roll_up(database, NOON + until)
    for path in (NETWORK, VEN, LOAD):
        found = await api.points(path, granularity="15m")
        assert [round(point["usedEnergyKwh"], 6) for point in found] == [0.333333, 0.666667]


async def test_without_stored_data_there_are_no_points(api: Client, database: Database) -> None:
    answer = await api.get(NETWORK)
    assert answer.json() == {"points": [], "granularity": "5m"}
    store(database, [R("a", NOON, 1)])
    for span in (
        {"start": iso(NOON + DAY)},
        {"end": iso(NOON - DAY)},
        {"start": iso(NOON + DAY), "end": iso(NOON + 2 * DAY)},
    ):
        assert await api.points(NETWORK, **span) == []
        assert await api.points(VEN, **span) == []


async def test_a_ven_or_a_load_that_was_never_heard_of_is_not_found(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1, loads=(("l", 1, 0),))])
    assert "ven-101" in await api.detail(404, "/api/vens/ven-101/history")
    assert "'b'" in await api.detail(404, "/api/vens/b/loads/l/history")
    assert "'m'" in await api.detail(404, "/api/vens/a/loads/m/history")
    assert await api.detail(404, "/api/vens/a%00/history")
    assert await api.detail(404, "/api/vens/a/loads/%00/history")


async def test_a_load_that_is_not_listed_any_more_keeps_its_history(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1, loads=(("l", 1, 0),)), R("a", NOON + 60, 1, loads=(("m", 2, 0),))])
    assert await api.detail(404, "/api/vens/a/loads/l")
    assert await powers(api, LOAD) == [1]


@pytest.mark.parametrize(
    ("granularity", "timezone", "begins"),
    [
        # 2026-03-29 in Berlin is 23 hours long.
        ("1d", "Europe/Berlin", ["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]),
        ("1440m", "europe/BERLIN", ["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]),
        ("12h", "Europe/Berlin", [
            "2026-03-28T11:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T10:00:00Z", "2026-03-29T22:00:00Z",
        ]),
        ("1d", "Asia/Kathmandu", ["2026-03-27T18:15:00Z", "2026-03-28T18:15:00Z", "2026-03-29T18:15:00Z"]),
        ("1w", None, ["2026-03-23T00:00:00Z"]),
        ("1w", "Europe/Berlin", ["2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"]),
        ("2w", None, ["2026-03-16T00:00:00Z"]),
        ("1mo", "Asia/Kolkata", ["2026-02-28T18:30:00Z"]),
        ("3mo", "America/St_Johns", ["2026-01-01T03:30:00Z"]),
    ],
)  # fmt: skip
async def test_where_a_calendars_buckets_begin(
    api: Client, database: Database, granularity: str, timezone: str | None, begins: list[str]
) -> None:
    # From there to 2026-03-30T00:00Z.
    first = 1_774_720_800
    assert iso(first) == "2026-03-28T18:00:00Z"
    hold(database, 3600)
    store(database, every(3600, first, first + 30 * HOUR, 2))
    zone = {} if timezone is None else {"timezone": timezone}
    for path in (NETWORK, VEN, LOAD):
        for until in (first, first + 15 * HOUR, first + 30 * HOUR):
            await roll_up(database, until)
            found = await api.points(path, granularity=granularity, **zone)
            assert starts_of(found) == begins
            energy = sum(round(point["usedEnergyKwh"] * 1e9) for point in found)
            assert energy == (30 if path == LOAD else 60) * 10**9


def starts_of(found: list[dict[str, Any]]) -> list[str]:
    return [point["timestamp"] for point in found]


async def test_hours_of_a_zone_of_half_hours_begin_at_its_hours(api: Client, database: Database) -> None:
    # Lord Howe goes back by half an hour on 2026-04-05 at 02:00, 2026-04-04T15:00Z: from +11 to +10:30.
    first = 1_775_307_600
    assert iso(first) == "2026-04-04T13:00:00Z"
    store(database, every(300, first, first + 4 * HOUR, 2))
    found = await api.points(VEN, granularity="1h", timezone="Australia/Lord_Howe")
    assert [point["timestamp"][11:16] for point in found] == ["13:00", "14:00", "15:30", "16:30"]
    assert [point["usedEnergyKwh"] for point in found] == pytest.approx([2, 3, 2, 1], abs=1e-8)
    assert await starts(api, VEN, granularity="60m", timezone="Australia/Lord_Howe") == starts_of(found)


async def test_7_hours_repeat_from_the_unix_epoch(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1)])
    assert await starts(api, VEN, granularity="7h") == [iso(NOON - NOON % (7 * HOUR))]


@pytest.mark.parametrize("granularity", ["5m", "15m", "59m", "90m", "30s", "7h", "36h"])
async def test_a_timezone_without_effect_is_refused(
    api: Client, database: Database, granularity: str
) -> None:
    store(database, [R("a", NOON, 1)])
    asked = {"granularity": granularity, "timezone": "Asia/Kolkata"}
    assert f"no effect on {granularity}" in await api.detail(400, VEN, params=asked)


async def test_a_timezone_is_allowed_where_the_server_chooses(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1)])
    answer = (await api.get(VEN, params={"timezone": "asia/kolkata"})).json()
    assert (answer["granularity"], len(answer["points"])) == ("5m", 1)


async def test_null_fills_every_bucket_of_the_range(api: Client, database: Database) -> None:
    store(database, [R("a", NOON + 300, 6), R("a", NOON + 900, 12)])
    assert await powers(api, VEN, fill="null") == [6, None, 12]
    asked = {"start": iso(NOON), "end": iso(NOON + 1500), "fill": "null"}
    for path in (NETWORK, VEN):
        assert await powers(api, path, **asked) == [6, None, 12, None]
    (_, empty, _) = await api.points(NETWORK, fill="null")
    assert {value for name, value in empty.items() if name != "timestamp"} == {None}


async def test_nothing_is_filled_where_all_is_gone(api: Client, database: Database) -> None:
    store(database, every(300, NOON, NOON + 2 * HOUR, 2))
    await roll_up(database, NOON + 2 * HOUR)
    drop_raw(database, MIDNIGHT + DAY)
    drop_fine(database, NOON + HOUR)
    execute(database, "UPDATE rollup_state SET coarse_from = fine_from")
    execute(database, "DELETE FROM network_power_15m r USING rollup_state s WHERE r.bucket < s.coarse_from")
    for asked in ({}, {"start": iso(NOON)}):
        assert await powers(api, NETWORK, fill="null", granularity="15m", **asked) == [2] * 4


async def test_locf_carries_all_but_energy_over_a_gap(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 6, 1, 2, "dr"), R("a", NOON + 600, 12)])
    for path, more in ((NETWORK, {"venCount": 1}), (VEN, {"coverage": 0})):
        full, carried, _ = await api.points(path, fill="locf")
        assert carried == {**full, "timestamp": iso(NOON + 300), "usedEnergyKwh": 0, **more}


@pytest.mark.parametrize("granularity", ["10s", "5m", "15m", "1h", "1d"])
@pytest.mark.parametrize("until", [0, 400, 3 * DAY])
async def test_locf_carries_a_value_from_before_start(
    api: Client, database: Database, granularity: str, until: int
) -> None:
    # Half an hour of 2 kW, and then, in the same quarter of an hour, a little of 6 kW; then nothing for two days.
    later = [R("a", NOON + 200, 6, loads=(("l", 3, 0),)), R("a", NOON + 2 * DAY, 1, loads=(("l", 1, 0),))]
    store(database, [*every(60, NOON - 1800, NOON + 200, 2), *later])
    if until:
        await roll_up(database, NOON + until)
    for path in (NETWORK, VEN, LOAD):
        all_of_it = await api.points(path, granularity=granularity, start=iso(NOON), end=iso(NOON + 3600))
        for start in (NOON + 1800, NOON + DAY + 1800, NOON + 2 * DAY - 3600):
            asked = {"granularity": granularity, "start": iso(start), "end": iso(start + 600), "fill": "locf"}
            for point in await api.points(path, **asked):
                if point["usedEnergyKwh"] == 0:
                    assert point["usedPowerKw"] == all_of_it[-1]["usedPowerKw"]


async def test_locf_carries_nothing_from_after_start(api: Client, database: Database) -> None:
    # Then silence until 12:12, in the quarter of an hour that the range begins within.
    loads = (("l", 2, 0),)
    store(database, [R("a", NOON - 3 * HOUR, 2, loads=loads), R("a", NOON + 720, 6, loads=loads)])
    await roll_up(database, NOON + DAY)
    asked = {"start": iso(NOON + 600), "end": iso(NOON + 660), "granularity": "1m", "fill": "locf"}
    for path in (NETWORK, VEN, LOAD):
        assert await powers(api, path, **asked) == [2]


async def test_locf_carries_what_is_left_of_raw_rows(api: Client, database: Database) -> None:
    # Raw rows begin at 00:05, twenty-minute buckets of whole 5 minutes at 00:20, 15 minutes are there throughout.
    store(
        database,
        [*every(60, MIDNIGHT - HOUR, MIDNIGHT + 2400, 2), R("a", MIDNIGHT + 2400, 6, loads=(("l", 6, 0),))],
    )
    store(database, [R("a", MIDNIGHT + DAY, 1, loads=(("l", 1, 0),))])
    await roll_up(database, MIDNIGHT + DAY)
    drop_raw(database, MIDNIGHT)
    drop_fine(database, MIDNIGHT + 900)
    asked = {"start": iso(MIDNIGHT + 3600), "end": iso(MIDNIGHT + 3660), "fill": "locf"}
    for path in (NETWORK, VEN, LOAD):
        two = 1 if path == LOAD else 2
        assert (await powers(api, path, **asked, granularity="20s"))[0] == 6
        assert await powers(api, path, **asked, granularity="20m") == [1.5 if path == NETWORK else 6]
        early = {**asked, "start": iso(MIDNIGHT + 320), "end": iso(MIDNIGHT + 330), "granularity": "20s"}
        assert await powers(api, path, **early) == [two]


async def test_a_load_that_is_not_listed_is_not_filled(api: Client, database: Database) -> None:
    hold(database, 960)
    store(database, [R("a", NOON, 1, loads=(("l", 1, 0),)), R("a", NOON + 300, 1, loads=())])
    for fill in ("null", "locf"):
        assert await powers(api, LOAD, fill=fill) == [1]


async def test_locf_ends_now(api: Client, database: Database) -> None:
    now = int(time.time())
    store(database, [R("a", now - 2400, 6, loads=(("l", 3, 0),))])
    for path in (NETWORK, VEN, LOAD):
        found = await starts(api, path, fill="locf", start=iso(now - 3600), end=iso(now + DAY))
        assert len(found) >= 8
        assert found[-1] <= iso(time.time())


async def test_csv_has_a_line_for_each_point(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 6, 1, 2, 'dr "1", x'), R("a", NOON + 300, 12)])
    answer = await api.get(NETWORK, params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["x-granularity"] == "5m"
    header = "timestamp,usedPowerKw,shedPowerKw,usedEnergyKwh,eventId,requestedReductionKw,venCount,coverage"
    assert list(csv.reader(io.StringIO(answer.text))) == [
        header.split(","),
        ["2026-07-10T12:00:00Z", "6.0", "1.0", "0.5", 'dr "1", x', "2.0", "1", ""],
        ["2026-07-10T12:05:00Z", "12.0", "0.0", "1.0", "", "", "1", ""],
    ]


async def test_the_accept_header_may_ask_for_csv(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 6), R("a", NOON + 300, 12)])
    by_parameter = await api.get(NETWORK, params={"format": "csv"})
    assert (await api.get(NETWORK, headers={"Accept": "text/csv"})).content == by_parameter.content


async def test_an_error_is_json_where_csv_was_asked_for(api: Client) -> None:
    assert "granularity" in await api.detail(400, f"{NETWORK}?format=csv&granularity=0m")


async def test_the_answer_says_the_granularity_asked_for(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1)])
    assert (await api.get(f"{NETWORK}?granularity=60m")).json()["granularity"] == "60m"


async def test_without_granularity_it_is_the_finest_that_fits(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1), R("a", NOON + 40 * DAY, 2)])
    answer = (await api.get(NETWORK)).json()
    assert (answer["granularity"], len(answer["points"])) == ("15m", 2)


async def test_over_11000_points_are_refused_with_what_fits(api: Client, database: Database) -> None:
    store(database, [*every(60, NOON, NOON + 60, 1), *every(60, NOON + 30 * DAY, NOON + 30 * DAY + 60, 1)])
    for path, finest in ((NETWORK, "5m"), (VEN, "5m"), (LOAD, "5m")):
        detail = await api.detail(400, path, params={"granularity": "1m"})
        assert detail.startswith("granularity: 1m ")
        assert detail.endswith(f"the finest that fits is {finest}")


async def test_11000_points_are_answered(api: Client, database: Database) -> None:
    store(database, [*every(60, NOON, NOON + 60, 1), *every(60, NOON + 30 * DAY, NOON + 30 * DAY + 60, 1)])
    full = {"start": iso(NOON), "end": iso(NOON + 11_000 * 60), "granularity": "1m", "fill": "null"}
    assert len(await api.points(NETWORK, **full)) == 11_000


async def test_raw_granularities_have_shorter_ranges(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1, loads=(("l", 1, 0),))])
    for path, hours, finest in ((NETWORK, 6, "1m"), (VEN, 48, "5m"), (LOAD, 48, "5m")):
        fits = {"start": iso(NOON), "end": iso(NOON + hours * HOUR), "granularity": "20s"}
        assert len(await api.points(path, **fits)) == 15
        detail = await api.detail(400, path, params={**fits, "end": iso(NOON + hours * HOUR + 1)})
        assert f"at most {hours}h" in detail
        assert detail.endswith(f"the finest that fits is {finest}")


async def test_raw_granularities_begin_where_raw_rows_do(api: Client, database: Database) -> None:
    store(database, every(60, MIDNIGHT - HOUR, MIDNIGHT + HOUR, 2))
    await roll_up(database, MIDNIGHT + HOUR)
    wanted = {path: await api.points(path, granularity="20s") for path in (NETWORK, VEN, LOAD)}
    drop_raw(database, MIDNIGHT)
    begins = MIDNIGHT + 300
    for path, all_of_it in wanted.items():
        found = await api.points(path, granularity="20s")
        assert found == [point for point in all_of_it if point["timestamp"] >= iso(begins)]
        assert await api.points(path, granularity="20s", start=iso(begins)) == found
        detail = await api.detail(400, path, params={"granularity": "20s", "start": iso(begins - 20)})
        assert "raw data, which begins at 2026-07-10T00:05:00Z" in detail
        assert detail.endswith(f"the finest that fits is {'1m' if path == NETWORK else '5m'}")


@pytest.mark.parametrize("granularity", ["10m", "61m", "5m", "65m"])
async def test_a_granularity_that_is_gone_says_what_is_left(
    api: Client, database: Database, granularity: str
) -> None:
    store(database, every(300, MIDNIGHT - 6 * HOUR, MIDNIGHT + 6 * HOUR, 2))
    await roll_up(database, MIDNIGHT + 6 * HOUR)
    drop_raw(database, MIDNIGHT)
    drop_fine(database, MIDNIGHT)
    asked = {"granularity": granularity, "start": iso(MIDNIGHT - HOUR), "end": iso(MIDNIGHT)}
    for path in (NETWORK, VEN, LOAD):
        detail = await api.detail(400, path, params=asked)
        assert "begins at 2026-07-10T00:0" in detail
        assert detail.endswith("the finest that fits is 15m")
        assert len(await api.points(path, **{**asked, "granularity": "15m"})) == 4
        picked = await api.get(path, params={"start": asked["start"], "end": asked["end"]})
        assert (picked.json()["granularity"], len(picked.json()["points"])) == ("15m", 4)


async def test_ids_may_hold_anything_but_slashes(api: Client, database: Database) -> None:
    name = "Haus 5 % ü'\"&?#"
    store(database, [R(name, NOON, 1, loads=((name, 2, 0),))])
    quoted = "Haus%205%20%25%20%C3%BC%27%22%26%3F%23"
    assert [p["usedPowerKw"] for p in await api.points(f"/api/vens/{quoted}/history")] == [1]
    assert [p["usedPowerKw"] for p in await api.points(f"/api/vens/{quoted}/loads/{quoted}/history")] == [2]
    assert (await api.get(f"/api/vens/{quoted}/loads/{quoted}")).json()["id"] == name


async def test_a_value_is_a_value_and_never_sql(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1)])
    assert await api.detail(404, "/api/vens/a'%20OR%20'1'='1/history")
    execute(database, "SELECT 1 FROM vens")
