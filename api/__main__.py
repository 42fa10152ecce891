"""`python -m api`: settings, a socket, and uvicorn on it."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator

import uvicorn

from api.app import create_app
from api.connection import Connection
from api.settings import Settings, read
from shared import logs
from shared.config import environment
from shared.errors import EcsError, SettingsError
from shared.logs import get_logger
from shared.ports import listen

log = get_logger(__name__)

_SHUTDOWN_SECONDS = 10


class Server(uvicorn.Server):
    """uvicorn that ends by itself after SIGTERM or SIGINT, with exit code 0, rather than by that signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order at the first signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def main() -> int:
    """Serve until SIGTERM or SIGINT; 0, 1 when it cannot listen, 2 when a setting is wrong."""
    if len(sys.argv) > 1:
        print(__doc__, "Settings come from the environment and .env.")  # noqa: T201
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    try:
        settings = read(environment())
        logs.configure(settings.log, "api")
        _serve(settings)
    except EcsError as exc:
        print(f"api: {exc}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(exc, SettingsError) else 1
    return 0


def _serve(settings: Settings) -> None:
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
        log.info("started", host=host, port=port)
        Server(config).run(sockets=[listener])
    log.info("stopped")


if __name__ == "__main__":
    sys.exit(main())
