"""Connections between ingest and the broker that break as they do in networks, through a proxy."""

import random

from tests.torture.faults import Fault, hurts, until
from tests.torture.ledger import Ledger
from tests.torture.proxy import Proxy
from tests.torture.rounds import Round, run_round, world_of
from tests.torture.world import World

_KEEPALIVE_SECONDS = 2


async def broken_connections(seed: int) -> list[Round]:
    """PUBACKs that never arrive, a connection that is cut within a packet, and one that is half open."""
    ledger = Ledger()
    async with world_of() as world, Proxy(world.broker.port).running() as proxy:
        world.workers[0].kill()
        world.workers[0].aim(proxy.port, _KEEPALIVE_SECONDS)
        world.workers[0].start()
        await world.healthy()
        chosen = (
            swallowed_acks(proxy),
            cut_within_a_packet(proxy),
            half_open(proxy, _KEEPALIVE_SECONDS),
        )
        return [await run_round(world, seed + n, [fault], ledger) for n, fault in enumerate(chosen)]


def swallowed_acks(proxy: Proxy) -> Fault:
    """PUBACKs never reach the broker, then ingest dies: all committed messages are delivered again."""

    @hurts("ingest", "broker")
    async def swallowed_acks(world: World, _: random.Random) -> None:
        worker = world.workers[0]
        proxy.swallow = True
        before = worker.metrics()["ecs_ingest_stored_total"]
        await until(lambda: worker.metrics()["ecs_ingest_stored_total"] > before)
        committed = worker.metrics()["ecs_ingest_stored_total"] - before
        worker.kill()
        proxy.swallow = False
        worker.start()
        await until(lambda: worker.metrics().get("ecs_ingest_duplicate_total", 0) >= committed)

    return swallowed_acks


def cut_within_a_packet(proxy: Proxy) -> Fault:
    """The connection to the broker breaks in the middle of a packet."""

    @hurts("broker")
    async def cut_within_a_packet(world: World, _: random.Random) -> None:
        cuts = proxy.cuts
        proxy.cut_in_mid_packet()
        await until(lambda: proxy.cuts > cuts)

    return cut_within_a_packet


def half_open(proxy: Proxy, keepalive: float) -> Fault:
    """The proxy passes nothing on, and the connection stays open: keepalive must notice."""

    @hurts("broker")
    async def half_open(world: World, _: random.Random) -> None:
        proxy.silent = proxy.swallow = True
        await until(lambda: "broker" in world.workers[0].waiting_for(), timeout=keepalive * 3 + 10)
        proxy.silent = proxy.swallow = False

    return half_open
