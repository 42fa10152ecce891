"""The present fleet: which VENs are online, and sums over them, computed by hand."""

import asyncio
from collections.abc import AsyncIterator
from copy import copy
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.telemetry import queries
from api.telemetry.live import Network
from api.telemetry.shared_result import Shared
from api.telemetry.stats import LastNetworkStats
from api.telemetry.totals import LoadTotals
from shared.config import Dashboard, Database
from tests.support.api_client import Client, serving
from tests.support.api_data import ago, load, roll_up, sample, store, ven
from tests.support.model import R


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Client]:
    async with serving(database, dashboard=Dashboard(ven_offline_after=60)) as client:
        yield client


async def network(api: Client) -> dict[str, Any]:
    answer = await api.get("/api/stats/network")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_without_vens_all_is_nothing(api: Client) -> None:
    assert await network(api) == {
        "venCount": 0,
        "controllablePowerKw": 0,
        "potentialLoadReductionKw": 0,
        "householdUsageKw": 0,
        "onlineVens": 0,
        "currentLoadReductionKw": 0,
        "networkEfficiency": None,
        "averageHousePower": None,
        "totalHousePowerToday": 0,
    }
    assert (await api.get("/api/stats/loads")).json() == []


async def test_sums_are_over_online_vens(api: Client, database: Database) -> None:
    ven(database, "a", used_power_kw=5, shed_power_kw=1, requested_reduction_kw=4)
    ven(database, "b", used_power_kw=-2, shed_power_kw=0.5)
    ven(database, "snapshots-only", last_seen_at=None)
    ven(
        database,
        "silent",
        last_seen_at=ago(61),
        used_power_kw=100,
        shed_power_kw=100,
        requested_reduction_kw=100,
    )
    found = await network(api)
    assert (found["venCount"], found["onlineVens"]) == (4, 2)
    assert (found["householdUsageKw"], found["currentLoadReductionKw"]) == (3, 1.5)
    assert found["averageHousePower"] == 1.5
    # 1.5 kW delivered of 4 kW requested.
    assert found["networkEfficiency"] == 37.5


async def test_while_nothing_is_requested_there_is_no_efficiency(api: Client, database: Database) -> None:
    ven(database, "a", shed_power_kw=1, requested_reduction_kw=0)
    assert (await network(api))["networkEfficiency"] is None


@pytest.mark.parametrize(
    ("alive", "offline", "online"),
    [
        (0, None, True),
        (20, 10, False),
        (10, 20, True),
        (61, None, False),
        (None, None, False),
        (None, 1, False),
    ],
)
async def test_who_is_online(
    api: Client, database: Database, alive: float | None, offline: float | None, online: bool
) -> None:
    signs = {"last_seen_at": alive, "offline_at": offline}
    ven(database, "a", **{name: None if age is None else ago(age) for name, age in signs.items()})
    assert (await network(api))["onlineVens"] == int(online)


async def test_the_word_of_a_status_does_not_decide(api: Client, database: Database) -> None:
    ven(database, "a", status="offline", status_at=ago(0))
    assert (await network(api))["onlineVens"] == 1


@pytest.mark.parametrize(
    ("age", "arrived", "lateness", "counts"),
    [
        (59, 0, None, True),
        (999, 20, None, True),
        (999, 70, None, False),
        # Its readings are never late, so this is one of a backlog.
        (999, 5, 1, False),
        (999, 5, 990, True),
    ],
)
async def test_whose_power_counts(
    api: Client, database: Database, age: float, arrived: float, lateness: float | None, counts: bool
) -> None:
    times = {"telemetry_ts": ago(age), "telemetry_received_at": ago(arrived), "lateness": lateness}
    ven(database, "a", used_power_kw=5, **times)
    ven(database, "b", used_power_kw=3)
    found = await network(api)
    assert found["onlineVens"] == 2
    assert found["householdUsageKw"] == (8 if counts else 3)
    assert found["averageHousePower"] == (4 if counts else 3)


async def test_an_offline_status_and_a_sign_of_life_at_one_instant(api: Client, database: Database) -> None:
    moment = ago(10)
    ven(database, "a", last_seen_at=moment, offline_at=moment)
    assert (await network(api))["onlineVens"] == 0


async def test_loads_by_type(api: Client, database: Database) -> None:
    now = ago(10)
    for name in ("a", "b"):
        ven(database, name, loads_ts=now)
    ven(database, "away", loads_ts=now, last_seen_at=ago(2), offline_at=ago(1))
    sample(database, "a", "1", now, load_type="ev", used_power_kw=3, capacity_kw=7, shed_capability_kw=2)
    sample(database, "a", "2", now, load_type="solar", used_power_kw=-4, capacity_kw=6, shed_capability_kw=0)
    sample(database, "a", "3", now, used_power_kw=1)
    sample(database, "a", "old", ago(20), load_type="ev", used_power_kw=50)
    sample(database, "b", "1", now, load_type="ev", used_power_kw=1, shed_power_kw=0.5)
    sample(
        database, "away", "1", now, load_type="ev", used_power_kw=100, capacity_kw=100, shed_capability_kw=100
    )
    load(
        database,
        "b",
        "2",
        sampled=False,
        snapshot_ts=ago(5),
        load_type="ac",
        capacity_kw=3,
        shed_capability_kw=1,
    )
    answer = await api.get("/api/stats/loads")
    assert answer.json() == [
        {"type": "ac", "totalCapacityKw": 3, "totalShedCapabilityKw": 1, "currentUsageKw": 0},
        # 7 and, estimated, 1 + 0.5.
        {"type": "ev", "totalCapacityKw": 8.5, "totalShedCapabilityKw": 2.5, "currentUsageKw": 4},
        {"type": "solar", "totalCapacityKw": 6, "totalShedCapabilityKw": 0, "currentUsageKw": 0},
        {"type": "unknown", "totalCapacityKw": 1, "totalShedCapabilityKw": 0, "currentUsageKw": 1},
    ]
    found = await network(api)
    # Of those that can shed: 7 + 1.5 + 3.
    assert (found["controllablePowerKw"], found["potentialLoadReductionKw"]) == (11.5, 3.5)


async def test_generation_takes_nothing_from_the_usage_of_its_type(api: Client, database: Database) -> None:
    now = ago(10)
    ven(database, "a", loads_ts=now)
    sample(database, "a", "1", now, load_type="battery", used_power_kw=3, capacity_kw=5)
    sample(database, "a", "2", now, load_type="battery", used_power_kw=-4, capacity_kw=5)
    assert (await api.get("/api/stats/loads")).json()[0]["currentUsageKw"] == 3


def local_midnight(zone: str) -> tuple[int, int]:
    """Midnight of today, and now, in s."""
    now = datetime.now(ZoneInfo(zone))
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    return round(midnight.timestamp()), int(now.timestamp())


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/Los_Angeles"])
async def test_the_energy_of_today_begins_at_local_midnight(database: Database, zone: str) -> None:
    midnight, now = local_midnight(zone)
    # Yesterday 12 kW, which end with the first reading of today; of which 12 kW speak for 16 minutes, or until now.
    store(database, [R("a", midnight - 500, 12), R("a", midnight, 3.6), R("b", midnight - 1000, 24)])
    spoken = min(960, now - midnight)
    async with serving(database, dashboard=Dashboard(dashboard_timezone=zone)) as api:
        for until in (midnight - 200, midnight + 10, midnight + 333, midnight + 900, now):
            await roll_up(database, min(until, now))
            today = (await network(api))["totalHousePowerToday"]
            assert spoken / 1000 <= today <= (spoken + 30) / 1000


async def test_the_energy_of_today_right_after_midnight(database: Database) -> None:
    # In the zone where it is now the first hour of the day. Its name has the sign the other way round.
    hour = datetime.now(UTC).hour
    zone = f"Etc/GMT{hour if hour <= 12 else hour - 24:+d}"
    midnight, now = local_midnight(zone)
    store(database, [R("a", ts, 3.6) for ts in range(midnight - 3600, now, 60)])
    async with serving(database, dashboard=Dashboard(dashboard_timezone=zone)) as api:
        seen = []
        for until in (midnight, (midnight + now) // 2, now):
            seen.append((await network(api))["totalHousePowerToday"])
            await roll_up(database, until)
        assert seen == sorted(seen)
        assert all((now - midnight) / 1000 - 1e-6 <= today <= (now - midnight + 30) / 1000 for today in seen)


async def test_however_many_ask_the_totals_are_computed_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Shared.__init__.__kwdefaults__, "fresh", 60.0)  # type: ignore[arg-type]  # it has defaults
    computed: list[str] = []

    def counting(name: str) -> None:
        compute = getattr(queries, name)

        async def counted(*args: Any) -> Any:
            computed.append(name)
            return await compute(*args)

        monkeypatch.setattr(queries, name, counted)

    counting("load_totals")
    counting("network_live")
    async with serving(database) as api:
        paths = ["/api/stats/loads", "/api/stats/network", "/api/stats/network/history"] * 10
        answers = await asyncio.gather(*(api.get(path) for path in paths))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(computed) == ["load_totals", "network_live"]


def test_its_answer_is_made_again_when_a_figure_is_renewed() -> None:
    last, now = LastNetworkStats(), datetime.now(UTC)
    fleet: Any = {"vens": 1, "online": 1, "used_kw": 2.0, "shed_kw": 0.5, "requested_kw": 1.0, "counted": 1}
    loads = [LoadTotals("hvac", 3.0, 1.0, 2.0, 3.0)]
    network = Network(now, now, [], 0, None, {})
    first = last.of(fleet, loads, network)
    assert last.of(fleet, loads, network) is first
    renewals: Any = (
        (dict(fleet), loads, network),
        (fleet, list(loads), network),
        (fleet, loads, copy(network)),
    )
    for renewed in renewals:
        assert last.of(*renewed) is not first
        first = last.of(*renewed)
    online: Any = {**fleet, "online": 7}
    assert b'"onlineVens":7' in last.of(online, loads, network).body
