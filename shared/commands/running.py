"""Lets commands find the servers of an `ecs-backend up` that runs in the same directory.

`up` writes the settings of its servers into its data directory, and holds a lock there while it runs.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dotenv import dotenv_values

from shared import config
from shared.errors import StartupError

DATA = Path(".data")
_LOCK, _SETTINGS = "lock", "servers.env"
# If one of these is set, that server is not one of `up`.
_DATABASE, _BROKER = "DB_HOST", "MQTT_HOST"


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Lock the data directory of an `up`; raises StartupError that names the process which has it locked."""
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StartupError(f"--data {data} cannot be made: {exc.strerror}") from exc
    with (data / _LOCK).open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            lock.seek(0)
            raise StartupError(
                f"process {lock.read().strip()} already runs on {data}: stop it, or choose another --data"
            ) from exc
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def write(data: Path, settings: Mapping[str, str]) -> None:
    """Write the settings of the servers that run on `data`, in place of those of an earlier run."""
    file = data / _SETTINGS
    file.unlink(missing_ok=True)
    if not settings:
        return
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()), encoding="utf-8")


def environment(data: Path = DATA) -> dict[str, str]:
    """config.environment(), with the settings of the `up` that runs on `data`, if one does, for servers not set there.

    The settings of a server are taken as a whole, or not at all.
    """
    given = config.environment()
    found = _of_up(data)
    for host, prefix in ((_DATABASE, "DB_"), (_BROKER, "MQTT_")):
        login = {name: value for name, value in found.items() if name.startswith(prefix)}
        if host not in given and host in login:
            given.update(login)
    others = {name: value for name, value in found.items() if not name.startswith(("DB_", "MQTT_"))}
    return config.without_unset({**others, **given})


def _of_up(data: Path) -> dict[str, str]:
    """The settings written by the `up` that runs on `data`; empty if none runs."""
    with suppress(OSError), (data / _LOCK).open(encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return {name: value or "" for name, value in dotenv_values(data / _SETTINGS).items()}
    return {}
