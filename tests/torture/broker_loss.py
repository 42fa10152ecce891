"""What depends on the broker: a backlog that it holds, and what mosquitto loses when it is killed."""

import asyncio
import copy
import signal

from shared.embedded.broker import EmbeddedBroker
from tests.support.servers import eventually
from tests.torture import verify
from tests.torture.ledger import Ledger
from tests.torture.rounds import load, world_of
from tests.torture.world import World

_SECONDS = 3.0


async def backlog(seed: int, minutes: float, rate: float = 400.0) -> float:
    """ingest is away for `minutes` while VENs publish; then it stores everything. Returns the seconds that took."""
    ledger = Ledger()
    async with world_of() as world:
        world.workers[0].kill()
        async with load(world, seed, ledger, rate=rate):
            await asyncio.sleep(minutes * 60)
        world.workers[0].start()
        drain = await verify.drained(world, ledger, timeout=600)
        verify.exact(world, ledger)
        verify.accounted(world)
        verify.sound(world)
    print(
        f"backlog of {minutes:g} min: {ledger.published:,} messages drained in {drain:.1f} s, rows exact",
        flush=True,
    )
    return drain


async def kill_broker(seed: int) -> int:
    """kill -9 of mosquitto while ingest is away: what mosquitto held at its last save arrives, what it acknowledged
    after that is lost. Returns how many acknowledged readings were lost."""
    ledger = Ledger()
    async with world_of() as world:
        world.workers[0].kill()
        async with load(world, seed, ledger):
            await asyncio.sleep(_SECONDS)
            saved = copy.deepcopy(ledger)
            await _save(world.broker)
            await asyncio.sleep(_SECONDS / 3)
            await asyncio.to_thread(world.broker.kill)
            await asyncio.to_thread(world.broker.start)
            world.workers[0].start()
            await world.healthy()
            await asyncio.sleep(_SECONDS)
        lost = await _lost(world, ledger, "kill -9 of the broker while ingest was away")
        missing = {table: found["missing"] for table, found in verify.differences(world, saved).items()}
        # VENs that reported after the save have newer latest readings than `saved` has.
        assert not any(missing[table] for table in missing.keys() - {"vens"}), missing
        return lost


async def _save(broker: EmbeddedBroker) -> None:
    """Make mosquitto save what it holds. It writes a new file and then moves it over the old one."""
    file = broker.directory / "mosquitto.db"
    before = file.stat().st_ino if file.exists() else None
    assert broker.process
    broker.process.send_signal(signal.SIGUSR1)
    await eventually(lambda: file.exists() and file.stat().st_ino != before)


async def restart_with_shared_subscription(seed: int) -> int:
    """An orderly restart of mosquitto under two workers. mosquitto 2.0.11 does not restore shared subscriptions:
    what VENs publish before a worker has subscribed again reaches nobody. Returns how many readings that cost."""
    ledger = Ledger()
    async with world_of(workers=2) as world:
        async with load(world, seed, ledger):
            await asyncio.sleep(_SECONDS)
            await asyncio.to_thread(world.broker.stop)
            await asyncio.to_thread(world.broker.start)
            await world.healthy()
            await asyncio.sleep(_SECONDS)
        return await _lost(world, ledger, "restart of the broker with a shared subscription")


async def _lost(world: World, ledger: Ledger, what: str) -> int:
    """Acknowledged readings that are not stored; and nothing may be stored that was not published, or twice."""
    for worker in world.workers:
        await eventually(lambda w=worker: w.metrics().get("ecs_ingest_unacked") == 0)  # type: ignore[misc]
    stored = world.sql("SELECT ven_id, (extract(epoch FROM ts) * 1000)::bigint FROM ven_telemetry")
    assert set(stored) <= set(ledger.readings), "something was stored that nobody published"
    assert len(stored) == len(set(stored))
    lost = len(ledger.readings) - len(stored)
    print(f"{what}: {lost} of {len(ledger.readings)} acknowledged readings lost", flush=True)
    return lost
