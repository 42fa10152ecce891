"""An `ecs-backend up` that runs here: commands beside it find its servers by themselves.

`up` writes which servers it has started into its data directory, and holds a lock there as long as it runs.
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
# Who gives one of these has servers of his own.
_DATABASE, _BROKER = "DB_HOST", "MQTT_HOST"


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Hold the data directory of an `up`, or raise StartupError that names the process which holds it."""
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
    """Note the settings that lead to the servers which run on `data`; those of an earlier run go."""
    file = data / _SETTINGS
    file.unlink(missing_ok=True)
    if not settings:
        return
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()), encoding="utf-8")


def environment(data: Path = DATA) -> dict[str, str]:
    """As config.environment(); what leads to no server there is taken from the `up` that runs on `data`, if one does.

    The login of a server is taken as a whole, or not at all.
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
    """What the `up` that runs on `data` has written; nothing if none runs."""
    with suppress(OSError), (data / _LOCK).open(encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return {name: value or "" for name, value in dotenv_values(data / _SETTINGS).items()}
    return {}
