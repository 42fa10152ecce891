"""Faults in rounds under constant load, each followed by the whole check."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.support.servers import temporary_directory
from tests.torture import verify
from tests.torture.faults import Fault
from tests.torture.ledger import Ledger
from tests.torture.publisher import publish
from tests.torture.witness import witnessed
from tests.torture.world import World

RATE = 400.0


@dataclass
class Round:
    """The result of one round."""

    faults: list[str]
    recovery_s: float
    drain_s: float
    messages: int
    peak_mb: float


@asynccontextmanager
async def world_of(workers: int = 1) -> AsyncIterator[World]:
    """A World whose processes all work."""
    with temporary_directory() as directory:
        world = await asyncio.to_thread(World, directory, workers)
        try:
            await world.healthy()
            yield world
        finally:
            await asyncio.to_thread(world.close)


@asynccontextmanager
async def load(world: World, seed: int, ledger: Ledger, rate: float = RATE) -> AsyncIterator[None]:
    """Publish while the block runs; afterwards every message that was begun is acknowledged and in the ledger."""
    stop = asyncio.Event()
    publishing = asyncio.create_task(publish(world.broker.port, seed, rate, ledger, stop))
    try:
        yield
        stop.set()
        async with asyncio.timeout(60):
            await publishing
    finally:
        # After a failure the broker may never come back.
        publishing.cancel()
        await asyncio.wait([publishing])


async def run_round(
    world: World,
    seed: int,
    faults: Sequence[Fault],
    ledger: Ledger,
    *,
    settle: float = 0.5,
    roll_up: bool = True,
) -> Round:
    """Publish and do the faults one after the other; then compare the database with the ledger, and what ingest said
    with the faults. `roll_up`: also compare the rollups, which makes everything that is stored later late."""
    rng = random.Random(seed)
    before = ledger.published
    recovery = 0.0
    async with witnessed(world) as witness:
        async with load(world, seed, ledger):
            await asyncio.sleep(rng.uniform(0.2, 0.2 + settle))
            for fault in faults:
                with witness.hurting(fault.hurts):
                    await fault.do(world, rng)
                    recovery = max(recovery, await world.healthy())
                await asyncio.sleep(rng.uniform(0, settle))
        drain = await verify.drained(world, ledger)
    verify.exact(world, ledger)
    verify.accounted(world)
    verify.sound(world)
    if roll_up:
        await verify.rolled_up(world, ledger)
    names = [fault.name for fault in faults]
    return Round(names, recovery, drain, ledger.published - before, max(w.peak_mb for w in world.workers))
