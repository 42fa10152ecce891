from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from fixtures.fleet import Ven
from fixtures.houses import EVENT_EVERY, EVENT_LASTS, event_at, neighbourhood
from fixtures.messages import FULL, SPARSE, dialect_of
from shared.models import WireLoadSnapshot, WireTelemetry

MIDNIGHT = datetime(2026, 7, 10, tzinfo=UTC).timestamp()
DAY = [MIDNIGHT + 300 * n for n in range(288)]
NOON, NIGHT = MIDNIGHT + 12 * 3600 + EVENT_LASTS, MIDNIGHT + EVENT_LASTS
UTC_ZONE = ZoneInfo("UTC")


def test_the_first_three_vens_have_the_loads_the_admin_endpoints_list() -> None:
    known = {
        house.ven_id: {load.load_id: load.kind.type for load in house.loads}
        for house in neighbourhood(3, 9, 1, UTC_ZONE)
    }
    assert known == {
        "ven-101": {"ld-101-a": "hvac", "ld-101-b": "ev"},
        "ven-102": {"ld-102-a": "washer_dryer", "ld-102-b": "ac"},
        "ven-103": {"ld-103-a": "pool_heater", "ld-103-b": "solar"},
    }


def test_the_other_vens_have_as_many_loads_as_asked_with_ids_of_their_own() -> None:
    house = neighbourhood(4, 60, 1, UTC_ZONE)[3]
    assert len({load.load_id for load in house.loads}) == 60
    assert {len(house.loads) for house in neighbourhood(60, None, 1, UTC_ZONE)[3:]} == {3, 4, 5, 6}


def test_the_same_seed_and_time_give_the_same_reading_and_another_seed_another() -> None:
    first, again, other = (neighbourhood(25, None, seed, UTC_ZONE) for seed in (1, 1, 2))
    assert [house.read(NOON) for house in first] == [house.read(NOON) for house in again]
    assert [house.read(NOON) for house in first] != [house.read(NOON) for house in other]


def test_the_sun_shines_at_noon_of_the_local_day_only() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    solar = {zone: neighbourhood(3, None, 1, zone)[2] for zone in (UTC_ZONE, berlin)}
    assert solar[UTC_ZONE].read(NOON).loads[1].used_kw < -3
    assert solar[UTC_ZONE].read(NIGHT).loads[1].used_kw == 0
    dawn = MIDNIGHT + 4.5 * 3600
    assert solar[UTC_ZONE].read(dawn).loads[1].used_kw == 0 > solar[berlin].read(dawn).loads[1].used_kw


def test_cars_charge_at_night() -> None:
    cars = [
        load
        for house in neighbourhood(60, None, 1, UTC_ZONE)
        for load in house.loads
        if load.kind.type == "ev"
    ]
    houses = neighbourhood(60, None, 1, UTC_ZONE)

    def charging(at: float) -> float:
        return sum(load.used_kw for house in houses for load in house.read(at).loads if load.load in cars)

    assert len(cars) > 5
    assert charging(NOON) == 0 < charging(NIGHT)


def test_an_event_begins_every_so_often_and_ends() -> None:
    assert event_at(MIDNIGHT) == event_at(MIDNIGHT + EVENT_LASTS - 1) == "dr-20260710-0000"
    assert event_at(MIDNIGHT + EVENT_LASTS) is None
    assert event_at(MIDNIGHT + EVENT_EVERY) == "dr-20260710-0020"


def test_during_an_event_most_houses_shed_what_they_would_otherwise_use() -> None:
    houses = neighbourhood(60, None, 1, UTC_ZONE)
    readings = [house.read(MIDNIGHT + 60) for house in houses]
    responding = [reading for reading in readings if reading.event_id]
    assert len(houses) > len(responding) > len(houses) / 2
    assert sum(reading.shed_kw for reading in responding) > 10
    for reading in responding:
        assert reading.requested_kw is not None
        assert reading.shed_kw == pytest.approx(sum(load.shed_kw for load in reading.loads), abs=0.001)
    for reading in (reading for reading in readings if not reading.event_id):
        assert reading.shed_kw == 0
        assert reading.requested_kw is None


def test_a_panel_shows_its_loads_and_a_little_standby() -> None:
    for house in neighbourhood(25, None, 1, UTC_ZONE):
        for at in DAY[::7]:
            reading = house.read(at)
            standby = reading.used_kw - sum(load.used_kw for load in reading.loads)
            assert 0.1 < standby < 0.6
            for load in reading.loads:
                assert abs(load.used_kw) <= load.load.capacity_kw + 0.01
                assert load.shed_kw <= load.sheddable_kw


def test_each_dialect_says_what_the_contract_wants() -> None:
    house = neighbourhood(4, None, 1, UTC_ZONE)[3]
    reading = house.read(MIDNIGHT + 60.125)
    full = msgspec.json.decode(FULL.telemetry(house, reading).payload, type=WireTelemetry)
    assert (full.ven_id, full.timestamp, full.used_power_kw) == ("ven-104", reading.at, reading.used_kw)
    assert full.loads is not None
    assert full.loads[0].capacity_kw == house.loads[0].capacity_kw
    message = SPARSE.telemetry(house, reading)
    sparse = msgspec.json.decode(message.payload, type=WireTelemetry)
    assert message.topic == "oadr/meter/ven-104"
    assert (sparse.ven_id, sparse.used_power_kw, sparse.old_used_power) == (None, None, reading.used_kw)
    assert sparse.old_timestamp == round(reading.at * 1000)
    assert sparse.loads is not None
    assert sparse.loads[0].capacity_kw is None
    snapshot = msgspec.json.decode(SPARSE.snapshot(house, reading).payload, type=WireLoadSnapshot)
    assert snapshot.loads is not None
    assert {load.id for load in snapshot.loads} == {load.id for load in sparse.loads}


def test_a_last_will_bears_no_time() -> None:
    house = neighbourhood(1, None, 1, UTC_ZONE)[0]
    for dialect in (FULL, SPARSE):
        assert (
            not {"ts", "timestamp"}
            & msgspec.json.decode(dialect.status(house, "offline", None).payload).keys()
        )
        assert {"ts", "timestamp"} & msgspec.json.decode(dialect.status(house, "online", 1.5).payload).keys()


def test_a_ven_never_gives_two_readings_the_same_time() -> None:
    ven = Ven(neighbourhood(1, None, 1, UTC_ZONE)[0], dialect_of(0))
    times = [msgspec.json.decode(ven.report(MIDNIGHT)[-1].payload)["timestamp"] for _ in range(50)]
    assert len(set(times)) == 50
    assert max(times) < MIDNIGHT + 0.06
