"""A disk that is really full: the database's tables, or its WAL, on a small file system of their own."""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.servers import execute
from tests.support.small_disk import filled, give_to_owner, small_disk, tablespace
from tests.torture import faults
from tests.torture.ledger import Ledger
from tests.torture.rounds import Round, run_round, world_of
from tests.torture.world import World


async def full_tables(seed: int) -> Round:
    """The disk of the tables fills up while ingest stores, and is freed again."""

    def move(world: World, disk: Path) -> None:
        tables = tablespace(disk, world.postgres.directory)
        admin = world.postgres.settings()
        execute(admin, f"CREATE TABLESPACE small LOCATION '{tables}'")
        execute(admin, "ALTER DATABASE torture SET TABLESPACE small")

    async def fill(world: World, disk: Path) -> None:
        worker = world.workers[0]
        with filled(disk):
            await faults.until(lambda: worker.health()[0] == 503)
            assert worker.health()[1]["waitingFor"] == {"database": "the database's disk is full"}

    return await _full("tables", seed, move, fill)


async def full_wal(seed: int) -> Round:
    """The disk of the WAL fills up: PostgreSQL ends, and is started again when there is space."""

    def move(world: World, disk: Path) -> None:
        world.postgres.stop()
        wal = world.postgres.directory / "pg_wal"
        shutil.move(wal, disk / "wal")
        for path in (disk / "wal", *(disk / "wal").rglob("*")):
            give_to_owner(path, world.postgres.directory)
        wal.symlink_to(disk / "wal")
        world.postgres.start()

    async def fill(world: World, disk: Path) -> None:
        server = world.postgres.process
        assert server
        with filled(disk):
            await faults.until(lambda: world.workers[0].health()[0] == 503, timeout=60)
            await faults.until(lambda: server.poll() is not None, timeout=60)
            assert "database" in world.workers[0].health()[1]["waitingFor"]
        await asyncio.to_thread(world.postgres.stop)
        await asyncio.to_thread(world.postgres.start)

    return await _full("wal", seed, move, fill)


async def _full(
    what: str, seed: int, move: Callable[[World, Path], None], fill: Callable[[World, Path], Awaitable[None]]
) -> Round:
    ledger = Ledger()
    with small_disk() as disk:
        async with world_of() as world:
            world.workers[0].kill()
            await asyncio.to_thread(move, world, disk)
            world.workers[0].start()
            await world.healthy()

            async def full_disk(world: World, _: random.Random) -> None:
                await fill(world, disk)

            fault = faults.Fault(f"full disk: {what}", frozenset({"database"}), full_disk)
            return await run_round(world, seed, [fault], ledger)
