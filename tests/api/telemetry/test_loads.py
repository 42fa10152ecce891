"""The loads of a VEN now: what telemetry lists, what snapshots know better, and what is estimated."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.config import Database
from tests.support.api_client import Client, serving
from tests.support.api_data import ago, load, sample, store, ven
from tests.support.model import R

# The latest telemetry that lists loads; before it and after it.
NOW, BEFORE, AFTER = ago(600), ago(900), ago(300)


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Client]:
    ven(database, "a", telemetry_ts=NOW, loads_ts=NOW)
    async with serving(database) as client:
        yield client


async def loads(api: Client, of: str = "a") -> list[dict[str, Any]]:
    answer = await api.get(f"/api/vens/{of}/loads")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    for one in found:
        assert (await api.get(f"/api/vens/{of}/loads/{one['id']}")).json() == one
    return found


async def only(api: Client) -> dict[str, Any]:
    (found,) = await loads(api)
    return found


async def test_they_are_the_samples_of_the_latest_list_by_id(api: Client, database: Database) -> None:
    sample(database, "a", "old", BEFORE, used_power_kw=1)
    sample(database, "b", "other", NOW, used_power_kw=1)
    full = {
        "load_type": "ev",
        "name": "Plug",
        "shed_power_kw": 9,
        "shed_capability_kw": 3,
        "capacity_kw": 7.4,
    }
    sample(database, "a", "l2", NOW, used_power_kw=3.1419, **full)
    sample(database, "a", "l10", NOW, used_power_kw=-2, capacity_kw=6, shed_capability_kw=0)
    assert await loads(api) == [
        {"id": "l10", "type": None, "name": None, "capacityKw": 6, "shedCapabilityKw": 0, "currentPowerKw": -2},
        {"id": "l2", "type": "ev", "name": "Plug", "capacityKw": 7.4, "shedCapabilityKw": 3, "currentPowerKw": 3.142},
    ]  # fmt: skip


async def test_a_later_reading_without_a_list_leaves_them(api: Client, database: Database) -> None:
    sample(database, "a", "l", NOW, used_power_kw=1)
    store(database, [R("a", round(AFTER.timestamp()), 5, loads=None)])
    assert (await only(api))["currentPowerKw"] == 1


async def test_what_a_sample_does_not_say_is_taken_from_what_is_known(
    api: Client, database: Database
) -> None:
    sample(database, "a", "l", NOW, used_power_kw=1, shed_power_kw=0.5)
    load(database, "a", "l", ts=BEFORE, load_type="ac", name="Air", capacity_kw=3.5, snapshot_ts=BEFORE,
         shed_capability_kw=2, used_power_kw=99)  # fmt: skip
    assert await only(api) == {
        "id": "l", "type": "ac", "name": "Air", "capacityKw": 3.5, "shedCapabilityKw": 2, "currentPowerKw": 1,
    }  # fmt: skip


async def test_what_a_sample_says_beats_an_older_snapshot(api: Client, database: Database) -> None:
    sample(
        database,
        "a",
        "l",
        NOW,
        used_power_kw=1,
        load_type="ev",
        name="New",
        capacity_kw=7,
        shed_capability_kw=4,
    )
    known = {"load_type": "ac", "name": "Old", "capacity_kw": 3, "shed_capability_kw": 2, "used_power_kw": 9}
    load(database, "a", "l", ts=NOW, snapshot_ts=NOW, **known)
    assert await only(api) == {
        "id": "l", "type": "ev", "name": "New", "capacityKw": 7, "shedCapabilityKw": 4, "currentPowerKw": 1,
    }  # fmt: skip


async def test_a_strictly_newer_snapshot_beats_a_sample_field_by_field(
    api: Client, database: Database
) -> None:
    sample(
        database,
        "a",
        "l",
        NOW,
        used_power_kw=1,
        load_type="ev",
        name="Old",
        capacity_kw=7,
        shed_capability_kw=4,
    )
    load(database, "a", "l", ts=AFTER, snapshot_ts=AFTER, name="New", shed_capability_kw=0, used_power_kw=2)
    assert await only(api) == {
        "id": "l", "type": "ev", "name": "New", "capacityKw": 7, "shedCapabilityKw": 0, "currentPowerKw": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "there"),
    [
        ({"sampled": False, "snapshot_ts": BEFORE}, True),
        ({"sampled": True, "snapshot_ts": BEFORE}, False),
        ({"sampled": True, "snapshot_ts": NOW}, False),
        ({"sampled": True, "snapshot_ts": AFTER}, True),
        ({"sampled": True}, False),
    ],
)
async def test_loads_known_only_from_snapshots(
    api: Client, database: Database, columns: dict[str, Any], there: bool
) -> None:
    load(database, "a", "l", used_power_kw=2, **columns)
    assert [(one["id"], one["currentPowerKw"]) for one in await loads(api)] == ([("l", 2)] if there else [])
    assert (await api.get("/api/vens/a/loads/l")).status_code == (200 if there else 404)


async def test_a_ven_that_never_listed_loads_has_its_snapshots_ones(api: Client, database: Database) -> None:
    ven(database, "s")
    load(database, "s", "l", sampled=True, snapshot_ts=BEFORE, load_type="ev", capacity_kw=7)
    assert await loads(api, "s") == [
        {"id": "l", "type": "ev", "name": None, "capacityKw": 7, "shedCapabilityKw": 0, "currentPowerKw": 0}
    ]


@pytest.mark.parametrize(
    ("columns", "capacity", "capability"),
    [
        ({}, 3, 0),
        ({"shed_power_kw": 1}, 4, 1),
        ({"shed_capability_kw": 2, "shed_power_kw": 1}, 5, 2),
        ({"capacity_kw": 7}, 7, 0),
        ({"capacity_kw": 7, "shed_power_kw": 1}, 7, 1),
        ({"capacity_kw": 0, "shed_capability_kw": 0, "shed_power_kw": 1}, 0, 0),
    ],
)
async def test_what_nobody_says_is_estimated(
    api: Client, database: Database, columns: dict[str, float], capacity: float, capability: float
) -> None:
    sample(database, "a", "l", NOW, used_power_kw=3, **columns)
    found = await only(api)
    assert (found["capacityKw"], found["shedCapabilityKw"]) == (capacity, capability)


async def test_a_ven_without_loads_differs_from_an_unknown_ven(api: Client) -> None:
    assert await loads(api) == []
    assert "'l'" in await api.detail(404, "/api/vens/a/loads/l")
    for unknown in ("ven-101", "A", "a%00"):
        assert "venId" in await api.detail(404, f"/api/vens/{unknown}/loads")
        assert "venId" in await api.detail(404, f"/api/vens/{unknown}/loads/l")
