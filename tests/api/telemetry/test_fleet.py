"""The VENs heard of, and the admin endpoints when they list these."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.config import Dashboard, Database
from tests.support.api_client import Client, serving
from tests.support.api_data import ago, sample, ven


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Client]:
    async with serving(database, dashboard=Dashboard(ven_offline_after=60)) as client:
        yield client


@pytest.fixture
async def live(database: Database) -> AsyncIterator[Client]:
    async with serving(database, dashboard=Dashboard(vens_source="telemetry")) as client:
        yield client


async def page(api: Client, query: str = "") -> tuple[list[str], int, str | None]:
    found: dict[str, Any] = (await api.get(f"/api/fleet{query}")).json()
    return [each["id"] for each in found["vens"]], found["total"], found["next"]


async def test_vens_come_page_by_page_by_id(api: Client, database: Database) -> None:
    for name in ("b", "a-2", "c", "a-1"):
        ven(database, name)
    assert await page(api) == (["a-1", "a-2", "b", "c"], 4, None)
    assert await page(api, "?limit=2") == (["a-1", "a-2"], 4, "a-2")
    assert await page(api, "?limit=2&after=a-2") == (["b", "c"], 4, None)
    assert await page(api, "?prefix=a-") == (["a-1", "a-2"], 2, None)
    assert await page(api, "?prefix=%25") == ([], 0, None)
    assert await page(api, "?prefix=a%00") == ([], 0, None)
    assert await page(api, "?after=a-2%00x") == (["b", "c"], 4, None)


async def test_vens_are_asked_for_by_whether_they_are_online(api: Client, database: Database) -> None:
    ven(database, "on")
    ven(database, "off", last_seen_at=ago(20), offline_at=ago(10))
    ven(database, "silent", last_seen_at=ago(61))
    ven(database, "loads only", last_seen_at=None)
    assert await page(api, "?online=true") == (["on"], 1, None)
    assert await page(api, "?online=false") == (["loads only", "off", "silent"], 3, None)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "online=yes", "offset=3"])
async def test_what_the_fleet_does_not_take_is_refused(api: Client, query: str) -> None:
    assert query.partition("=")[0] in await api.detail(400, f"/api/fleet?{query}")


async def test_one_ven_with_its_loads(api: Client, database: Database) -> None:
    seen, now = ago(5), ago(1)
    shown = {
        "used_power_kw": 1.23456,
        "battery_soc": 0.5,
        "event_id": "e/1",
        "status": "ready",
        "status_at": now,
    }
    ven(database, "v", last_seen_at=seen, loads_ts=now, **shown)
    sample(database, "v", "panel/1", now, used_power_kw=1)
    one = (await api.get("/api/fleet/v")).json()
    assert (one["online"], one["usedPowerKw"], one["shedPowerKw"], one["batterySoc"]) == (
        True,
        1.235,
        None,
        0.5,
    )
    assert (one["status"], one["eventId"], one["loadCount"]) == ("ready", "e/1", 1)
    assert one["lastSeen"] == seen.isoformat().replace("+00:00", "Z")
    assert [load["id"] for load in one["loads"]] == ["panel/1"]
    assert "'w'" in await api.detail(404, "/api/fleet/w")


async def test_a_slash_in_the_id_of_a_load_is_written_as_2f(api: Client, database: Database) -> None:
    now = ago(1)
    ven(database, "v", loads_ts=now)
    for name in ("panel/1", "a%2Fb"):
        sample(database, "v", name, now, used_power_kw=1)
    assert (await api.get("/api/vens/v/loads/panel%2F1")).json()["id"] == "panel/1"
    assert (await api.get("/api/vens/v/loads/panel%2f1/")).json()["id"] == "panel/1"
    assert (await api.get("/api/vens/v/loads/a%252Fb")).json()["id"] == "a%2Fb"
    assert "'x/y'" in await api.detail(404, "/api/vens/v/loads/x%2Fy")
    assert "/api/a/b" in await api.detail(404, "/api/a%2Fb")


async def test_a_404_of_a_ven_that_sent_messages_names_the_fleet(api: Client, database: Database) -> None:
    ven(database, "site 1")
    for method in ("GET", "DELETE"):
        assert "GET /api/fleet/site%201 shows it" in await api.detail(404, "/api/vens/site 1", method)
    assert "fleet" not in await api.detail(404, "/api/vens/nobody")


async def test_with_vens_from_telemetry_those_heard_of_are_listed(live: Client, database: Database) -> None:
    now = ago(1)
    ven(database, "ven-101", loads_ts=now, used_power_kw=7.5, event_id="e", status="maintenance")
    sample(
        database, "ven-101", "l", now, load_type="ev", used_power_kw=3, capacity_kw=7, shed_capability_kw=2
    )
    ven(database, "site-8", status="asleep")
    ven(database, "site-9", last_seen_at=ago(9999), status="online")
    vens = (await live.get("/api/vens")).json()
    assert [(v["id"], v["name"], v["status"]) for v in vens] == [
        ("site-8", "site-8", "online"),
        ("site-9", "site-9", "offline"),
        ("ven-101", "Main Street Facility", "maintenance"),
    ]
    assert vens[2]["metrics"] == {
        "currentPowerKw": 7.5,
        "shedAvailabilityKw": 2,
        "activeEventId": "e",
        "shedLoadIds": [],
    }
    assert (await live.get("/api/vens/ven-101")).json() == vens[2]
    summary = (await live.get("/api/vens/summary")).json()[2]
    assert (summary["location"], summary["controllablePower"]) == ("San Francisco, CA", 2)
    await live.detail(404, "/api/vens/ven-102")


async def test_changes_to_vens_from_telemetry_live_in_memory(live: Client, database: Database) -> None:
    ven(database, "site-8")
    ven(database, "site-9")
    assert (await live.patch("/api/vens/site-8", json={"name": "Eight"})).json()["name"] == "Eight"
    assert (await live.get("/api/vens/site-8")).json()["name"] == "Eight"
    assert (await live.delete("/api/vens/site-9")).status_code == 204
    await live.detail(404, "/api/vens/site-9")
    made = await live.post("/api/vens", json={"name": "New", "location": {"lat": 1, "lon": 2}})
    assert [v["name"] for v in (await live.get("/api/vens")).json()] == ["Eight", "New"]
    assert (await live.get(f"/api/vens/{made.json()['id']}")).status_code == 200
