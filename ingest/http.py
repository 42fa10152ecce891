"""/health and /metrics of ingest."""

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ingest.health import State


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: ingest has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handler."""
        yield


def create_app(state: State) -> Starlette:
    """The app. /health: 200 while ingest receives and stores, else 503 with the server that ingest waits for and why;
    `warnings` names promises that a working server does not keep. /metrics: the families of metrics.py."""

    async def health(_: Request) -> Response:
        waiting = state.problems()
        warnings = {"warnings": state.doubts} if state.doubts else {}
        if waiting:
            return JSONResponse({"status": "waiting", "waitingFor": waiting, **warnings}, status_code=503)
        return JSONResponse({"status": "ok", **warnings})

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/health", health), Route("/metrics", metrics)])


async def serve(state: State, listener: socket.socket) -> None:
    """Answer on `listener` until cancelled."""
    config = uvicorn.Config(create_app(state), log_config=None, lifespan="off", ws="none", access_log=False)
    await Server(config).serve(sockets=[listener])
