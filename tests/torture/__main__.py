"""`make torture`: the long form of the fault suite. Prints each round with its seed, and a table at the end.

    make torture ARGS="--seed 7 --rounds 100 --minutes 15"

A seed repeats the faults and the messages; which message a fault meets depends on the machine.
"""

import argparse
import asyncio
import random
import time
from collections import defaultdict
from statistics import median

from rich.console import Console
from rich.table import Table

from shared import logs
from shared.config import Log
from tests.benchmarks.machine import machine
from tests.support.small_disk import MountRefusedError
from tests.torture import faults, verify
from tests.torture.broken_connections import broken_connections
from tests.torture.broker_loss import backlog, kill_broker, restart_with_shared_subscription
from tests.torture.full_disk import full_tables, full_wal
from tests.torture.garbage import flood
from tests.torture.ledger import Ledger
from tests.torture.retained_will import retained_will
from tests.torture.rounds import Round, run_round, world_of
from tests.torture.soak import soak
from tests.torture.workers import workers

_CHAOS_STEPS = 6
_CORPUS = 2000


async def killed_ingest(seed: int, rounds: int, workers: int) -> list[Round]:
    """kill -9 of ingest, again and again; after each kill the database equals the ledger."""
    ledger = Ledger()
    done = []
    async with world_of(workers=workers) as world:
        for number in range(rounds):
            # With two workers, the faults hit them in turn.
            fault = (faults.kill_ingest, faults.freeze_and_kill_ingest)[number // workers % 2]
            done.append(
                _say(seed + number, await run_round(world, seed + number, [fault], ledger, settle=0.3))
            )
    return done


async def every_fault(seed: int, rounds: int) -> list[Round]:
    """Each fault of ingest, database and broker, `rounds` times."""
    ledger = Ledger()
    done = []
    async with world_of() as world:
        chosen = (*faults.ALL, *faults.LONG)
        for number in range(rounds * len(chosen)):
            fault = chosen[number % len(chosen)]
            done.append(_say(seed + number, await run_round(world, seed + number, [fault], ledger)))
    return done


async def full_disks(seed: int) -> list[Round]:
    """Both kinds of full disk; no round where a small file system cannot be mounted."""
    try:
        return [_say(seed, await full_tables(seed)), _say(seed, await full_wal(seed))]
    except MountRefusedError as exc:
        print(f"full disk: left out, {exc}")
        return []


async def chaos(seed: int, minutes: float, workers: int) -> list[Round]:
    """Faults in random order, some at the same time, for `minutes`; the rollups are checked at the end.

    With a shared subscription the broker is not restarted: `restart_with_shared_subscription` measures what that costs.
    """
    choice = faults.ALL if workers == 1 else [f for f in faults.ALL if f is not faults.restart_broker]
    ledger = Ledger()
    done = []
    until = time.monotonic() + minutes * 60
    async with world_of(workers=workers) as world:
        while time.monotonic() < until:
            seed += 1
            chosen = faults.at_random(random.Random(seed), choice, _CHAOS_STEPS)
            done.append(_say(seed, await run_round(world, seed, chosen, ledger, settle=0.3, roll_up=False)))
        await verify.rolled_up(world, ledger)
    return done


async def garbage(seed: int, count: int) -> None:
    """A flood of garbage."""
    async with world_of() as world:
        outcome = await flood(world, seed, count, corpus=_CORPUS)
        verify.sound(world)
        verify.accounted(world)
    assert outcome.good_stored == outcome.good_sent
    assert sum(outcome.outcomes.values()) == outcome.sent
    assert outcome.outcomes["dead_lettered"] == outcome.reasons.total()
    assert not outcome.unclear, outcome.unclear
    print(
        f"garbage: {outcome.sent:,} messages in {outcome.seconds:.0f} s, all accounted for; "
        f"{outcome.good_stored:,} of {outcome.good_sent:,} good ones stored; peak {world.workers[0].peak_mb:.0f} MB"
    )
    for reason, times in outcome.reasons.most_common():
        print(f"{times:>10,}  {reason}")


def _say(seed: int, done: Round) -> Round:
    print(
        f"seed {seed}: {', '.join(done.faults)}: exact; {done.messages} messages, "
        f"healthy again after {done.recovery_s:.1f} s, drained after {done.drain_s:.1f} s",
        flush=True,
    )
    return done


def _table(rounds: list[Round]) -> Table:
    table = Table(title=f"Faults survived with rows exact, {machine()}")
    for head in ("fault", "times", "healthy again after s (median)", "(most)", "peak MB"):
        table.add_column(head, justify="left" if head == "fault" else "right")
    by_fault: dict[str, list[Round]] = defaultdict(list)
    for done in rounds:
        by_fault[done.faults[0] if len(done.faults) == 1 else f"{len(done.faults)} steps at random"].append(
            done
        )
    for fault, those in by_fault.items():
        recovery = [done.recovery_s for done in those]
        peak = max(done.peak_mb for done in those)
        table.add_row(
            fault, str(len(those)), f"{median(recovery):.1f}", f"{max(recovery):.1f}", f"{peak:.0f}"
        )
    return table


async def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--rounds", type=int, default=100, help="kills of ingest")
    parser.add_argument("--each", type=int, default=3, help="times each fault")
    parser.add_argument("--minutes", type=float, default=5, help="of all faults in random order")
    parser.add_argument("--garbage", type=int, default=1_000_000, help="messages")
    parser.add_argument("--backlog", type=float, default=10, help="minutes of backlog in the broker")
    parser.add_argument("--soak", type=float, default=15, help="minutes at a steady 2,000 messages/s")
    options = parser.parse_args()
    logs.configure(Log(level="warning"), "torture")
    print(f"seed {options.seed}", flush=True)
    rounds = await killed_ingest(options.seed, options.rounds // 2, workers=1)
    rounds += await killed_ingest(options.seed + 1000, options.rounds - options.rounds // 2, workers=2)
    rounds += await every_fault(options.seed + 2000, options.each)
    for number, done in enumerate(await broken_connections(options.seed + 2200)):
        rounds.append(_say(options.seed + 2200 + number, done))
    rounds += await full_disks(options.seed + 2500)
    rounds += await chaos(options.seed + 3000, options.minutes / 2, workers=1)
    rounds += await chaos(options.seed + 4000, options.minutes / 2, workers=2)
    Console(width=120).print(_table(rounds))
    if options.backlog:
        await backlog(options.seed, options.backlog)
    await kill_broker(options.seed)
    await restart_with_shared_subscription(options.seed)
    await retained_will(options.seed)
    await workers(options.seed)
    if options.garbage:
        await garbage(options.seed, options.garbage)
    if options.soak:
        await soak(options.soak)


if __name__ == "__main__":
    asyncio.run(main())
