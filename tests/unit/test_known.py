"""What is known of loads: newer fields win, silence changes nothing."""

import time

from ingest.known import Known, KnownLoads
from tests.samples import reading, snapshot


def learn(known: KnownLoads, *messages: object) -> list[Known]:
    return known.learn(messages)[0]  # type: ignore[arg-type]


def test_a_newer_snapshot_replaces_what_it_names_and_keeps_the_rest() -> None:
    now = time.time()
    first = snapshot("v", now - 10, {"id": "a", "type": "hvac", "capacityKw": 3, "currentPowerKw": 1})
    second = snapshot("v", now, {"id": "a", "name": "Heat", "shedCapabilityKw": 0.5, "currentPowerKw": 2})
    for order in ((first, second), (second, first)):
        (row,) = learn(KnownLoads(), *order)
        assert (row.load_type, row.name, row.capacity_kw) == ("hvac", "Heat", 3)
        assert (row.shed_capability_kw, row.used_power_kw, row.sampled) == (0.5, 2, False)
        assert row.ts == row.snapshot_ts == round(now * 1e6)


def test_telemetry_teaches_once_what_describes_its_loads() -> None:
    now = time.time()
    known = KnownLoads()
    loads = [{"id": "a", "type": "hvac", "currentPowerKw": 1.0}]
    rows, described = known.learn([reading("v", now, 1, loads=loads), reading("v", now + 1, 1, loads=loads)])
    assert [(row.load_id, row.sampled, row.snapshot_ts) for row in rows] == [("a", True, None)]
    known.remember(described)
    assert learn(known, reading("v", now + 2, 1, loads=loads)) == []
    changed = [{"id": "a", "type": "heater", "currentPowerKw": 1.0}]
    assert [row.load_type for row in learn(known, reading("v", now + 3, 1, loads=changed))] == ["heater"]


def test_what_was_not_committed_is_not_remembered() -> None:
    known = KnownLoads()
    message = reading("v", time.time(), 1, loads={"a": 1.0})
    assert len(learn(known, message)) == 1
    assert len(learn(known, message)) == 1
