"""The faults, each a coroutine that does its worst to a World and leaves it whole again."""

import asyncio
import contextlib
import random
import signal
import time

import aiomqtt
import psycopg
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.wire import Wire
from shared.migrate import migrate
from tests.servers import connect
from tests.torture.proxy import Proxy
from tests.torture.world import World


async def kill_ingest(world: World, rng: random.Random) -> None:
    """kill -9 of one ingest process, wherever it is."""
    worker = rng.choice(world.workers)
    worker.kill()
    worker.start()


async def stop_ingest(world: World, rng: random.Random) -> None:
    """SIGTERM: it must write what it has in hand and exit 0."""
    code = await asyncio.to_thread(rng.choice(world.workers).restart)
    assert code == 0, f"exit code {code} after SIGTERM"


async def freeze_and_kill_ingest(world: World, rng: random.Random) -> None:
    """SIGSTOP while transactions may have committed, then SIGKILL: their PUBACKs are never sent."""
    worker = rng.choice(world.workers)
    worker.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(rng.uniform(0, 0.2))
    worker.kill()
    worker.start()


async def crash_postgres(world: World, rng: random.Random) -> None:
    """kill -9 of every PostgreSQL process, and a start with recovery."""
    await asyncio.to_thread(world.postgres.kill)
    await asyncio.sleep(rng.uniform(0, 1))
    await asyncio.to_thread(world.postgres.start)


async def restart_postgres(world: World, rng: random.Random) -> None:
    """An orderly stop and start, in another time zone."""
    await asyncio.to_thread(world.postgres.stop)
    world.postgres.options["timezone"] = rng.choice(("UTC", "Asia/Kolkata", "America/New_York"))
    await asyncio.to_thread(world.postgres.start)


async def terminate_backends(world: World, rng: random.Random) -> None:
    """pg_terminate_backend on every connection of ingest, a few times."""
    for _ in range(5):
        with contextlib.suppress(psycopg.OperationalError):
            world.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ecs-ingest%'"
            )
        await asyncio.sleep(rng.uniform(0, 0.1))


async def lock_tables(world: World, rng: random.Random, seconds: float = 2.0) -> None:
    """LOCK TABLE on what every batch needs."""

    def hold() -> None:
        with connect(world.db) as connection:
            connection.execute(f"LOCK TABLE {rng.choice(('vens', 'ven_telemetry', 'ven_load_samples'))}")
            connection.execute("SELECT pg_sleep(%s)", [seconds])

    await asyncio.to_thread(hold)


async def lock_tables_for_20_s(world: World, rng: random.Random) -> None:
    """The same for longer than ingest waits for a lock."""
    await lock_tables(world, rng, seconds=20.0)


async def run_migrations(world: World, rng: random.Random) -> None:
    """The newest migration goes back and forth while ingest works."""
    await asyncio.to_thread(migrate, world.db, 1)
    await asyncio.to_thread(migrate, world.db)


async def read_only_database(world: World, rng: random.Random) -> None:
    """The database takes no writes for a while, as a full disk or a failover would have it."""
    world.sql("ALTER DATABASE torture SET default_transaction_read_only = on")
    await terminate_backends(world, rng)
    await until(lambda: any(worker.health()[0] == 503 for worker in world.workers))
    admin = world.postgres.settings()
    with connect(admin, autocommit=True) as connection:
        connection.execute("ALTER DATABASE torture RESET default_transaction_read_only")
    with connect(admin, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ecs-%'"
        )


async def restart_broker(world: World, rng: random.Random) -> None:
    """An orderly stop of the broker, which saves its sessions, and a start."""
    await asyncio.to_thread(world.broker.stop)
    await asyncio.sleep(rng.uniform(0, 0.5))
    await asyncio.to_thread(world.broker.start)


async def take_session_over(world: World, rng: random.Random) -> None:
    """A client with ingest's own id connects, acknowledges nothing and goes: ingest must come back."""
    name = f"torture-{rng.randrange(len(world.workers))}"
    intruder = aiomqtt.Client(
        "127.0.0.1",
        world.broker.port,
        identifier=name,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=False,
        properties=_long_session(),
    )
    Wire(intruder, lambda *_: None, lambda _: None)
    with contextlib.suppress(aiomqtt.MqttError):
        async with intruder:
            await asyncio.sleep(rng.uniform(0, 0.2))
    if intruder._disconnected.done():
        intruder._disconnected.exception()


def cut_connection(proxy: Proxy) -> None:
    """Break ingest's connection in the middle of a packet."""
    proxy.cut_in_mid_packet()


async def swallow_acks(world: World, proxy: Proxy) -> None:
    """PUBACKs never reach the broker, then ingest dies: all that was committed is delivered again."""
    proxy.swallow = True
    stored = _stored(world)
    await until(lambda: _stored(world) > stored)
    world.workers[0].kill()
    proxy.swallow = False
    world.workers[0].start()


async def half_open(world: World, proxy: Proxy, keepalive: float) -> None:
    """Nothing comes through any more, and no connection breaks: keepalive must notice."""
    proxy.silent = proxy.swallow = True
    await until(lambda: world.workers[0].health()[0] == 503, timeout=keepalive * 3 + 10)
    proxy.silent = proxy.swallow = False


def _stored(world: World) -> float:
    return world.workers[0].metrics().get("ecs_ingest_stored_total", 0)


def _long_session() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 86400
    return properties


async def until(condition: object, timeout: float = 30) -> None:  # noqa: ASYNC109 a deadline for polling
    """Wait until `condition()` holds; AssertionError if that takes more than `timeout` s."""
    deadline = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the fault did not take"
        await asyncio.sleep(0.05)


INGEST = (kill_ingest, stop_ingest, freeze_and_kill_ingest)
DATABASE = (
    *(crash_postgres, restart_postgres, terminate_backends),
    *(lock_tables, read_only_database, run_migrations),
)
BROKER = (restart_broker, take_session_over)
ALL = (*INGEST, *DATABASE, *BROKER)
