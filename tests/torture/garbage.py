"""A flood of messages that are anything, with good ones among them."""

import asyncio
import json
import random
import time
from dataclasses import dataclass

import aiomqtt

from tests.servers import eventually
from tests.torture.world import World

_IN_FLIGHT = 50
_GOOD_EVERY = 20
TOPICS = (
    "volttron/metering",
    "oadr/meter/g1",
    "ven/loads/g1",
    "volttron/dev",
    "ven/status/g1",
    "oadr/meter/ ",
    "oadr/meter/" + "x" * 200,
)


@dataclass
class Outcome:
    """What came of a flood."""

    sent: int
    accounted: float
    good_sent: int
    good_stored: int
    seconds: float


async def flood(world: World, seed: int, count: int, qos: int = 1) -> Outcome:
    """Send `count` messages, every twentieth good, and wait until each has its outcome."""
    rng = random.Random(seed)
    began = time.time()
    before = _received(world)
    good = 0
    async with aiomqtt.Client("127.0.0.1", world.broker.port, timeout=60) as client:
        client.pending_calls_threshold = _IN_FLIGHT
        slots = asyncio.Semaphore(_IN_FLIGHT)
        async with asyncio.TaskGroup() as tasks:
            for n in range(count):
                await slots.acquire()
                if n % _GOOD_EVERY == 0:
                    good += 1
                    topic, payload = "volttron/metering", _good(began, n)
                else:
                    topic, payload = rng.choice(TOPICS), mutant(rng, n)
                task = tasks.create_task(client.publish(topic, payload, qos=qos))
                task.add_done_callback(lambda _: slots.release())
    await eventually(lambda: _received(world) - before >= count, timeout=60)
    stored = world.sql("SELECT count(*) FROM ven_telemetry WHERE ven_id = 'good'")[0][0]
    return Outcome(count, _received(world) - before, good, stored, time.time() - began)


def _received(world: World) -> float:
    return world.workers[0].metrics().get("ecs_ingest_received_total", 0)


def _good(began: float, n: int) -> bytes:
    return json.dumps(
        {"venId": "good", "timestamp": began + n / 1000, "usedPowerKw": 1.0, "loads": []}
    ).encode()


def mutant(rng: random.Random, n: int) -> bytes:
    """A message that is wrong in some way, or mutated in a few bytes; never the same twice."""
    body: dict[str, object] = {
        "venId": rng.choice(("g1", "", "a/b", "x" * 200, None, 7, "a\u0000b")),
        "timestamp": rng.choice((time.time(), "now", None, 1e30, -1, True, [], 0)),
        "usedPowerKw": rng.choice((1.0, "1", None, 1e300, {}, -5)),
        "status": rng.choice(("online", None, 5, "")),
        "loads": rng.choice((None, [], [{}], [{"id": "a", "currentPowerKw": n}], "loads", 3)),
        "n": n,
    }
    whole = json.dumps({k: v for k, v in body.items() if rng.random() < 0.9}).encode()
    kind = rng.randrange(10)
    if kind == 0:
        return rng.choice((b"[", b'{"a":')) * rng.choice((10, 5000)) + b"%d" % n
    if kind == 1:
        return rng.randbytes(rng.choice((1, 50, 3000)))
    if kind == 2:
        return b'{"venId":"g1","timestamp":%f,"usedPowerKw":NaN,"n":%d}' % (time.time(), n)
    if kind == 3:
        return b'{"venId":"\\ud800","timestamp":%f,"usedPowerKw":1,"n":%d}' % (time.time(), n)
    if kind == 4:
        return b'{"venId":"g1","venId":"g2","timestamp":%f,"usedPowerKw":1,"usedPowerKw":2,"n":%d}' % (
            time.time(),
            n,
        )
    if kind == 5 and n % 50 == 7:
        return b" " * (1024 * 1024) + b"%d" % n
    if kind == 6 and n % 50 == 7:
        loads = [{"id": f"l{k}", "currentPowerKw": k} for k in range(10_000)]
        return json.dumps(
            {"venId": "g1", "timestamp": time.time(), "usedPowerKw": 1, "loads": loads}
        ).encode()
    data = bytearray(whole)
    for _ in range(rng.randrange(4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)
