"""A small file system of its own, which tests fill to the last byte: a disk that is really full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.servers import temporary_directory

_DISK_MB = 200


class MountRefusedError(OSError):
    """This user may not mount a file system here."""


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of 200 MB in memory; MountRefusedError where mounting is not allowed."""
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


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill `disk` to the last byte, and free it at the end."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


def tablespace(disk: Path, data_directory: Path) -> Path:
    """An empty directory on `disk` that the server with that data directory may take as a tablespace."""
    tables = disk / "tables"
    tables.mkdir()
    give_to_owner(tables, data_directory)
    return tables


def give_to_owner(path: Path, data_directory: Path) -> None:
    """Let `path` belong to the user that the server with that data directory runs as."""
    owner = data_directory.stat()
    os.chown(path, owner.st_uid, owner.st_gid)
