"""Whether /health, /metrics and the log told the truth while faults were done."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.torture.verify import balanced
from tests.torture.world import Worker, World

_EVERY_SECONDS = 0.1
# For so many s after a fault is over, a worker may still notice what it did.
_NOTICED_SECONDS = 2.0
_FRESH = "not yet connected"
# What the log says when a server is lost, and when it is there again.
_CHANGES = {"waiting_for_database": "database_ready", "broker_lost": "subscribed"}
_COMPLAINTS = (*_CHANGES, "leader_waits")


@dataclass(frozen=True)
class Sighting:
    """What /health of one worker said; times of the monotonic clock."""

    asked_at: float
    answered_at: float
    status: int
    waiting_for: dict[str, str]

    def accused(self) -> set[str]:
        """The servers that it blames; "ingest" stands for a process that does not answer, or has just begun."""
        if self.status == 0:
            return {"ingest"}
        return {"ingest" if why == _FRESH else server for server, why in self.waiting_for.items()}


class Witness:
    """Looks at every worker many times a second, and knows which servers a fault hurts at that time."""

    def __init__(self, world: World) -> None:
        self._workers = world.workers
        self._seen: list[tuple[Worker, Sighting]] = []
        self._hurt: list[tuple[float, float, frozenset[str]]] = []
        self._stop = asyncio.Event()
        self._unbalanced: list[dict[str, float]] = []

    @contextmanager
    def hurting(self, servers: frozenset[str]) -> Iterator[None]:
        """While the block runs, /health may speak of these servers."""
        began = time.monotonic()
        yield
        self._hurt.append((began, time.monotonic() + _NOTICED_SECONDS, servers))

    async def watch(self) -> None:
        """Look until stopped."""
        async with asyncio.TaskGroup() as tasks:
            for worker in self._workers:
                tasks.create_task(self._watch(worker))

    async def _watch(self, worker: Worker) -> None:
        while not self._stop.is_set():
            asked = time.monotonic()
            # In a thread: a frozen process does not answer.
            status, body = await asyncio.to_thread(worker.health)
            sighting = Sighting(asked, time.monotonic(), status, body.get("waitingFor", {}))
            self._seen.append((worker, sighting))
            figures = await asyncio.to_thread(worker.metrics)
            if not balanced(figures):
                self._unbalanced.append(figures)
            await asyncio.sleep(_EVERY_SECONDS)

    def stop(self) -> None:
        """End `watch`."""
        self._stop.set()

    def testify(self) -> None:
        """AssertionError if a worker said anything that is not true, or if its /health is not 200 now."""
        lies: dict[str, Collection[object]] = {
            "not 200": [health for w in self._workers if (health := w.health())[0] != 200],
            "blamed without cause": self._slander(),
            "given by /health, not logged": self._unsaid(),
            "logged twice": [r for w in self._workers for life in w.lives() for r in repeats(life)],
            "lost, never back": [lost for w in self._workers for lost in unended(w.lives()[-1])],
            "received without outcome": self._unbalanced,
        }
        assert not any(lies.values()), {what: list(found)[:5] for what, found in lies.items() if found}

    def _slander(self) -> list[Sighting]:
        """Sightings that blame a server which no fault hurt at that time."""
        return [sighting for _, sighting in self._seen if sighting.accused() - self._hurt_at(sighting)]

    def _hurt_at(self, sighting: Sighting) -> set[str]:
        return {
            server
            for began, ended, servers in self._hurt
            if began <= sighting.answered_at and sighting.asked_at <= ended
            for server in servers
        }

    def _unsaid(self) -> set[str]:
        """Reasons that /health gave and the log did not."""
        given = {why for _, sighting in self._seen for why in sighting.waiting_for.values()}
        return given - {_FRESH} - {e["why"] for e in _events(self._workers) if e["event"] in _COMPLAINTS}


@asynccontextmanager
async def witnessed(world: World) -> AsyncIterator[Witness]:
    """A witness while the block runs; AssertionError at its end if ingest said something that is not true."""
    witness = Witness(world)
    watching = asyncio.create_task(witness.watch(), name="witness")
    try:
        yield witness
    finally:
        witness.stop()
        await watching
    witness.testify()


def repeats(life: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records that repeat the one before: the log must name changes, not retries."""
    return [
        after
        for lost, back in _CHANGES.items()
        for before, after in pairwise(e for e in life if e["event"] in (lost, back))
        if after["event"] == lost and before.get("why") == after["why"]
    ]


def unended(life: list[dict[str, Any]]) -> list[str]:
    """Losses without a later record that the server is back."""
    said = [[e["event"] for e in life if e["event"] in change] for change in _CHANGES.items()]
    return [events[-1] for events in said if events and events[-1] in _CHANGES]


def _events(workers: list[Worker]) -> Iterator[dict[str, Any]]:
    return (event for worker in workers for life in worker.lives() for event in life)
