"""A flood of garbage, with good messages among it."""

import asyncio
import json
import random
import re
import time
from collections import Counter
from dataclasses import dataclass

import aiomqtt

from tests.support.anything import payloads
from tests.support.servers import eventually
from tests.torture.mutants import TOPICS, Mutator
from tests.torture.world import World

_IN_FLIGHT = 50
_GOOD_EVERY = 20
# So many messages of a million are retained; a topic holds one.
_RETAINED = 0.001
_CORPUS = 200
_OUTCOMES = ("stored", "duplicate", "dead_lettered", "ignored")
# Names of Python classes, `None`, and what ingest says of an unexpected error.
_NO_WORDS_FOR_PEOPLE = re.compile(r"Error|Exception|\b[A-Z][a-z]+[A-Z]|\bNone\b|0x[0-9a-f]|decoding failed")


@dataclass
class Outcome:
    """The outcome of a flood."""

    sent: int
    outcomes: dict[str, float]
    good_sent: int
    good_stored: int
    seconds: float
    reasons: Counter[str]

    @property
    def unclear(self) -> list[str]:
        """Reasons of dead letters that a person would not understand."""
        return [
            reason for reason in self.reasons if not reason.strip() or _NO_WORDS_FOR_PEOPLE.search(reason)
        ]


async def flood(world: World, seed: int, count: int, corpus: int = _CORPUS) -> Outcome:
    """Send about `count` messages of any kind, every twentieth good, and wait until each has its outcome.

    QoS 0 and 1 are mixed, some messages are retained, and `corpus` payloads of hypothesis are mutated with others.
    """
    rng = random.Random(seed)
    began = time.time()
    mutator = Mutator(seed, payloads(round(began), seed, corpus))
    before = _figures(world)
    async with aiomqtt.Client("127.0.0.1", world.broker.port, timeout=60) as client:
        client.pending_calls_threshold = _IN_FLIGHT
        slots = asyncio.Semaphore(_IN_FLIGHT)
        async with asyncio.TaskGroup() as tasks:
            for n in range(count):
                await slots.acquire()
                if n % _GOOD_EVERY == 0:
                    sending = client.publish("volttron/metering", _good(began, n), qos=1)
                else:
                    topic, payload = mutator.next(n)
                    retain = rng.random() < _RETAINED
                    sending = client.publish(topic, payload, qos=rng.randrange(2), retain=retain)
                tasks.create_task(sending).add_done_callback(lambda _: slots.release())
        # An empty retained message deletes the retained one.
        for topic in TOPICS:
            await client.publish(topic, b"", qos=1, retain=True)
    sent = count + len(TOPICS)
    handled = world.workers[0].handled
    await eventually(lambda: handled() - sum(before.values()) >= sent, timeout=60)
    outcomes = {name: _figures(world)[name] - before[name] for name in _OUTCOMES}
    stored = world.sql("SELECT count(*) FROM ven_telemetry WHERE ven_id = 'good'")[0][0]
    good = -(-count // _GOOD_EVERY)
    return Outcome(sent, outcomes, good, stored, time.time() - began, _reasons(world))


def _figures(world: World) -> dict[str, float]:
    figures = world.workers[0].metrics()
    return {name: figures.get(f"ecs_ingest_{name}_total", 0) for name in _OUTCOMES}


def _reasons(world: World) -> Counter[str]:
    """How many dead letters there are of each reason, without numbers and quoted text of messages."""
    reasons: Counter[str] = Counter()
    for error, times in world.sql("SELECT error, times_seen FROM dead_letters"):
        folded = re.sub(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", "'…'", error)
        reasons[re.sub(r"(?<![\w-])(?<!ISO )-?\d[\d.,:]*(?:e[+-]?\d+)?", "#", folded)] += times
    return reasons


def _good(began: float, n: int) -> bytes:
    return json.dumps(
        {"venId": "good", "timestamp": began + n / 1000, "usedPowerKw": 1.0, "loads": []}
    ).encode()
