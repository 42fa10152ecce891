"""The faults: each one damages a World and repairs it."""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiomqtt
import psycopg
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.receive.paho_bridge import PahoBridge
from shared.commands.migrate import migrate
from tests.support.servers import connect
from tests.torture.world import World

# /health names a server that is away after so many s at most: an idle worker looks every 5 s.
_NAMED_SECONDS = 8.0
# A server that does not answer is given up 5 s after that look.
_FROZEN_SECONDS = 15.0
# Thousands of messages at the suite's rate.
_PILE_SECONDS = 8.0
Deed = Callable[[World, random.Random], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """A fault, and which of "ingest", "database" and "broker" /health may name while it lasts."""

    name: str
    hurts: frozenset[str]
    do: Deed


def hurts(*servers: str) -> Callable[[Deed], Fault]:
    """Make a Fault of a coroutine function."""
    return lambda deed: Fault(getattr(deed, "__name__", ""), frozenset(servers), deed)


def at_once(*faults: Fault) -> Fault:
    """Several faults at the same time, as one."""

    async def do(world: World, rng: random.Random) -> None:
        # Each has a random generator of its own; with a shared one, a seed would not repeat a run.
        chances = [random.Random(rng.random()) for _ in faults]
        await asyncio.gather(*(f.do(world, chance) for f, chance in zip(faults, chances, strict=True)))

    name = " + ".join(fault.name for fault in faults)
    return Fault(name, frozenset[str]().union(*(fault.hurts for fault in faults)), do)


@hurts("ingest")
async def kill_ingest(world: World, rng: random.Random) -> None:
    """kill -9 of one ingest process, at any step."""
    worker = world.in_turn()
    worker.kill()
    worker.start()


@hurts("ingest")
async def stop_ingest(world: World, rng: random.Random) -> None:
    """SIGTERM: it must write what has arrived and exit 0."""
    code = await asyncio.to_thread(world.in_turn().restart)
    assert code == 0, f"exit code {code} after SIGTERM"


@hurts("ingest")
async def freeze_and_kill_ingest(world: World, rng: random.Random) -> None:
    """SIGSTOP while transactions may have committed, then SIGKILL: their PUBACKs are never sent."""
    worker = world.in_turn()
    worker.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(rng.uniform(0, 0.2))
    worker.kill()
    worker.start()


@hurts("database")
async def crash_postgres(world: World, rng: random.Random) -> None:
    """kill -9 of every PostgreSQL process, and a start with recovery."""
    await asyncio.to_thread(world.postgres.kill)
    await _away("database", world, rng)
    await asyncio.to_thread(world.postgres.start)


@hurts("database")
async def restart_postgres(world: World, rng: random.Random) -> None:
    """An orderly stop, and a start in another time zone."""
    await asyncio.to_thread(world.postgres.stop)
    await _away("database", world, rng)
    world.postgres.options["timezone"] = rng.choice(("UTC", "Asia/Kolkata", "America/New_York"))
    await asyncio.to_thread(world.postgres.start)


@hurts("database")
async def freeze_postgres(world: World, rng: random.Random) -> None:
    """Every PostgreSQL process is stopped: connections stay open, and nothing is answered."""
    with world.postgres_frozen():
        await named(world, "database", _FROZEN_SECONDS)


@hurts("database")
async def terminate_backends(world: World, rng: random.Random) -> None:
    """pg_terminate_backend for every connection of ingest, a few times."""
    for _ in range(5):
        with contextlib.suppress(psycopg.OperationalError):
            world.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ecs-ingest%'"
            )
        await asyncio.sleep(rng.uniform(0, 0.1))


@hurts("database")
async def lock_tables(world: World, rng: random.Random) -> None:
    """LOCK TABLE for a table that every batch needs."""
    await _lock(world, rng, seconds=2.0)


@hurts("database")
async def lock_tables_for_20_s(world: World, rng: random.Random) -> None:
    """The same for longer than ingest waits for a lock."""
    await _lock(world, rng, seconds=20.0)


async def _lock(world: World, rng: random.Random, seconds: float) -> None:
    table = rng.choice(("vens", "ven_telemetry", "ven_load_lists"))

    def hold() -> None:
        with connect(world.db) as connection:
            connection.execute(f"LOCK TABLE {table}")
            connection.execute("SELECT pg_sleep(%s)", [seconds])

    await asyncio.to_thread(hold)


@hurts("ingest", "database")
async def crash_postgres_in_full_batches(world: World, rng: random.Random) -> None:
    """kill -9 of PostgreSQL while ingest catches up: batches are full, and a COPY is larger than any socket holds."""
    worker = world.in_turn()
    worker.kill()
    await asyncio.sleep(_PILE_SECONDS)
    worker.start()
    # Subscribed, and the first batches under way.
    await until(lambda: worker.health()[0] == 200)
    await asyncio.sleep(rng.uniform(0, 0.15))
    await crash_postgres.do(world, rng)


@hurts("database")
async def run_migrations(world: World, rng: random.Random) -> None:
    """The newest migration is rolled back and applied again while ingest works."""
    await asyncio.to_thread(migrate, world.db, 1)
    await asyncio.to_thread(migrate, world.db)


@hurts("database")
async def read_only_database(world: World, rng: random.Random) -> None:
    """The database refuses writes for a while, as with a full disk or after a failover."""
    world.sql("ALTER DATABASE torture SET default_transaction_read_only = on")
    await terminate_backends.do(world, rng)
    # Only a worker that has something to write can notice.
    await until(lambda: any("database" in worker.waiting_for() for worker in world.workers))
    admin = world.postgres.settings()
    with connect(admin, autocommit=True) as connection:
        connection.execute("ALTER DATABASE torture RESET default_transaction_read_only")
    with connect(admin, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ecs-%'"
        )


@hurts("broker")
async def restart_broker(world: World, rng: random.Random) -> None:
    """An orderly stop of the broker, which saves its sessions, and a start."""
    await asyncio.to_thread(world.broker.stop)
    await _away("broker", world, rng)
    await asyncio.to_thread(world.broker.start)


@hurts("broker")
async def take_session_over(world: World, rng: random.Random) -> None:
    """A client with ingest's own id connects, acknowledges nothing and disconnects: ingest must connect again."""
    name = f"torture-{rng.randrange(len(world.workers))}"
    intruder = aiomqtt.Client(
        "127.0.0.1",
        world.broker.port,
        identifier=name,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=False,
        properties=_long_session(),
    )
    PahoBridge(intruder, lambda *_: None, lambda *_: None)
    with contextlib.suppress(aiomqtt.MqttError):
        async with intruder:
            await asyncio.sleep(rng.uniform(0, 0.2))
    if intruder._disconnected.done():
        intruder._disconnected.exception()


async def _away(server: str, world: World, rng: random.Random) -> None:
    """Wait while `server` is away: for some time, or (half of the cases) until every worker's /health names it."""
    await asyncio.sleep(rng.uniform(0, 0.5))
    if rng.random() < 0.5:
        await named(world, server)


async def named(world: World, server: str, within: float = _NAMED_SECONDS) -> None:
    """Wait until every worker's /health names `server`; AssertionError if that takes more than `within` s."""
    await until(lambda: all(server in worker.waiting_for() for worker in world.workers), within)


def _long_session() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 86400
    return properties


async def until(condition: Callable[[], bool], timeout: float = 30) -> None:  # noqa: ASYNC109 a deadline for polling
    """Wait until `condition()` holds; AssertionError if that takes more than `timeout` s."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the fault did not take"
        await asyncio.sleep(0.05)


INGEST = (kill_ingest, stop_ingest, freeze_and_kill_ingest)
DATABASE = (
    *(crash_postgres, restart_postgres, freeze_postgres, terminate_backends),
    *(lock_tables, read_only_database, run_migrations),
)
BROKER = (restart_broker, take_session_over)
ALL = (*INGEST, *DATABASE, *BROKER)
# These take long.
LONG = (lock_tables_for_20_s, crash_postgres_in_full_batches)


def at_random(rng: random.Random, choice: Sequence[Fault], steps: int) -> list[Fault]:
    """Faults of `choice`, every second one at once with one of the database."""
    others = [fault for fault in choice if fault not in DATABASE]
    return [
        at_once(rng.choice(DATABASE), rng.choice(others)) if step % 2 == 0 else rng.choice(choice)
        for step in range(steps)
    ]
