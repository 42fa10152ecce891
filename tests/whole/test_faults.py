"""Nothing lost, nothing twice, everything accounted for: the short form of `make torture`."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from itertools import cycle

import aiomqtt
import pytest

from tests.support.servers import eventually
from tests.support.small_disk import MountRefusedError
from tests.torture import faults, verify
from tests.torture.broken_connections import broken_connections
from tests.torture.broker_loss import kill_broker
from tests.torture.full_disk import full_tables, full_wal
from tests.torture.garbage import flood
from tests.torture.ledger import Ledger
from tests.torture.retained_will import retained_will
from tests.torture.rounds import Round, load, run_round, world_of

SEED = 20261123
# Of every kind that a flood must hold, a part of the reason that names it.
GARBAGE = (
    *("not UTF-8", "not JSON", "too deeply", "not a JSON object", "bytes; at most"),
    *("venId is missing", "venId holds a /", "is not the VEN of the topic", "status is missing"),
    *("timestamp is missing", "MQTT_CLOCK_AHEAD", "RAW_RETENTION_DAYS", "neither a number nor ISO 8601"),
    "usedPowerKw is missing",
)

pytestmark = pytest.mark.slow


async def test_rows_equal_the_ledger_after_every_fault() -> None:
    ledger = Ledger()
    async with world_of() as world:
        for number, fault in enumerate(faults.ALL):
            await run_round(world, SEED + number, [fault], ledger)


async def test_a_database_that_dies_within_full_batches() -> None:
    ledger = Ledger()
    async with world_of() as world:
        for number in range(2):
            await run_round(world, SEED + number, [faults.crash_postgres_in_full_batches], ledger)
        events = [event for life in world.workers[0].lives() for event in life]
        full = [event["messages"] / event["batches"] for event in events if event["event"] == "flush"]
        assert max(full) > 300


async def test_two_workers_on_a_shared_subscription_killed_in_turn() -> None:
    ledger = Ledger()
    async with world_of(workers=2) as world:
        for number in range(2):
            await run_round(world, SEED + number, [faults.kill_ingest] * 3, ledger)
        assert [len(worker.lives()) for worker in world.workers] == [4, 4]


async def test_messages_committed_but_not_acknowledged_change_nothing() -> None:
    """Nor does a connection cut within a packet lose any, or one that is half open."""
    await broken_connections(SEED)


@pytest.mark.parametrize("full", [full_tables, full_wal])
async def test_a_full_disk_loses_nothing(full: Callable[[int], Awaitable[Round]]) -> None:
    try:
        await full(SEED)
    except MountRefusedError as exc:
        pytest.skip(str(exc))


async def test_all_at_once_in_random_order() -> None:
    ledger = Ledger()
    rng = random.Random(SEED)
    others = rng.sample(faults.INGEST + faults.BROKER, len(faults.INGEST + faults.BROKER))
    pairs = zip(rng.sample(faults.DATABASE, len(faults.DATABASE)), cycle(others), strict=False)
    async with world_of() as world:
        await run_round(
            world, SEED, [faults.at_once(*pair) for pair in pairs], ledger, settle=0.2, roll_up=False
        )
        await verify.rolled_up(world, ledger)


async def test_a_killed_broker_hands_on_what_it_saved_once() -> None:
    await kill_broker(SEED)


async def test_health_and_log_tell_the_truth_while_servers_are_away() -> None:
    ledger = Ledger()
    async with world_of() as world:
        worker = world.workers[0]
        async with load(world, SEED, ledger, rate=100):
            await asyncio.to_thread(world.postgres.stop)
            await faults.until(lambda: worker.health()[0] == 503)
            assert list(worker.health()[1]["waitingFor"]) == ["database"]
            await asyncio.to_thread(world.postgres.start)
            await world.healthy()
            await asyncio.to_thread(world.broker.stop)
            await faults.until(lambda: worker.health()[0] == 503)
            assert list(worker.health()[1]["waitingFor"]) == ["broker"]
            await asyncio.to_thread(world.broker.start)
            await world.healthy()
            await asyncio.gather(*(asyncio.to_thread(s.stop) for s in (world.broker, world.postgres)))
            await faults.until(lambda: set(worker.waiting_for()) == {"broker", "database"})
            await asyncio.gather(*(asyncio.to_thread(s.start) for s in (world.broker, world.postgres)))
            await world.healthy()
        await verify.drained(world, ledger)
        verify.exact(world, ledger)
        events = [event["event"] for event in worker.lives()[-1]]
        assert events.count("waiting_for_database") <= 6, "said once a state, not once a retry"
        assert events.count("broker_lost") <= 6
        assert "database_ready" in events[events.index("waiting_for_database") :]


async def test_a_stop_does_not_wait_for_a_database_that_stands_still() -> None:
    ledger = Ledger()
    async with world_of() as world:
        worker = world.workers[0]
        async with load(world, SEED, ledger):
            with world.postgres_frozen():
                await faults.until(lambda: worker.metrics()["ecs_ingest_unacked"] > 100)
                assert await asyncio.to_thread(worker.restart) == 0
            await world.healthy()
        await verify.drained(world, ledger)
        verify.exact(world, ledger)
        verify.sound(world)


async def test_memory_stays_bounded_whatever_is_long() -> None:
    long = "x" * 60_000
    async with world_of() as world:
        worker = world.workers[0]
        async with aiomqtt.Client("127.0.0.1", world.broker.port, timeout=60) as client:
            for n in range(1200):
                load = {"id": "a", "type": f"{n}{long}", "name": f"{n}n{long}", "currentPowerKw": 1}
                body = {"venId": "v", "timestamp": time.time(), "usedPowerKw": n, "loads": [load]}
                await client.publish("volttron/metering", json.dumps(body), qos=1)
                await client.publish(f"oadr/meter/{n}{long}", b"{}", qos=1)
                await client.publish("oadr/meter/v", f"{n}{long}".encode(), qos=1)
        await eventually(lambda: worker.handled() == 3600, timeout=60)
        verify.sound(world)


async def test_health_notices_a_lost_database_while_nothing_is_sent() -> None:
    async with world_of() as world:
        await asyncio.to_thread(world.postgres.stop)
        await faults.until(lambda: world.workers[0].health()[0] == 503)
        assert list(world.workers[0].health()[1]["waitingFor"]) == ["database"]
        await asyncio.to_thread(world.postgres.start)
        await world.healthy()


async def test_garbage_stops_no_good_message_and_has_clear_reasons() -> None:
    async with world_of() as world:
        outcome = await flood(world, seed=SEED, count=6000)
        verify.accounted(world)
        verify.sound(world)
    assert outcome.good_stored == outcome.good_sent
    assert sum(outcome.outcomes.values()) == outcome.sent
    assert outcome.outcomes["dead_lettered"] == outcome.reasons.total()
    assert outcome.unclear == []
    reasons = "\n".join(outcome.reasons)
    assert [what for what in GARBAGE if what not in reasons] == []


async def test_a_retained_will_takes_nobody_offline_who_reported_since() -> None:
    assert await retained_will(SEED)
