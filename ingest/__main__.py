"""`python -m ingest`: settings, signals, and the daemon."""

import asyncio
import signal
import socket
import sys

import uvloop

from ingest.database import leave_lost
from ingest.log_lines import LINES
from ingest.service import Service
from ingest.settings import Settings, read
from shared import logs
from shared.commands import program
from shared.config import environment
from shared.garbage import collect_seldom
from shared.logs import get_logger
from shared.ports import listen
from shared.weak_password import warn_of_weak_password

log = get_logger(__name__)


def main() -> int:
    """Run until SIGTERM or SIGINT. Exit code: 0; 1 when ingest cannot run; 2 when a setting is wrong."""
    return program.run_service("ingest", __doc__, _serve)


def _serve() -> int:
    settings = read(environment())
    logs.configure(settings.log, "ingest", LINES)
    warn_of_weak_password(settings.db)
    host, port = settings.ingest.http_host, settings.ingest.http_port
    with listen(host, port, "set INGEST_HTTP_PORT to a free one") as listener:
        return uvloop.run(_run(settings, listener))


async def _run(settings: Settings, listener: socket.socket) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(leave_lost)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = Service(settings)
    collect_seldom()
    log.info("started", host=settings.ingest.http_host, port=settings.ingest.http_port)
    try:
        await service.run(listener, stop)
    except Exception:
        # The outermost edge: whatever error it is, log it and exit with 1.
        log.exception("failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
