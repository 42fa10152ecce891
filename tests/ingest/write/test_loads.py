"""What is known of loads: newer fields win, silence changes nothing."""

import time

import pytest

from ingest.message import Message
from ingest.write import loads as known_loads
from ingest.write.loads import Known, KnownLoads
from tests.support.samples import reading, snapshot


def learn(known: KnownLoads, *messages: object) -> list[Known]:
    return known.learn(messages)[0]  # type: ignore[arg-type]


def test_a_newer_snapshot_replaces_only_what_it_names() -> None:
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


def test_a_capacity_going_from_minus_1_to_minus_2_is_noticed() -> None:
    now, known = time.time(), KnownLoads()
    before, after = ([{"id": "a", "capacityKw": kw, "currentPowerKw": 1.0}] for kw in (-1.0, -2.0))
    known.remember(known.learn([reading("v", now, 1, loads=before)])[1])
    assert [row.capacity_kw for row in learn(known, reading("v", now + 1, 1, loads=after))] == [-2.0]


def test_what_was_not_committed_is_not_remembered() -> None:
    known = KnownLoads()
    message = reading("v", time.time(), 1, loads={"a": 1.0})
    assert len(learn(known, message)) == 1
    assert len(learn(known, message)) == 1


def test_what_is_remembered_is_of_so_many_vens_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_loads, "_REMEMBER_VENS", 10)
    known = KnownLoads()
    for n in range(100):
        _, descriptions = known.learn([reading(f"v{n}", time.time(), 1, loads={"a": 1.0})])
        known.remember(descriptions)
    assert len(known._committed) <= 11


def described(ts: float, kind: str | None) -> Message:
    load: dict[str, object] = {"id": "a", "currentPowerKw": 1.0}
    return reading("v", ts, 1, loads=[{**load, "type": kind} if kind else load])


def taught(known: KnownLoads, *messages: Message) -> list[str | None]:
    """The types learnt, message by message, each committed before the next."""
    found: list[str | None] = []
    for message in messages:
        rows, descriptions = known.learn([message])
        known.remember(descriptions)
        found += [row.load_type for row in rows]
    return found


def test_a_late_description_is_not_taken_for_the_newest() -> None:
    now = time.time()
    late = [
        described(now - 9, "A"),
        described(now - 7, "B"),
        described(now - 8, "A"),
        described(now - 6, "A"),
    ]
    assert taught(KnownLoads(), *late) == ["A", "B", "A", "A"]


def test_after_a_snapshot_the_same_description_is_learnt_again() -> None:
    now = time.time()
    between = snapshot("v", now - 8, {"id": "a", "type": "X", "currentPowerKw": 1})
    assert taught(KnownLoads(), described(now - 9, "A"), between, described(now - 7, "A")) == ["A", "X", "A"]
    rows, _ = KnownLoads().learn([described(now - 9, "A"), between, described(now - 7, "A")])
    assert [row.load_type for row in rows] == ["A"]
