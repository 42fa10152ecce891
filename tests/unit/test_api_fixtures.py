"""The admin endpoints: what they serve, how it changes, and that nothing but a request changes it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api_client import Client, serving

LOCATION = {"lat": 53.54, "lon": 9.98}
EVENT = {"startTime": "2030-07-11T16:00:00Z", "endTime": "2030-07-11T18:00:00Z", "requestedReductionKw": 5}


@pytest.fixture
async def api() -> AsyncIterator[Client]:
    async with serving() as client:
        yield client


async def test_three_vens_and_their_loads_are_there_at_start(api: Client) -> None:
    vens = (await api.get("/api/vens")).json()
    assert [(ven["id"], ven["name"], ven["status"]) for ven in vens] == [
        ("ven-101", "Main Street Facility", "online"),
        ("ven-102", "Riverside Plant", "online"),
        ("ven-103", "Hilltop Campus", "maintenance"),
    ]
    assert [[(load["id"], load["type"]) for load in ven["loads"]] for ven in vens] == [
        [("ld-101-a", "hvac"), ("ld-101-b", "ev")],
        [("ld-102-a", "washer_dryer"), ("ld-102-b", "ac")],
        [("ld-103-a", "pool_heater"), ("ld-103-b", "solar")],
    ]


async def test_metrics_and_summary_are_the_sums_of_the_loads(api: Client) -> None:
    ven = (await api.get("/api/vens/ven-101")).json()
    summary = (await api.get("/api/vens/summary")).json()[0]
    assert ven["metrics"] == {
        "currentPowerKw": 10.2,
        "shedAvailabilityKw": 9.0,
        "activeEventId": None,
        "shedLoadIds": [],
    }
    assert (summary["id"], summary["currentPower"], summary["controllablePower"]) == ("ven-101", 10.2, 9.0)
    assert summary["location"] == "San Francisco, CA"


async def test_a_ven_from_its_making_to_its_end(api: Client) -> None:
    made = await api.post("/api/vens", json={"name": "Harbour Office", "location": LOCATION})
    ven = made.json()
    assert made.status_code == 201
    assert made.headers["location"] == "/api/vens/ven-104"
    assert ven == {
        "id": "ven-104",
        "name": "Harbour Office",
        "status": "online",
        "location": LOCATION,
        "loads": [],
        "metrics": {"currentPowerKw": 0, "shedAvailabilityKw": 0, "activeEventId": None, "shedLoadIds": []},
    }
    changed = await api.patch("/api/vens/ven-104", json={"status": "maintenance"})
    assert changed.json() == {**ven, "status": "maintenance"}
    assert (await api.get("/api/vens/ven-104")).json() == changed.json()
    assert (await api.get("/api/vens/summary")).json()[-1]["location"] == "53.54, 9.98"
    gone = await api.delete("/api/vens/ven-104")
    assert (gone.status_code, gone.content) == (204, b"")
    assert "no VEN 'ven-104'" in await api.detail(404, "/api/vens/ven-104")
    assert (await api.delete("/api/vens/ven-104")).status_code == 404


async def test_a_deleted_id_is_never_given_again(api: Client) -> None:
    await api.delete("/api/vens/ven-103")
    new = {"name": "x", "location": LOCATION}
    assert (await api.post("/api/vens", json=new)).json()["id"] == "ven-104"
    await api.delete("/api/vens/ven-104")
    assert (await api.post("/api/vens", json=new)).json()["id"] == "ven-105"
    await api.delete("/api/events/evt-1")
    assert (await api.post("/api/events", json=EVENT)).json()["id"] == "evt-2"


async def test_a_change_of_nothing_changes_nothing(api: Client) -> None:
    before = (await api.get("/api/vens/ven-101")).json()
    assert (await api.patch("/api/vens/ven-101", json={})).json() == before


async def test_a_place_that_is_left_loses_its_label_and_address(api: Client) -> None:
    await api.patch("/api/vens/ven-101", json={"location": LOCATION})
    summary = (await api.get("/api/vens/summary")).json()[0]
    assert (summary["location"], summary["address"]) == ("53.54, 9.98", None)


async def test_changes_are_gone_with_the_process(api: Client) -> None:
    await api.patch("/api/vens/ven-101", json={"name": "Another"})
    async with serving() as restarted:
        assert (await restarted.get("/api/vens/ven-101")).json()["name"] == "Main Street Facility"


async def test_a_load_changes_and_with_it_what_its_ven_can_shed(api: Client) -> None:
    path = "/api/vens/ven-101/loads/ld-101-a"
    change = {"name": "Heating", "type": "heat_pump", "capacityKw": 6, "shedCapabilityKw": 0}
    load = (await api.patch(path, json=change)).json()
    assert load == {"id": "ld-101-a", "currentPowerKw": 3.0, **change}
    ven = (await api.get("/api/vens/ven-101")).json()
    assert ven["loads"][0] == load
    assert ven["metrics"]["shedAvailabilityKw"] == 7.2


async def test_a_load_that_was_told_to_shed_is_among_those_that_shed(api: Client) -> None:
    path = "/api/vens/ven-101/loads/ld-101-b/commands/shed"
    answer = await api.post(path, json={"amountKw": 2.5})
    assert answer.status_code == 202
    assert answer.json() == {"status": "accepted", "venId": "ven-101", "loadId": "ld-101-b", "amountKw": 2.5}
    assert (await api.get("/api/vens/ven-101")).json()["metrics"]["shedLoadIds"] == ["ld-101-b"]


@pytest.mark.parametrize("method", ["PATCH", "POST"])
@pytest.mark.parametrize("of", ["ven-101/loads/ld-9", "ven-9/loads/ld-101-a"])
async def test_a_load_that_is_not_there_is_not_found(api: Client, method: str, of: str) -> None:
    path = f"/api/vens/{of}" if method == "PATCH" else f"/api/vens/{of}/commands/shed"
    assert await api.detail(404, path, method, json={})


async def test_an_event_from_its_making_to_its_end(api: Client) -> None:
    made = await api.post("/api/events", json=EVENT)
    assert (made.status_code, made.headers["location"]) == (201, "/api/events/evt-2")
    event = {"id": "evt-2", "status": "scheduled", **EVENT, "actualReductionKw": 0}
    assert made.json() == event
    assert (await api.get("/api/events/evt-2")).json() == event
    assert [event["id"] for event in (await api.get("/api/events")).json()] == ["evt-1", "evt-2"]
    metrics = {"currentReductionKw": 0, "vensResponding": 0, "avgResponseMs": 0}
    assert (await api.get("/api/events/evt-2/metrics")).json() == metrics
    stopped = await api.post("/api/events/evt-2/stop")
    assert (stopped.status_code, stopped.json()) == (202, {"status": "stopping", "eventId": "evt-2"})
    assert (await api.get("/api/events/evt-2")).json() == {**event, "status": "completed"}
    assert "evt-2 is completed" in await api.detail(409, "/api/events/evt-2/stop", "POST")
    assert (await api.delete("/api/events/evt-2")).status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/metrics"), ("POST", "/stop")):
        assert "no event 'evt-2'" in await api.detail(404, f"/api/events/evt-2{path}", method)


async def test_the_current_event_is_the_next_scheduled_one_and_null_without_any(api: Client) -> None:
    sooner = {**EVENT, "startTime": "2029-01-01T00:00:00Z"}
    await api.post("/api/events", json=sooner)
    current = (await api.get("/api/events/current")).json()
    assert current["id"] == "evt-2"
    assert {"currentReductionKw", "vensResponding", "avgResponseMs"} <= set(current)
    await api.post("/api/events/evt-2/stop")
    assert (await api.get("/api/events/current")).json()["id"] == "evt-1"
    await api.delete("/api/events/evt-1")
    answer = await api.get("/api/events/current")
    assert (answer.status_code, answer.content) == (200, b"null")


async def test_no_status_follows_the_clock(api: Client) -> None:
    past = {**EVENT, "startTime": "2001-01-01T00:00:00Z", "endTime": "2001-01-01T01:00:00Z"}
    assert (await api.post("/api/events", json=past)).json()["status"] == "scheduled"
    assert (await api.get("/api/events/current")).json()["id"] == "evt-2"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["evt-1", "evt-2"]),
        ("?start=2030-07-11T17:00Z", ["evt-2"]),
        ("?end=2030-07-10T17:00Z", ["evt-1"]),
        ("?start=2030-07-10T18:00Z&end=2030-07-11T16:00Z", []),
        ("?start=2030-07-10T17:59Z&end=2030-07-11T16:01Z", ["evt-1", "evt-2"]),
        ("?start=2030-07-10T18:01:00%2B02:00&end=2030-07-10T18:02:00%2B02:00", ["evt-1"]),
    ],
)
async def test_the_history_of_events_is_those_that_overlap(api: Client, query: str, found: list[str]) -> None:
    await api.post("/api/events", json=EVENT)
    answer = await api.get(f"/api/events/history{query}")
    assert [event["id"] for event in answer.json()] == found


@pytest.mark.parametrize("query", ["start=soon", "start=2030-01-02&end=2030-01-01", "from=2030-01-01"])
async def test_a_history_of_events_refuses_what_it_does_not_understand(api: Client, query: str) -> None:
    assert query.partition("=")[0] in await api.detail(400, f"/api/events/history?{query}")


async def test_times_of_an_event_are_answered_in_utc(api: Client) -> None:
    body = {**EVENT, "startTime": "2030-07-11T16:00:00", "endTime": "2030-07-11T20:00:00+02:00"}
    event = (await api.post("/api/events", json=body)).json()
    assert (event["startTime"], event["endTime"]) == ("2030-07-11T16:00:00Z", "2030-07-11T18:00:00Z")


VEN: dict[str, Any] = {"name": "x", "location": LOCATION}


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/api/vens", {"location": LOCATION}, "name"),
        ("POST", "/api/vens", {**VEN, "name": ""}, "name"),
        ("POST", "/api/vens", {**VEN, "name": "  "}, "name"),
        ("POST", "/api/vens", {**VEN, "name": "x" * 129}, "name"),
        ("POST", "/api/vens", {**VEN, "name": 7}, "name"),
        ("POST", "/api/vens", {"name": "x"}, "location"),
        ("POST", "/api/vens", {**VEN, "location": {"lat": 90.1, "lon": 0}}, "location.lat"),
        ("POST", "/api/vens", {**VEN, "location": {"lat": 0, "lon": -181}}, "location.lon"),
        ("POST", "/api/vens", {**VEN, "location": {"lat": 0}}, "location.lon"),
        ("POST", "/api/vens", {**VEN, "location": {"lat": "1", "lon": 0}}, "location.lat"),
        ("POST", "/api/vens", {**VEN, "status": "offline"}, "status"),
        ("POST", "/api/vens", b'{"name": "x", "location": {"lat": NaN, "lon": 0}}', "location.lat"),
        ("POST", "/api/vens", b'{"name": "x", "location": {"lat": 1e999, "lon": 0}}', "location.lat"),
        ("POST", "/api/vens", b'{"name": "x", "location": {"lat": 0, "lon": -Infinity}}', "location.lon"),
        ("PATCH", "/api/vens/ven-101", {"name": None}, "name"),
        ("PATCH", "/api/vens/ven-101", {"status": "asleep"}, "status"),
        ("PATCH", "/api/vens/ven-101", {"nmae": "x"}, "nmae"),
        ("PATCH", "/api/vens/ven-101", {"location": {"lat": 100, "lon": 0}}, "location.lat"),
        ("PATCH", "/api/vens/ven-101/loads/ld-101-a", {"capacityKw": -1}, "capacityKw"),
        ("PATCH", "/api/vens/ven-101/loads/ld-101-a", {"shedCapabilityKw": 1e12}, "shedCapabilityKw"),
        ("PATCH", "/api/vens/ven-101/loads/ld-101-a", b'{"capacityKw": Infinity}', "capacityKw"),
        ("PATCH", "/api/vens/ven-101/loads/ld-101-a", {"currentPowerKw": 1}, "currentPowerKw"),
        ("POST", "/api/vens/ven-101/loads/ld-101-a/commands/shed", {}, "amountKw"),
        ("POST", "/api/vens/ven-101/loads/ld-101-a/commands/shed", {"amountKw": 0}, "amountKw"),
        ("POST", "/api/vens/ven-101/loads/ld-101-a/commands/shed", {"amountKw": True}, "amountKw"),
        ("POST", "/api/events", {**EVENT, "endTime": EVENT["startTime"]}, "endTime"),
        ("POST", "/api/events", {**EVENT, "endTime": "2030-07-11T15:00:00Z"}, "endTime"),
        ("POST", "/api/events", {**EVENT, "endTime": "tomorrow"}, "endTime"),
        ("POST", "/api/events", {**EVENT, "startTime": 1752159600}, "startTime"),
        ("POST", "/api/events", {**EVENT, "startTime": "0001-01-01T00:00:00+05:00"}, "startTime"),
        ("POST", "/api/events", {**EVENT, "endTime": "9999-12-31T23:59:59-05:00"}, "endTime"),
        ("POST", "/api/events", {**EVENT, "requestedReductionKw": -5}, "requestedReductionKw"),
        ("POST", "/api/events", {**EVENT, "requestedReductionKw": "5"}, "requestedReductionKw"),
    ],
)
async def test_a_body_that_is_invalid_is_refused_by_field(
    api: Client, method: str, path: str, body: Any, field: str
) -> None:
    given = {"content": body} if isinstance(body, bytes) else {"json": body}
    assert (await api.detail(422, path, method, **given)).startswith(f"{field}: ")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 50_000, b"NaN", b"{NaN"],
)
async def test_a_body_that_is_no_json_object_is_refused(api: Client, body: bytes) -> None:
    for path in ("/api/vens", "/api/events"):
        assert "body" in await api.detail(422, path, "POST", content=body)
    assert len((await api.get("/api/vens")).json()) == 3
