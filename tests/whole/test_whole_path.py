"""The main job: messages in over MQTT, answers out over REST, each number worked out by hand."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import aiomqtt
import pytest

from tests.support.servers import eventually
from tests.support.whole import Whole

# A whole hour, long enough ago that its buckets are closed and recent enough for any retention.
HOUR = int(time.time()) // 3600 * 3600 - 3 * 3600


def reading(ven: str, ts: float, used: float, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "volttron/metering", {"venId": ven, "timestamp": ts, "usedPowerKw": used, **fields}


def load(name: str, kind: str | None, power: float, **fields: float) -> dict[str, Any]:
    return {"id": name, "type": kind, "currentPowerKw": power, **fields}


def load_type(name: str, capacity: float, capability: float, usage: float) -> dict[str, Any]:
    figures = {"totalCapacityKw": capacity, "totalShedCapabilityKw": capability, "currentUsageKw": usage}
    return {"type": name, **figures}


def two_houses(now: float) -> list[tuple[str, dict[str, Any]]]:
    """Two VENs online that report power, one that has gone offline and one known only from a snapshot."""
    return [
        reading(
            "a",
            now,
            4.0,
            shedPowerKw=1.0,
            requestedReductionKw=2.0,
            eventId="e",
            loads=[
                load("hvac", "hvac", 1.5, capacityKw=3.0, shedCapabilityKw=0.5),
                load("pv", "solar", -2.0, capacityKw=5.0, shedCapabilityKw=0.0),
            ],
        ),
        reading(
            "b",
            now,
            2.0,
            shedPowerKw=0.5,
            loads=[
                load("hvac", "hvac", 1.0, shedPowerKw=0.25),
                load("x", None, 0.5, capacityKw=1.0, shedCapabilityKw=0.25),
            ],
        ),
        reading("gone", now, 100.0, loads=[load("ev", "ev", 50.0, capacityKw=50.0, shedCapabilityKw=50.0)]),
        ("ven/status/gone", {"status": "offline", "timestamp": now + 1}),
        ("ven/loads/asleep", {"timestamp": now, "loads": [load("ev", "ev", 9.0, capacityKw=9.0)]}),
    ]


LOADS_OF_TWO_HOUSES = [
    # The VEN without a reading is online: its load has a capacity, but its power does not count.
    load_type("ev", 9.0, 0.0, 0.0),
    # b's hvac has no capability: 0.25, the power that it sheds now; and no capacity: 1.0 + 0.25.
    load_type("hvac", 4.25, 0.75, 2.5),
    load_type("solar", 5.0, 0.0, 0.0),
    load_type("unknown", 1.0, 0.25, 0.5),
]


async def test_network_and_load_statistics(whole: Whole) -> None:
    began = time.time()
    await whole.send(*two_houses(began))
    await eventually(lambda: (whole.get("/stats/network") or {}).get("onlineVens") == 3)
    await eventually(
        lambda: whole.get("/stats/loads") == LOADS_OF_TWO_HOUSES,
        explain=lambda: str(whole.get("/stats/loads")),
    )
    stats = whole.get("/stats/network")
    today = stats.pop("totalHousePowerToday")
    assert stats == {
        "venCount": 4,
        "onlineVens": 3,
        "householdUsageKw": 6.0,
        "currentLoadReductionKw": 1.5,
        "networkEfficiency": 75.0,
        "averageHousePower": 3.0,
        "potentialLoadReductionKw": 1.0,
        # hvac of a and b and x of b can shed; pv cannot.
        "controllablePowerKw": 3.0 + 1.25 + 1.0,
    }
    # Three VENs of 106 kW together speak, also the one that has gone offline: a status does not end a hold.
    assert 0 <= today <= 106 * (time.time() - began + 60) / 3600
    await eventually(lambda: (whole.get("/stats/network") or {}).get("totalHousePowerToday", 0) > today)


async def test_histories_of_network_ven_and_load(whole: Whole) -> None:
    await whole.send(
        reading("a", HOUR, 1.0, loads=[load("l", "hvac", 0.5, shedPowerKw=0.5)]),
        reading("a", HOUR + 60, 3.0, loads=[load("l", "hvac", 1.5)]),
        reading("b", HOUR + 10, 6.0, shedPowerKw=2.0, requestedReductionKw=4.0, eventId="e1"),
        reading("a", HOUR + 900, 4.0),
        reading("b", HOUR - 1, 9.0),
    )
    window = f"start={_iso(HOUR)}&end={_iso(HOUR + 3600)}"
    # a: 1 kW for 60 s, 3 kW for 840 s, 4 kW for its hold of 960 s. b: 9 kW for 10 s, 6 kW for 960 s, which name e1.
    quarters = [
        _point(HOUR, 8010 / 900, 1780 / 900, 8010, "e1", 3560 / 900, vens=2),
        _point(HOUR + 900, 4020 / 900, 140 / 900, 4020, None, 280 / 900, vens=970 / 900),
        _point(HOUR + 1800, 240 / 900, 0.0, 240, None, None, vens=60 / 900),
    ]
    path = f"/stats/network/history?{window}&granularity=15m"
    await eventually(
        lambda: whole.get(path) == {"granularity": "15m", "points": quarters},
        timeout=40,
        explain=lambda: str(whole.get(path)),
    )
    hour = whole.get(f"/stats/network/history?{window}&granularity=1h")["points"]
    assert hour == [_point(HOUR, 12270 / 3600, 1920 / 3600, 12270, "e1", 3840 / 3600, vens=2830 / 3600)]
    ven = whole.get(f"/vens/a/history?{window}&granularity=15m")
    assert ven["points"] == [
        _point(HOUR, 2580 / 900, 0.0, 2580, None, None, coverage=1.0),
        _point(HOUR + 900, 4.0, 0.0, 3600, None, None, coverage=1.0),
        _point(HOUR + 1800, 4.0, 0.0, 240, None, None, coverage=60 / 900),
    ]
    of_load = whole.get(f"/vens/a/loads/l/history?{window}&granularity=1m")["points"]
    assert of_load[:2] == [
        _point(HOUR, 0.5, 0.5, 30, None, None, coverage=1.0),
        _point(HOUR + 60, 1.5, 0.0, 90, None, None, coverage=1.0),
    ]
    assert len(of_load) == 17, "the second list speaks for its hold: the reading of 900 s lists no loads"


async def test_loads_of_a_ven_in_both_dialects(whole: Whole) -> None:
    now = time.time()
    hvac = {"id": "hvac1", "type": "hvac", "name": "HVAC", "capacityKw": 3.5, "shedCapabilityKw": 0.5}
    of_now = {"ts": int(now * 1000), "power_kw": 1.4, "loads": [{"id": "hvac1", "currentPowerKw": 0.9}]}
    await whole.send(
        ("ven/loads/s", {"timestamp": now - 60, "loads": [{**hvac, "currentPowerKw": 9}]}),
        ("oadr/meter/s", of_now),
    )
    assert whole.get("/vens/s/loads") == [{**hvac, "currentPowerKw": 0.9}]
    newer = [{"id": "hvac1", "currentPowerKw": 0.7}, {"id": "new", "currentPowerKw": 1}]
    await whole.send(("ven/loads/s", {"timestamp": now + 1, "loads": newer}))
    kilowatts = {"capacityKw": 1.0, "shedCapabilityKw": 0.0, "currentPowerKw": 1.0}
    new = {"id": "new", "type": None, "name": None, **kilowatts}
    assert whole.get("/vens/s/loads") == [{**hvac, "currentPowerKw": 0.7}, new]
    assert whole.get("/vens/s/loads/new") == new
    assert whole.get("/vens/nobody/loads") is None


async def test_a_last_will_takes_a_ven_offline(whole: Whole) -> None:
    now = time.time()
    await whole.send(reading("w", now, 1.0), ("ven/status/w", {"status": "online", "timestamp": now}))
    await eventually(lambda: whole.get("/stats/network")["onlineVens"] == 1)
    will = aiomqtt.Will(f"{whole.ingest.prefix}/ven/status/w", b'{"status": "offline"}', qos=1)
    dying = aiomqtt.Client(*whole.broker, will=will)
    await dying.__aenter__()
    sock = dying._client.socket()
    assert sock is not None
    asyncio.get_running_loop().remove_reader(sock.fileno())
    sock.close()
    await eventually(lambda: whole.get("/stats/network")["onlineVens"] == 0)
    assert dying._misc_task is not None
    dying._misc_task.cancel()


def _iso(ts: int) -> str:
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _point(
    start: int,
    used: float,
    shed: float,
    kilowatt_seconds: float,
    event: str | None,
    requested: float | None,
    *,
    vens: float | None = None,
    coverage: float | None = None,
) -> dict[str, Any]:
    """A point as the api shows it: powers to 3 decimals, energy in kWh to a few of its units."""
    return {
        "timestamp": _iso(start),
        "usedPowerKw": round(used, 3),
        "shedPowerKw": round(shed, 3),
        "usedEnergyKwh": pytest.approx(kilowatt_seconds / 3600, abs=1e-8),
        "eventId": event,
        "requestedReductionKw": None if requested is None else round(requested, 3),
        "venCount": None if vens is None else round(vens, 3),
        "coverage": None if coverage is None else round(coverage, 3),
    }
