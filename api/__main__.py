"""`python -m api`: settings, a socket, and uvicorn on it."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator

import uvicorn

from api.app import create_app
from api.settings import read
from api.web.bounded_connection import Connection
from shared import logs
from shared.commands import program
from shared.config import environment
from shared.garbage import collect_seldom
from shared.logs import get_logger
from shared.ports import listen
from shared.weak_password import warn_of_weak_password

log = get_logger(__name__)

_SHUTDOWN_SECONDS = 10


class Server(uvicorn.Server):
    """uvicorn that exits with 0 after SIGTERM or SIGINT, instead of being ended by the signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down at the first signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def main() -> int:
    """Serve until SIGTERM or SIGINT. Exit code: 0; 1 when the api cannot listen; 2 when a setting is wrong."""
    return program.run_service("api", __doc__, _serve)


def _serve() -> int:
    settings = read(environment())
    logs.configure(settings.log, "api")
    warn_of_weak_password(settings.db)
    host, port = settings.api.host, settings.api.port
    config = uvicorn.Config(
        create_app(settings),
        http=Connection,
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    with listen(host, port, "set API_PORT to a free one") as listener:
        collect_seldom()
        log.info("started", host=host, port=port)
        Server(config).run(sockets=[listener])
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
