"""`python -m ingest`: settings, signals, and the daemon."""

import asyncio
import gc
import signal
import socket
import sys

import uvloop

from ingest.service import Service
from ingest.settings import Settings, read
from shared import logs
from shared.config import environment
from shared.errors import EcsError, SettingsError
from shared.logs import get_logger
from shared.ports import listen

log = get_logger(__name__)

# Messages come by the thousand and hold no cycles: looking for cycles after every 700 objects costs a tenth.
_GC_THRESHOLD = 50_000


def main() -> int:
    """Run until SIGTERM or SIGINT; 0, 1 when it cannot run, 2 when a setting is wrong."""
    if len(sys.argv) > 1:
        print(__doc__, "Settings come from the environment and .env.")  # noqa: T201
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    try:
        settings = read(environment())
        logs.configure(settings.log, "ingest")
        service_listener = listen(
            settings.ingest.http_host, settings.ingest.http_port, "set INGEST_HTTP_PORT to a free one"
        )
        with service_listener as listener:
            return uvloop.run(_run(settings, listener))
    except EcsError as exc:
        print(f"ingest: {exc}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(exc, SettingsError) else 1


async def _run(settings: Settings, listener: socket.socket) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = Service(settings)
    # What is loaded by now stays: the collector need not look at it again with every batch.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    log.info("started", host=settings.ingest.http_host, port=settings.ingest.http_port)
    try:
        await service.run(listener, stop)
    except Exception:
        log.exception("failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
