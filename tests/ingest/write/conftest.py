"""The event loop of these tests."""

import asyncio
from collections.abc import Callable

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that ingest runs on: it differs from asyncio's own where a connection is lost."""
    return {"uvloop": uvloop.new_event_loop}
