"""A disk that is really full: the database's tables, or its WAL, on a small file system of their own."""

import asyncio
import os
import random
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.servers import execute, temporary_directory
from tests.torture import faults
from tests.torture.ledger import Ledger
from tests.torture.rounds import Round, run_round, world_of
from tests.torture.world import World

_DISK_MB = 200


class MountRefusedError(OSError):
    """This user may not mount a file system here."""


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of its own, of 200 MB in memory; MountRefusedError where that is not allowed."""
    with temporary_directory() as directory:
        command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m,mode=0755", "tmpfs", str(directory)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as exc:
            raise MountRefusedError("a small file system needs root and the right to mount") from exc
        try:
            yield directory
        finally:
            subprocess.run(["umount", str(directory)], check=True)


async def full_tables(seed: int) -> Round:
    """The disk of the tables fills up while ingest stores, and is freed again."""

    def move(world: World, disk: Path) -> None:
        tables = disk / "tables"
        tables.mkdir()
        _give_to_postgres(world, tables)
        admin = world.postgres.settings()
        execute(admin, f"CREATE TABLESPACE small LOCATION '{tables}'")
        execute(admin, "ALTER DATABASE torture SET TABLESPACE small")

    async def fill(world: World, disk: Path) -> None:
        worker = world.workers[0]
        with _filled(disk):
            await faults.until(lambda: worker.health()[0] == 503)
            assert worker.health()[1]["waitingFor"] == {"database": "the database's disk is full"}

    return await _full("tables", seed, move, fill)


async def full_wal(seed: int) -> Round:
    """The disk of the WAL fills up: PostgreSQL itself ends, and is started when there is room again."""

    def move(world: World, disk: Path) -> None:
        world.postgres.stop()
        wal = world.postgres.directory / "pg_wal"
        shutil.move(wal, disk / "wal")
        for path in (disk / "wal", *(disk / "wal").rglob("*")):
            _give_to_postgres(world, path)
        wal.symlink_to(disk / "wal")
        world.postgres.start()

    async def fill(world: World, disk: Path) -> None:
        server = world.postgres.process
        assert server
        with _filled(disk):
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


@contextmanager
def _filled(disk: Path) -> Iterator[None]:
    """No byte is free on `disk`."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


def _give_to_postgres(world: World, path: Path) -> None:
    owner = world.postgres.directory.stat()
    os.chown(path, owner.st_uid, owner.st_gid)
