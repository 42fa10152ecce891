"""Connections between ingest and the broker that break as networks break them: a proxy stands in between."""

from tests.torture import faults
from tests.torture.ledger import Ledger
from tests.torture.proxy import Proxy
from tests.torture.rounds import Round, run_round, world_of

_KEEPALIVE_SECONDS = 2


async def broken_connections(seed: int) -> list[Round]:
    """PUBACKs that never arrive, a connection cut within a packet, and one that is half open."""
    ledger = Ledger()
    async with world_of() as world, Proxy(world.broker.port).running() as proxy:
        world.workers[0].kill()
        world.workers[0].aim(proxy.port, _KEEPALIVE_SECONDS)
        world.workers[0].start()
        await world.healthy()
        chosen = (
            faults.swallowed_acks(proxy),
            faults.cut_within_a_packet(proxy),
            faults.half_open(proxy, _KEEPALIVE_SECONDS),
        )
        return [await run_round(world, seed + n, [fault], ledger) for n, fault in enumerate(chosen)]
