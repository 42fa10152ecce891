"""A mosquitto with a test's own configuration, for what the project's does not have: limits, passwords, TLS."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.embedded.broker import find_mosquitto
from shared.embedded.child import spawn, stop
from shared.ports import accepts
from tests.support.servers import Address, free_port, wait_until

_HOST = "127.0.0.1"


@contextmanager
def mosquitto(directory: Path, *lines: str, host: str = _HOST) -> Iterator[Address]:
    """A running mosquitto, at `host`; `lines` follow its listener in its configuration."""
    port = free_port()
    config, log = directory / f"mosquitto-{port}.conf", directory / f"mosquitto-{port}.log"
    listener = [f"listener {port} {_HOST}", *(["user root"] if os.geteuid() == 0 else [])]
    config.write_text("\n".join([*listener, *lines, ""]))
    process = spawn([find_mosquitto() or "mosquitto", "-c", config], log=log)
    try:
        wait_until(lambda: accepts(_HOST, port), explain=log.read_text)
        yield host, port
    finally:
        stop(process, signal.SIGTERM, timeout=10)
