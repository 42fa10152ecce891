"""Histories from raw rows alone: what each number is, worked out by hand."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.config import Database
from tests.support.api_client import Client, serving
from tests.support.api_data import DAY, HOUR, execute, iso, store
from tests.support.model import R

NETWORK = "/api/stats/network/history"
# 2026-07-10T12:00:00Z
NOON = 1_783_684_800


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Client]:
    async with serving(database) as client:
        yield client


def point(start: float, used: float, shed: float, energy: float, **more: Any) -> dict[str, Any]:
    return {
        "timestamp": iso(start),
        "usedPowerKw": used,
        "shedPowerKw": shed,
        "usedEnergyKwh": energy,
        "eventId": None,
        "requestedReductionKw": None,
        "venCount": None,
        **more,
    }


async def test_the_network_is_the_sum_over_vens_of_each_vens_mean(api: Client, database: Database) -> None:
    # a: mean of 2 and 4 is 3; b: 10. So 13 kW, for 5 minutes: 13 / 12 kWh.
    store(database, [R("a", NOON, 2), R("a", NOON + 60, 4, 1), R("b", NOON + 299, 10, 2)])
    assert await api.points(NETWORK) == [point(NOON, 13, 2.5, 1.083, venCount=2)]


async def test_a_larger_bucket_is_the_mean_over_base_buckets_that_have_data(
    api: Client, database: Database
) -> None:
    # 5-minute buckets: 12:00 has a + b = 6, 12:05 nothing, 12:10 has a = 3. Mean 4.5 kW of 1.5 VENs, over 10 minutes.
    store(database, [R("a", NOON, 2), R("b", NOON, 4), R("a", NOON + 600, 3)])
    assert await api.points(NETWORK, granularity="15m") == [point(NOON, 4.5, 0, 0.75, venCount=1.5)]


async def test_a_multiple_of_a_minute_has_minutes_as_base(api: Client, database: Database) -> None:
    # Minutes: 12:00 has 2, 12:01 has 6; 12:02 nothing. Mean 4 kW over 2 minutes.
    store(database, [R("a", NOON, 1), R("a", NOON + 30, 3), R("a", NOON + 60, 6)])
    assert await api.points(NETWORK, granularity="3m") == [point(NOON, 4, 0, 0.133, venCount=1)]
    assert await api.points("/api/vens/a/history", granularity="3m") == [point(NOON, 4, 0, 0.133)]


async def test_anything_else_is_its_own_base(api: Client, database: Database) -> None:
    # 30 s: 12:00:00 has (1 + 2) / 2, 12:00:30 has 3.
    store(database, [R("a", NOON, 1), R("a", NOON + 29, 2), R("a", NOON + 30, 3), R("b", NOON + 31, 3)])
    assert await api.points(NETWORK, granularity="30s") == [
        point(NOON, 1.5, 0, 0.013, venCount=1),
        point(NOON + 30, 6, 0, 0.05, venCount=2),
    ]
    assert await api.points("/api/vens/a/history", granularity="90s") == [point(NOON, 2, 0, 0.05)]


async def test_the_same_kilowatts_at_every_granularity(api: Client, database: Database) -> None:
    store(database, [R("a", NOON + s, 4, 1) for s in range(0, 2 * HOUR, 30)])
    for granularity in ("30s", "1m", "7m", "5m", "15m", "1h", "1d"):
        for path in (NETWORK, "/api/vens/a/history"):
            points = await api.points(path, granularity=granularity)
            assert {(found["usedPowerKw"], found["shedPowerKw"]) for found in points} == {(4, 1)}
            assert sum(found["usedEnergyKwh"] for found in points) == pytest.approx(
                8, abs=0.0005 * len(points)
            )


async def test_the_energies_of_vens_add_up_to_the_networks(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 12), R("b", NOON, 24), R("b", NOON + 300, 36)])
    energies = [
        (await api.points(path, granularity="1h"))[0]["usedEnergyKwh"]
        for path in (NETWORK, "/api/vens/a/history", "/api/vens/b/history")
    ]
    assert energies == [6, 1, 5]


async def test_a_load_has_the_mean_of_its_samples(api: Client, database: Database) -> None:
    store(
        database,
        [R("a", NOON, 9, loads=(("l", 1, 0.5), ("m", 7, 0))), R("a", NOON + 60, 9, loads=(("l", 2, 0),))],
    )
    path = "/api/vens/a/loads/l/history"
    assert await api.points(path) == [point(NOON, 1.5, 0.25, 0.125)]
    assert await api.points(path, granularity="1m") == [
        point(NOON, 1, 0.5, 0.017),
        point(NOON + 60, 2, 0, 0.033),
    ]
    assert await api.points(path, granularity="20s") == [
        point(NOON, 1, 0.5, 0.006),
        point(NOON + 60, 2, 0, 0.011),
    ]


async def test_what_an_event_asks_for(api: Client, database: Database) -> None:
    # a asks 4 and 6 within an event, 100 outside of it; b asks 3. Network in 12:00: 5 + 3. In 12:05 nobody asks.
    store(
        database,
        [
            R("a", NOON, 1, 0, 4, "dr-1"),
            R("a", NOON + 60, 1, 0, 6, "dr-2"),
            R("a", NOON + 120, 1, 0, 100, None),
            R("b", NOON, 1, 0, 3, "DR-9"),
            R("a", NOON + 300, 1, 0, 50),
            R("a", NOON + 600, 1, 0, None, "dr-1"),
            R("a", NOON + 900, 1, 0, 2, "dr-0"),
        ],
    )
    found = [(p["eventId"], p["requestedReductionKw"]) for p in await api.points(NETWORK)]
    assert found == [("dr-2", 8), (None, None), ("dr-1", None), ("dr-0", 2)]
    # Of a larger bucket: the mean over the base buckets that have one.
    assert [
        (p["eventId"], p["requestedReductionKw"]) for p in await api.points(NETWORK, granularity="1h")
    ] == [("dr-2", 5)]
    assert [(p["eventId"], p["requestedReductionKw"]) for p in await api.points("/api/vens/a/history")] == [
        ("dr-2", 5), (None, None), ("dr-1", None), ("dr-0", 2),
    ]  # fmt: skip


async def test_generation_is_negative_and_zero_has_no_sign(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, -2), R("b", NOON + 300, -0.0001)])
    answer = await api.get(NETWORK)
    assert [p["usedPowerKw"] for p in answer.json()["points"]] == [-2, 0]
    assert "-0.0" not in answer.text.replace("-2.0", "").replace("-0.167", "")


async def test_start_is_floored_end_is_ceiled_and_excluded(api: Client, database: Database) -> None:
    store(database, [R("a", NOON + 300 * n, n) for n in range(6)])
    points = await api.points(NETWORK, start=iso(NOON + 599), end=iso(NOON + 901))
    assert [p["timestamp"] for p in points] == [iso(NOON + 300), iso(NOON + 600), iso(NOON + 900)]
    points = await api.points("/api/vens/a/history", start=iso(NOON + 600), end=iso(NOON + 900))
    assert [p["usedPowerKw"] for p in points] == [2]


async def test_a_time_may_have_an_offset_and_none_means_utc(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1), R("a", NOON + HOUR, 2)])
    for start in ("2026-07-10T15:00:00+02:00", "2026-07-10T13:00", "2026-07-10T13:00:00Z"):
        assert [p["usedPowerKw"] for p in await api.points(NETWORK, start=start)] == [2]


async def test_without_start_and_end_it_is_all_that_is_stored(api: Client, database: Database) -> None:
    store(database, [R("a", NOON - 3 * DAY, 1), R("a", NOON, 2), R("b", NOON + DAY, 3, loads=(("l", 1, 0),))])
    for path, values in (
        (NETWORK, [1, 2, 3]),
        ("/api/vens/a/history", [1, 2]),
        ("/api/vens/b/loads/l/history", [1]),
    ):
        for granularity in ("5m", "1m", "1d"):
            points = await api.points(path, granularity=granularity)
            assert [p["usedPowerKw"] for p in points] == values


async def test_nothing_stored_is_no_points(api: Client, database: Database) -> None:
    answer = await api.get(NETWORK)
    assert answer.json() == {"points": [], "granularity": "5m"}
    store(database, [R("a", NOON, 1)])
    for span in (
        {"start": iso(NOON + DAY)},
        {"end": iso(NOON - DAY)},
        {"start": iso(NOON + DAY), "end": iso(NOON + 2 * DAY)},
    ):
        assert await api.points(NETWORK, **span) == []
        assert await api.points("/api/vens/a/history", **span, fill="none") == []


async def test_a_ven_or_a_load_that_was_never_heard_of_is_not_found(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1, loads=(("l", 1, 0),))])
    assert "ven-101" in await api.detail(404, "/api/vens/ven-101/history")
    assert "'b'" in await api.detail(404, "/api/vens/b/loads/l/history")
    assert "'m'" in await api.detail(404, "/api/vens/a/loads/m/history")
    assert await api.detail(404, "/api/vens/a%00/history")
    assert await api.detail(404, "/api/vens/a/loads/%00/history")


async def test_a_load_that_is_listed_no_more_keeps_its_history(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1, loads=(("l", 1, 0),)), R("a", NOON + 60, 1, loads=(("m", 2, 0),))])
    assert await api.detail(404, "/api/vens/a/loads/l")
    assert [p["usedPowerKw"] for p in await api.points("/api/vens/a/loads/l/history")] == [1]


async def test_days_with_a_time_zone_begin_at_its_midnight(api: Client, database: Database) -> None:
    # 2026-03-29 in Berlin is 23 hours long: from 28th 23:00Z to 29th 22:00Z.
    midnight = 1_774_738_800
    assert iso(midnight) == "2026-03-28T23:00:00Z"
    store(
        database,
        [
            R("a", midnight - 1, 1),
            R("a", midnight, 2),
            R("a", midnight + 23 * HOUR - 1, 4),
            R("a", midnight + 23 * HOUR, 8, loads=(("l", 5, 0),)),
        ],
    )
    zone = {"granularity": "1d", "timezone": "Europe/Berlin"}
    for path in (NETWORK, "/api/vens/a/history"):
        points = await api.points(path, **zone)
        assert [(p["timestamp"], p["usedPowerKw"]) for p in points] == [
            ("2026-03-27T23:00:00Z", 1), ("2026-03-28T23:00:00Z", 3), ("2026-03-29T22:00:00Z", 8),
        ]  # fmt: skip
    assert [p["timestamp"] for p in await api.points("/api/vens/a/loads/l/history", **zone)] == [
        "2026-03-29T22:00:00Z"
    ]
    assert [p["usedPowerKw"] for p in await api.points(NETWORK, granularity="1d")] == [1.5, 6]
    assert len(await api.points(NETWORK, granularity="12h", timezone="Europe/Berlin")) == 2


async def test_a_long_day_has_the_energy_of_25_hours(api: Client, database: Database) -> None:
    # 2026-10-25 in Berlin, at 2 kW all day.
    midnight = 1_792_879_200
    assert iso(midnight) == "2026-10-24T22:00:00Z"
    store(database, [R("a", midnight + s, 2) for s in range(0, 25 * HOUR, 300)])
    points = await api.points(NETWORK, granularity="1d", timezone="Europe/Berlin")
    assert [(p["timestamp"], p["usedEnergyKwh"]) for p in points] == [("2026-10-24T22:00:00Z", 50)]


async def test_fill(api: Client, database: Database) -> None:
    store(database, [R("a", NOON + 300, 6, 1, 2, "dr"), R("a", NOON + 900, 12)])
    span = {"start": iso(NOON), "end": iso(NOON + 1200)}
    full = point(NOON + 300, 6, 1, 0.5, eventId="dr", requestedReductionKw=2, venCount=1)
    last = point(NOON + 900, 12, 0, 1, venCount=1)
    empty = dict.fromkeys(full)
    assert await api.points(NETWORK, **span) == [full, last]
    assert await api.points(NETWORK, **span, fill="null") == [
        {**empty, "timestamp": iso(NOON)}, full, {**empty, "timestamp": iso(NOON + 600)}, last,
    ]  # fmt: skip
    assert await api.points(NETWORK, **span, fill="locf") == [
        {**empty, "timestamp": iso(NOON)}, full, {**full, "timestamp": iso(NOON + 600), "usedEnergyKwh": 0}, last,
    ]  # fmt: skip
    assert [p["usedPowerKw"] for p in await api.points("/api/vens/a/history", fill="null")] == [6, None, 12]
    assert [p["usedPowerKw"] for p in await api.points(NETWORK, fill="null", granularity="1m")][:3] == [
        6,
        None,
        None,
    ]


async def test_csv_by_parameter_or_header(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 6, 1, 2, 'dr "1", x'), R("a", NOON + 300, 12)])
    by_parameter = await api.get(NETWORK, params={"format": "csv"})
    by_header = await api.get(NETWORK, headers={"Accept": "text/csv"})
    assert by_parameter.headers["content-type"] == "text/csv; charset=utf-8"
    assert by_parameter.headers["x-granularity"] == "5m"
    assert by_parameter.content == by_header.content
    rows = list(csv.reader(io.StringIO(by_parameter.text)))
    header = "timestamp,usedPowerKw,shedPowerKw,usedEnergyKwh,eventId,requestedReductionKw,venCount"
    assert rows == [
        header.split(","),
        ["2026-07-10T12:00:00Z", "6.0", "1.0", "0.5", 'dr "1", x', "2.0", "1"],
        ["2026-07-10T12:05:00Z", "12.0", "0.0", "1.0", "", "", "1"],
    ]
    assert "granularity" in await api.detail(400, f"{NETWORK}?format=csv&granularity=0m")


async def test_the_granularity_of_the_answer_is_the_one_asked_for(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1)])
    assert (await api.get(f"{NETWORK}?granularity=60m")).json()["granularity"] == "60m"


async def test_without_granularity_the_server_takes_the_finest_that_fits(
    api: Client, database: Database
) -> None:
    store(database, [R("a", NOON, 1), R("a", NOON + 40 * DAY, 2)])
    answer = (await api.get(NETWORK)).json()
    assert (answer["granularity"], [p["usedPowerKw"] for p in answer["points"]]) == ("15m", [1, 2])


async def test_more_than_11000_points_are_refused_with_the_finest_that_fits(
    api: Client, database: Database
) -> None:
    store(database, [R("a", NOON, 1, loads=(("l", 1, 0),))])
    month = {"start": iso(NOON), "end": iso(NOON + 30 * DAY)}
    for path in (NETWORK, "/api/vens/a/history", "/api/vens/a/loads/l/history"):
        detail = await api.detail(400, path, params={**month, "granularity": "1m"})
        assert detail.startswith("granularity: 1m asks for 43200 points, more than 11000")
        assert detail.endswith("the finest that fits is 5m")
    full = {"start": iso(NOON), "end": iso(NOON + 11_000 * 60), "granularity": "1m", "fill": "null"}
    assert len(await api.points(NETWORK, **full)) == 11_000


async def test_raw_granularities_have_shorter_ranges(api: Client, database: Database) -> None:
    store(database, [R("a", NOON, 1, loads=(("l", 1, 0),))])
    for path, hours in ((NETWORK, 6), ("/api/vens/a/history", 48), ("/api/vens/a/loads/l/history", 48)):
        fits = {"start": iso(NOON), "end": iso(NOON + hours * HOUR), "granularity": "20s"}
        assert [p["usedPowerKw"] for p in await api.points(path, **fits)] == [1]
        detail = await api.detail(400, path, params={**fits, "end": iso(NOON + hours * HOUR + 1)})
        assert f"at most {hours}h" in detail
        assert detail.endswith("the finest that fits is 1m")


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
