"""Two workers in a shared group under load: the one that leads is killed, and its session retired with `leave`.

`python -m tests.torture.workers [SEED]` runs it alone.
"""

import asyncio
import json
import subprocess
import sys
import time

from shared import logs
from shared.config import Log
from tests.support.servers import as_environment, eventually
from tests.torture import verify
from tests.torture.ledger import Ledger
from tests.torture.rounds import load, world_of
from tests.torture.world import Worker, World

_BEFORE_SECONDS, _BETWEEN_SECONDS, _LEAVE_SECONDS = 3.0, 5.0, 60.0


async def workers(seed: int, rate: float = 1000.0) -> None:
    """AssertionError unless every acknowledged message is stored once; prints how long each step took."""
    ledger = Ledger()
    async with world_of(workers=2) as world:
        async with load(world, seed, ledger, rate):
            await asyncio.sleep(_BEFORE_SECONDS)
            await eventually(lambda: any(map(_leads, world.workers)), 30)
            leader = next(each for each in world.workers if _leads(each))
            other = next(each for each in world.workers if each is not leader)
            took_over = await _kill_leader(leader, other)
            await asyncio.sleep(_BETWEEN_SECONDS)
            # The broker still gives the killed worker's session its share: `leave` stores that, and ends the session.
            left, seconds = await asyncio.to_thread(_leave, world, leader)
            world.workers.remove(leader)
            await asyncio.sleep(_BETWEEN_SECONDS)
        drain = await verify.drained(world, ledger)
        # What waited in the killed worker's session came late, and a late status gets the time of its arrival.
        found = verify.differences(world, ledger)
        found.pop("ven_statuses", None)
        assert not found, found
        await verify.rolled_up(world, ledger)
        print(
            f"two workers: {ledger.published} messages, {rate:g} a second; the other led {took_over:.1f} s after the "
            f"kill; leave wrote {left} messages in {seconds:.1f} s; drained {drain:.1f} s after the last; readings, "
            "loads, dead letters and rollups exact",
            flush=True,
        )


def _leads(worker: Worker) -> bool:
    jobs = {record["job"] for record in worker.lives()[-1] if record["event"] == "leading"}
    return jobs == {"count", "count loads"}


async def _kill_leader(leader: Worker, other: Worker) -> float:
    """SIGKILL to the leader; returns the seconds until the other worker leads both jobs."""
    leader.kill()
    began = time.monotonic()
    await eventually(lambda: _leads(other), 60)
    return time.monotonic() - began


def _leave(world: World, worker: Worker) -> tuple[int, float]:
    """Retire the worker's session; returns how many messages that stored, and the seconds it took."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ingest.leave"],
        env={**as_environment(world.db, worker.mqtt), "LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        timeout=_LEAVE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    (left,) = [json.loads(line) for line in done.stderr.splitlines() if '"event": "left"' in line]
    return int(left["messages"]), time.monotonic() - began


if __name__ == "__main__":
    logs.configure(Log(level="warning"), "torture")
    asyncio.run(workers(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
