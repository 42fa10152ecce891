"""One batch to the database: exact rows, whatever is sent twice."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ingest.message import Message, Outcome
from ingest.partitions import Partitions
from ingest.write import batch as store_module
from ingest.write.batch import Store
from shared import db
from shared.config import Database
from shared.db import Connection
from tests.support.samples import message, reading, snapshot, status, telemetry

S, D, L = Outcome.STORED, Outcome.DUPLICATE, Outcome.DEAD_LETTERED
NOW = float(int(time.time()))


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    made = await db.connect(database, application="test")
    yield made
    await made.close()


class Writing:
    """A store as one ingest process keeps it."""

    def __init__(self, connection: Connection, client_id: str = "c1") -> None:
        self.connection = connection
        self.store = Store(client_id, Partitions())

    async def __call__(self, *batch: Message) -> list[Outcome]:
        await self.store.prepare(self.connection)
        return await self.store.write(self.connection, batch)

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.connection.fetch(query)]


@pytest.fixture
def write(connection: Connection) -> Writing:
    return Writing(connection)


async def test_a_reading_is_stored_as_sent_with_its_samples(write: Writing) -> None:
    loads = [
        {"loadId": "b", "name": "Wärme", "type": "hvac", "capacityKw": 7.5, "currentPowerKw": 0.82}
        | {"shedCapabilityKw": 0.5, "shedPowerKw": 0.1, "enabled": True},
        {"id": "a", "currentPowerKw": -1.1},
    ]
    sent = reading(
        "v1", NOW + 0.25, 2.73, shedPowerKw=0.62, requestedReductionKw=1.0, eventId="e", loads=loads
    )
    assert await write(sent) == [S]
    ((ven, ts, used, shed, requested, event, soc, payload, received),) = await write.rows(
        "SELECT ven_id, extract(epoch FROM ts)::float8, used_power_kw, shed_power_kw, requested_reduction_kw,"
        " event_id, battery_soc, payload::text, (extract(epoch FROM received_at) * 1000000)::bigint"
        " FROM ven_telemetry"
    )
    assert (ven, ts, used, shed, requested, event, soc) == ("v1", NOW + 0.25, 2.73, 0.62, 1.0, "e", None)
    assert payload == sent.payload.decode()
    assert received == sent.received_at
    assert await write.rows("SELECT * FROM ven_load_samples ORDER BY load_id") == await write.rows(
        f"SELECT 'v1', to_timestamp({NOW + 0.25}), 'a', null::text, null::text, -1.1::float8, null::float8,"
        " null::float8, null::float8"
        f" UNION ALL SELECT 'v1', to_timestamp({NOW + 0.25}), 'b', 'hvac', 'Wärme', 0.82, 0.1, 0.5, 7.5"
    )


async def test_what_is_remembered_is_of_so_many_vens_at_most(
    write: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_SEEN_VENS", 10)
    for n in range(100):
        assert await write(reading(f"v{n}", NOW, n), reading("again", NOW + n, n)) == [S, S]
    assert len(write.store._seen_vens) <= 12


async def test_the_first_of_two_readings_with_one_key_stays(write: Writing) -> None:
    first, second = reading("v", NOW, 1, loads={"a": 1}), reading("v", NOW, 2, loads={"a": 2, "b": 2})
    assert await write(first, second, reading("v", NOW + 1, 3)) == [S, D, S]
    assert await write.rows("SELECT used_power_kw FROM ven_telemetry ORDER BY ts") == [(1,), (3,)]
    assert await write.rows("SELECT load_id, used_power_kw FROM ven_load_samples") == [("a", 1)]


async def test_a_retained_status_counts_only_the_first_time(write: Writing) -> None:
    assert await write(status("v", "offline", retain=True)) == [S]
    ((offline_at,),) = await write.rows("SELECT status_at FROM vens")
    other = status("w", "online", retain=True, mid=3)
    assert await write(status("v", "offline", retain=True, mid=2), other) == [D, S]
    assert await write.rows("SELECT status_at FROM vens WHERE ven_id = 'v'") == [(offline_at,)]


async def test_what_is_retained_and_known_is_not_a_sign_of_life(write: Writing) -> None:
    await write(status("v", "offline", retain=True), reading("v", NOW, 1))
    seen = "SELECT last_seen_at FROM vens"
    before = await write.rows(seen)
    old = message("volttron/metering", telemetry("v", NOW, 1), retain=True)
    assert await write(status("v", "offline", retain=True, mid=5), old) == [D, D]
    assert await write.rows(seen) == before
    assert await write(reading("v", NOW, 1)) == [D]
    assert await write.rows(seen) > before, "the same reading, sent now, is one"


async def test_a_retained_status_with_a_time_counts_again(write: Writing) -> None:
    now = time.time()
    assert await write(status("v", "offline", retain=True)) == [S]
    assert await write(
        status("v", "online", now + 60), status("v", "offline", now + 70, retain=True, mid=2)
    ) == [S, S]


async def test_a_retained_status_does_not_replace_a_newer_one(write: Writing) -> None:
    assert await write(status("v", "offline", retain=True)) == [S]
    assert await write(status("v", "online"), status("v", "offline", retain=True, mid=4)) == [S, D]
    assert await write.rows("SELECT status FROM vens") == [("online",)]


async def test_a_reading_stored_before_stores_no_samples_again(write: Writing) -> None:
    await write(reading("v", NOW, 1, loads={"a": 1}))
    again = [reading("v", NOW, 9, loads={"a": 9, "b": 9}), reading("w", NOW, 2, loads={"a": 2})]
    assert await write(*again) == [D, S]
    assert await write.rows("SELECT ven_id, used_power_kw FROM ven_load_samples ORDER BY 1") == [
        ("v", 1),
        ("w", 2),
    ]
    # What the duplicate said of its loads must not become the VEN's latest list.
    assert await write.rows("SELECT ven_id, used_power_kw FROM vens ORDER BY 1") == [("v", 1), ("w", 2)]


async def test_the_latest_reading_is_replaced_only_by_a_newer_one(write: Writing) -> None:
    await write(reading("v", NOW - 120, 5, loads={"a": 1}, eventId="e", batterySoc=0.5))
    await write(reading("v", NOW - 180, 1, loads={"b": 1}))
    latest = "SELECT used_power_kw, event_id, extract(epoch FROM loads_ts)::float8 FROM vens"
    assert await write.rows(latest) == [(5, "e", NOW - 120)]
    await write(reading("v", NOW - 60, 7))
    assert await write.rows(latest) == [(7, None, NOW - 120)]
    await write(reading("v", NOW, 8, loads=[]), reading("v", NOW - 30, 6, loads={"a": 1}))
    assert await write.rows(latest) == [(8, None, NOW)]


async def test_the_latest_reading_of_a_batch_is_the_newest(write: Writing) -> None:
    orders = list(itertools.permutations((0, 60, 120))) * 3
    await write(*(reading(f"v{n}", NOW - 120 + at, at) for n, order in enumerate(orders) for at in order))
    assert await write.rows("SELECT DISTINCT used_power_kw FROM vens") == [(120,)]


async def test_a_future_reading_is_latest_until_the_next_arrives(write: Writing) -> None:
    now = round(time.time())
    await write(reading("v", now + 200, 5, loads={"a": 1}))
    latest = "SELECT used_power_kw, extract(epoch FROM loads_ts)::float8 FROM vens"
    assert await write.rows(latest) == [(5, now + 200)]
    await write(reading("v", now + 60, 6, loads={"a": 2}))
    assert await write.rows(latest) == [(6, now + 60)]


async def test_several_processes_order_what_overtook_by_its_own_time(connection: Connection) -> None:
    writing = Writing(connection)
    writing.store = Store("c1", Partitions(), shared=True)
    later = status("v", "online", NOW - 0.2, received_at=NOW)
    assert await writing(later, status("v", "offline", NOW - 0.5, received_at=NOW + 0.1, mid=2)) == [S, S]
    assert await writing.rows("SELECT status FROM vens") == [("online",)]
    assert await writing.rows("SELECT alive_at IS NOT NULL FROM ven_signs") == [(True,)]
    # A will from when the VEN connected did not overtake anything.
    await writing(status("v", "offline", NOW - 9, received_at=NOW + 0.2, mid=3))
    assert await writing.rows("SELECT status FROM vens") == [("offline",)]
    assert await writing.rows("SELECT alive_at IS NOT NULL FROM ven_signs") == [(False,)]


@pytest.mark.parametrize("how", ["held", "dup"])
async def test_several_processes_order_what_waited_by_its_time(connection: Connection, how: str) -> None:
    writing = Writing(connection)
    writing.store = Store("c1", Partitions(), shared=True)
    await writing(status("v", "online", NOW - 5, received_at=NOW - 5))
    waited = status("v", "offline", NOW - 25, received_at=NOW, mid=2, **{how: True})
    await writing(waited)
    assert await writing.rows("SELECT status FROM vens") == [("online",)]
    # A will of a VEN that connected long ago has not waited for so long.
    await writing(status("v", "offline", NOW - 40, received_at=NOW, mid=3, **{how: True}))
    assert await writing.rows("SELECT status FROM vens") == [("offline",)]


SIGNS = (
    "SELECT extract(epoch FROM last_seen_at)::float8, extract(epoch FROM offline_at)::float8 FROM vens"
    " WHERE ven_id = 'v'"
)


async def test_signs_of_life_go_by_arrival_whatever_the_times(write: Writing) -> None:
    await write(status("v", "online", NOW - 9000, received_at=NOW - 5))
    assert await write.rows(SIGNS) == [(NOW - 5, None)]
    await write(status("v", "offline", NOW - 9001, received_at=NOW - 4, mid=2))
    assert await write.rows(SIGNS) == [(NOW - 5, NOW - 4)]
    await write(message("volttron/metering", telemetry("v", NOW - 600, 1), received_at=NOW - 3))
    assert await write.rows(SIGNS) == [(NOW - 3, NOW - 4)]


async def test_what_the_broker_delivers_again_moves_no_sign_of_life(write: Writing) -> None:
    told = (
        status("v", "offline", received_at=NOW - 9),
        status("v", "online", NOW - 8, received_at=NOW - 8, mid=2),
    )
    assert await write(*told) == [S, S]
    again = [
        status("v", "offline", received_at=NOW, dup=True),
        status("v", "online", NOW - 8, mid=2, dup=True),
    ]
    assert await write(*again) == [D, D]
    assert await write.rows(SIGNS) == [(NOW - 8, NOW - 9)]
    once = telemetry("v", NOW - 7, 1)
    await write(message("volttron/metering", once, received_at=NOW - 7))
    await write(message("volttron/metering", once, received_at=NOW, dup=True))
    assert await write.rows(SIGNS) == [(NOW - 7, NOW - 9)]


async def test_a_retained_message_speaks_for_its_own_time(write: Writing) -> None:
    await write(message("volttron/metering", telemetry("v", NOW - 600, 1), retain=True, received_at=NOW))
    assert await write.rows(SIGNS) == [(NOW - 600, None)]
    await write(status("v", "offline", NOW - 50, retain=True), status("v", "ready", retain=True, mid=2))
    assert await write.rows(SIGNS) == [(NOW - 600, NOW - 50)]
    assert await write.rows("SELECT extract(epoch FROM spoke_at)::float8 FROM ven_signs") == [(NOW - 600,)]


async def test_a_reading_sent_over_and_over_keeps_its_first_arrival(write: Writing) -> None:
    for arrival in (NOW - 300, NOW - 200, NOW - 100):
        await write(message("volttron/metering", telemetry("v", NOW - 9000, 1), received_at=arrival))
    assert await write.rows(SIGNS) == [(NOW - 100, None)]
    assert await write.rows("SELECT extract(epoch FROM spoke_at)::float8 FROM ven_signs") == [(NOW - 300,)]


async def test_a_backlog_does_not_count_as_now_and_a_slow_clock_does(write: Writing) -> None:
    spoke = "SELECT extract(epoch FROM spoke_at)::float8 FROM ven_signs"

    async def hear(ts: float, arrival: float) -> None:
        await write(message("volttron/metering", telemetry("v", ts, 1), received_at=arrival))

    await hear(NOW - 10800, NOW - 10800)
    await hear(NOW - 10790, NOW - 10789)
    # ingest was away for three hours: what waited comes in at once.
    for n in range(5):
        await hear(NOW - 10780 + n * 10, NOW + n / 1000)
    assert await write.rows(spoke) == [(NOW - 10739,)]
    # From here on the clock is three hours slow.
    await hear(NOW - 10730, NOW + 10)
    await hear(NOW - 10720, NOW + 20)
    assert await write.rows(spoke) == [(NOW + 20,)]


async def test_a_snapshot_stores_no_sample(write: Writing) -> None:
    taught = snapshot("v", NOW, {"id": "a", "type": "hvac", "currentPowerKw": 1, "shedCapabilityKw": 0.5})
    assert await write(taught) == [S]
    assert await write(taught) == [S]
    assert await write.rows("SELECT count(*) FROM ven_load_samples") == [(0,)]
    assert await write.rows(
        "SELECT load_type, used_power_kw, shed_capability_kw, sampled FROM ven_loads"
    ) == [("hvac", 1, 0.5, False)]


async def test_a_live_snapshot_is_a_sign_of_life(write: Writing) -> None:
    taught = json.dumps({"venId": "v", "timestamp": NOW - 100, "loads": [{"id": "a", "currentPowerKw": 1}]})

    async def hear(arrival: float, **flags: bool) -> None:
        await write(message("ven/loads/v", taught.encode(), received_at=arrival, **flags))

    # A retained message, or one that may have been stored before, counts at its own time.
    await hear(NOW - 3, retain=True)
    await hear(NOW - 2, dup=True)
    assert await write.rows(SIGNS) == [(NOW - 100, None)]
    await hear(NOW - 1)
    assert await write.rows(SIGNS) == [(NOW - 1, None)]


async def test_loads_are_known_by_the_newest_message_that_says_so(write: Writing) -> None:
    full = [{"id": "a", "type": "old", "name": "n", "capacityKw": 1, "currentPowerKw": 1}]
    await write(reading("v", NOW, 1, loads=full))
    await write(
        snapshot("v", NOW + 5, {"id": "a", "type": "new", "currentPowerKw": 3, "shedCapabilityKw": 2})
    )
    await write(snapshot("v", NOW - 5, {"id": "a", "type": "older", "currentPowerKw": 9, "capacityKw": 9}))
    await write(reading("v", NOW + 1, 1, loads=[{**full[0], "type": "late"}]))
    assert await write.rows(
        "SELECT load_type, name, capacity_kw, used_power_kw, shed_capability_kw, sampled,"
        " extract(epoch FROM ts)::float8, extract(epoch FROM snapshot_ts)::float8 FROM ven_loads"
    ) == [("new", "n", 1, 3, 2, True, NOW + 5, NOW + 5)]


async def test_statuses_are_transitions(write: Writing) -> None:
    batch = [status("v", s, NOW - 9 + n, mid=n) for n, s in enumerate(("online", "online", "offline"), 1)]
    assert await write(*batch) == [S, D, S]
    assert await write(*batch) == [D, D, D]
    assert await write(status("v", "ready", NOW - 9), status("v", "offline", mid=5)) == [S, S]
    assert await write.rows("SELECT status FROM ven_statuses ORDER BY recorded_at") == [
        ("online",),
        ("offline",),
        ("ready",),
        ("offline",),
    ]
    assert await write.rows("SELECT status, status_at = status_received_at FROM vens") == [("offline", True)]


async def test_a_status_delivered_again_keeps_its_first_arrival(write: Writing) -> None:
    def batch(at: float, **delivery: Any) -> list[Message]:
        return [
            status("v", s, received_at=at + n, mid=7 + n, **delivery)
            for n, s in enumerate(("online", "online", "offline", "online"))
        ]

    assert await write(*batch(NOW)) == [S, D, S, S]
    before = await write.rows("SELECT recorded_at, status FROM ven_statuses ORDER BY 1")
    assert await write(*batch(NOW + 100, dup=True)) == [D, D, D, D]
    assert await write.rows("SELECT recorded_at, status FROM ven_statuses ORDER BY 1") == before
    # The same words in a delivery of their own are news.
    assert await write(status("v", "offline", received_at=NOW + 200, mid=9)) == [S]


async def test_the_same_dead_letter_is_one_row_cut_at_64_kib(write: Writing) -> None:
    big, small = b"\xff" * 70_000, b"{}"
    batch = [message("volttron/metering", p) for p in (big, small, small)]
    assert await write(*batch) == [L, L, L]
    assert await write(batch[1]) == [L]
    assert await write.rows(
        "SELECT length(payload), payload_bytes, times_seen, topic FROM dead_letters ORDER BY payload_bytes"
    ) == [(2, 2, 3, "volttron/metering"), (65536, 70_000, 1, "volttron/metering")]


async def test_any_day_the_contract_accepts_gets_its_partition(write: Writing) -> None:
    assert (
        await write(reading("v", NOW - 29 * 86400, 1), reading("v", NOW + 290, 1), reading("v", NOW, 1))
        == [S] * 3
    )


async def test_two_processes_make_the_same_partition_at_once(database: Database) -> None:
    connections = [await db.connect(database, application="test") for _ in range(4)]
    writers = [Writing(c, f"c{n}") for n, c in enumerate(connections)]
    days = [NOW - 86400 * n for n in range(5)]
    outcomes = await asyncio.gather(
        *(w(*(reading(f"v{n}", day, 1) for day in days)) for n, w in enumerate(writers))
    )
    assert outcomes == [[S] * 5] * 4
    for connection in connections:
        await connection.close()


async def test_an_array_counts_once_and_each_of_its_parts_is_handled(write: Writing) -> None:
    def array(*bodies: dict[str, Any]) -> Message:
        return message("oadr/meter/v", json.dumps(bodies).encode())

    good, other = ({"timestamp": NOW - n, "usedPowerKw": n} for n in (1, 2))
    bad = {"timestamp": NOW, "usedPowerKw": "x"}
    assert await write(array(good, bad), reading("w", NOW, 1), array(bad), array(good)) == [S, S, L, D]
    assert await write(array(good, other, good), array(good, bad)) == [S, D]
    assert await write.rows("SELECT ven_id, used_power_kw FROM ven_telemetry ORDER BY 1, 2") == [
        ("v", 1),
        ("v", 2),
        ("w", 1),
    ]
    assert await write.rows(
        "SELECT payload::json->>'usedPowerKw' FROM ven_telemetry WHERE ven_id = 'v' ORDER BY 1"
    ) == [
        ("1",),
        ("2",),
    ]
    dead = "SELECT convert_from(payload, 'UTF8')::json->>'usedPowerKw', times_seen FROM dead_letters"
    assert await write.rows(dead) == [("x", 3)]


async def test_what_is_ignored_is_stored_nowhere(write: Writing) -> None:
    assert await write(message("volttron/dev", b""), message("else/where", b"{}")) == [Outcome.IGNORED] * 2
    assert await write.rows("SELECT (SELECT count(*) FROM vens), (SELECT count(*) FROM dead_letters)") == [
        (0, 0)
    ]


async def test_another_reading_of_one_key_is_a_conflict(write: Writing) -> None:
    first = reading("v", NOW, 1, eventId="e", loads={"a": 1, "b": 2})
    same = reading("v", NOW, 1, eventId="e", loads={"b": 2, "a": 1}, extra=3)
    others = [
        reading("v", NOW, 2, eventId="e", loads={"a": 1, "b": 2}),
        reading("v", NOW, 1, loads={"a": 1, "b": 2}),
        reading("v", NOW, 1, eventId="e", loads={"a": 1, "b": 3}),
        reading("v", NOW, 1, eventId="e", loads={"a": 1}),
    ]
    assert await write(first, same, others[0]) == [S, D, D]
    assert write.store.tally.conflicts == [others[0]]
    assert await write(reading("v", NOW, 1, eventId="e"), *others, same) == [D] * 6
    assert write.store.tally.conflicts == [others[0], *others]
    assert await write.rows("SELECT ven_id, kind, times, topic FROM ven_flaws") == [
        ("v", "conflict", 5, "volttron/metering")
    ]


async def test_flaws_are_kept_by_ven_with_the_latest_reason(write: Writing) -> None:
    await write(reading("v", NOW, 1, batterySoc="full"), reading("w", NOW, 1))
    await write(reading("v", NOW + 1, 1, eventId=True), snapshot("v", NOW, {"id": "a"}))
    assert await write.rows(
        "SELECT ven_id, kind, times, topic, reason, first_at < last_at FROM ven_flaws"
    ) == [("v", "flawed", 3, "ven/loads/v", "loads[0].currentPowerKw is missing", True)]


async def test_a_load_left_out_is_not_taken_for_gone(write: Writing) -> None:
    loads = "SELECT load_id, power_kw FROM current_loads ORDER BY 1"
    await write(reading("v", NOW - 20, 1, loads={"a": 1, "b": 2}))
    await write(reading("v", NOW - 10, 1, loads=[{"id": "a", "currentPowerKw": 5}, {"id": "b"}]))
    assert await write.rows(loads) == [("a", 5), ("b", 2)]
    await write(reading("v", NOW, 1, loads={"a": 6}))
    assert await write.rows(loads) == [("a", 6)]


async def test_a_kind_of_dead_letter_is_new_once(write: Writing) -> None:
    def late(ven_id: str, age: float) -> Message:
        return message("volttron/metering", telemetry(ven_id, NOW - age, 1))

    await write(
        late("v", 9e6), late("v", 8e6), message("volttron/metering", b"1"), message("volttron/metering", b"1")
    )
    assert write.store.tally.new_dead_letters == 2
    # The same mistake with another time, and the same message again: no news. Another VEN, another topic: news.
    await write(
        late("v", 7e6), message("volttron/metering", b"1"), late("w", 7e6), message("ven/loads/v", b"1")
    )
    assert write.store.tally.new_dead_letters == 4


PARTS = (
    telemetry("v", NOW - 60, 1),
    telemetry("v", NOW - 60, 1, loads=[{"id": "a", "type": "ev", "currentPowerKw": 0.5}]),
)


@pytest.mark.parametrize("together", [True, False])
async def test_a_reading_in_two_parts_ends_as_one(write: Writing, together: bool) -> None:
    panel, loads = (message("volttron/metering", part) for part in PARTS)
    outcomes = await write(panel, loads) if together else [*await write(panel), *await write(loads)]
    assert outcomes == [S, D]
    assert write.store.tally.conflicts == [loads]
    once_more = message("volttron/metering", PARTS[1], dup=True)
    assert await write(once_more, message("volttron/metering", PARTS[0])) == [D, D]
    assert write.store.tally.conflicts == [loads]
    assert await write.rows("SELECT count(*) FROM ven_telemetry") == [(1,)]
    assert await write.rows("SELECT ven_id, load_id, used_power_kw FROM ven_load_samples") == [
        ("v", "a", 0.5)
    ]
    assert await write.rows("SELECT load_id, load_type, power_kw FROM current_loads") == [("a", "ev", 0.5)]


async def test_two_processes_give_a_reading_its_loads_once(database: Database) -> None:
    connections = [await db.connect(database, application="test") for _ in range(2)]
    writers = [Writing(c, f"c{n}") for n, c in enumerate(connections)]
    await writers[0](message("volttron/metering", PARTS[0]))
    await asyncio.gather(*(each(message("volttron/metering", PARTS[1])) for each in writers))
    assert await writers[0].rows("SELECT load_id FROM ven_load_samples") == [("a",)]
    for connection in connections:
        await connection.close()
