"""A broker that cannot be had is said in words that say what to look at, and at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ingest.health import State
from ingest.receive.subscriber import Subscriber
from shared.config import Mqtt
from tests.support.servers import eventually

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1000)
    writer.close()


def saying(data: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(data)
        await reader.read(1000)
        writer.close()

    return answer


@contextlib.asynccontextmanager
async def connecting(answer: Answer, **mqtt: Any) -> AsyncIterator[State]:
    """A subscriber that tries to reach a server which answers so."""
    state = State()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    settings = Mqtt(host="127.0.0.1", port=server.sockets[0].getsockname()[1], **mqtt)
    subscriber = Subscriber(settings, ["t"], state, receive=lambda _: None, on_connack=lambda _: None)
    running = asyncio.create_task(subscriber.run())
    try:
        yield state
    finally:
        running.cancel()
        await asyncio.wait([running])
        server.close()


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("answer", "mqtt", "words"),
    [
        (close, {}, "closed the connection before answering: does it speak MQTT 5? is this its TLS port?"),
        (
            saying(b"\x15\x03\x01\x00\x02\x02\x46"),
            {},
            "what answers is not MQTT: is this the broker's TLS port",
        ),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), {}, "what answers is not MQTT"),
        (saying(b"\x20\x02\x00\x01"), {}, "refuses MQTT 5"),
        (saying(b"\x20\x03\x00\x87\x00"), {}, "refuses the login"),
        (close, {"use_tls": True}, "does not speak TLS on this port"),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), {"use_tls": True}, "does not speak TLS on this port"),
    ],
)
async def test_what_is_wrong_is_said_in_words(answer: Answer, mqtt: dict[str, Any], words: str) -> None:
    async with connecting(answer, **mqtt) as state:
        # aiomqtt's own wait for an answer is 10 s.
        await eventually(
            lambda: words in (state.waiting_for_broker or ""), timeout=5, explain=lambda: str(state)
        )


async def test_a_port_where_nothing_listens_is_said() -> None:
    state = State()
    subscriber = Subscriber(
        Mqtt(host="127.0.0.1", port=1), ["t"], state, receive=lambda _: None, on_connack=lambda _: None
    )
    running = asyncio.create_task(subscriber.run())
    await eventually(lambda: "nothing listens there" in (state.waiting_for_broker or ""))
    running.cancel()
    await asyncio.wait([running])
