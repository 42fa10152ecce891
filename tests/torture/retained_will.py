"""A VEN whose last will the broker keeps, and an ingest that connects again and subscribes anew."""

import contextlib
import json
import time

import aiomqtt
import httpx

from tests.support.api_process import running_api
from tests.support.model import R
from tests.support.servers import eventually
from tests.torture import verify
from tests.torture.ledger import Ledger, Letter
from tests.torture.proxy import Proxy
from tests.torture.rounds import load, world_of
from tests.torture.verify import MS
from tests.torture.witness import witnessed
from tests.torture.world import World

_VEN = "mortal"
_WILL = aiomqtt.Will(f"ven/status/{_VEN}", b'{"status": "offline"}', qos=1, retain=True)


async def retained_will(seed: int) -> bool:
    """The will counts once, even if it comes again to a new session, and the VEN is online after its next reading.

    Returns whether a VEN that had reported since its will stayed online.
    """
    ledger = Ledger()
    async with world_of() as world:
        async with witnessed(world) as witness:
            async with load(world, seed, ledger):
                await _lose_ven(world, ledger)
                await _report(world, ledger)
                with witness.hurting(frozenset({"ingest"})):
                    world.workers[0].restart()
                    await world.healthy()
                # A retained message would have arrived before this.
                await _report(world, ledger)
            await verify.drained(world, ledger)
        verify.exact(world, ledger)
        assert _status_at(world) == ledger.statuses[_VEN][0][0], "retained messages come to new sessions only"
        with running_api(world.directory, world.db) as api:
            assert _online(api.url) == ledger.online()
            await _subscribe_anew(world)
            missed = ledger.online() - _online(api.url)
            await _report(world, ledger)
            assert _online(api.url) == ledger.online()
        await verify.drained(world, ledger)
        verify.exact(world, ledger)
        verify.accounted(world)
        verify.sound(world)
    print(f"retained will: one transition; a new subscription took {missed} VENs offline", flush=True)
    return missed == 0


async def _lose_ven(world: World, ledger: Ledger) -> None:
    """A VEN connects, and its connection breaks: the broker publishes its will."""
    async with Proxy(world.broker.port).running() as proxy:
        with contextlib.suppress(aiomqtt.MqttError):
            async with aiomqtt.Client("127.0.0.1", proxy.port, will=_WILL) as ven:
                proxy.cut()
                async for _ in ven.messages:
                    pass
    ((at, status),) = await eventually(lambda: _transitions(world))
    # The time of this status is its arrival, which only the database has.
    ledger.statuses[_VEN].append((at, status))


async def _report(world: World, ledger: Ledger) -> None:
    """The VEN sends a reading, and it is stored."""
    ts = round(time.time() * 1000)
    payload = json.dumps({"venId": _VEN, "timestamp": ts, "usedPowerKw": 1.0}).encode()
    async with aiomqtt.Client("127.0.0.1", world.broker.port) as ven:
        await ven.publish("volttron/metering", payload, qos=1)
    Letter("volttron/metering", payload, "reading", _VEN, ts, R(_VEN, ts // 1000, 1.0)).note(ledger)
    stored = "SELECT 1 FROM ven_telemetry WHERE ven_id = %s AND ts = to_timestamp(%s)"
    await eventually(lambda: world.sql(stored, _VEN, ts / 1000))


async def _subscribe_anew(world: World) -> None:
    """Another client wipes ingest's session while it is away: the retained will comes again."""
    worker = world.workers[0]
    worker.kill()
    async with aiomqtt.Client("127.0.0.1", world.broker.port, identifier="torture-0", clean_session=True):
        pass
    worker.start()
    await eventually(lambda: worker.handled() == 1)


def _transitions(world: World) -> list[tuple[int, str]]:
    rows = world.sql(f"SELECT {MS.format('recorded_at')}, status FROM ven_statuses WHERE ven_id = %s", _VEN)
    return [(at, status) for at, status in rows]


def _status_at(world: World) -> int:
    ((at,),) = world.sql(f"SELECT {MS.format('status_at')} FROM vens WHERE ven_id = %s", _VEN)
    return int(at)


def _online(api: str) -> int:
    answer = httpx.get(f"{api}/api/stats/network").raise_for_status()
    online: int = answer.json()["onlineVens"]
    return online
