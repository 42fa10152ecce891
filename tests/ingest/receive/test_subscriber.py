"""Which deliveries are acknowledged; connecting is tests/ingest/test_service.py's subject."""

import asyncio
import contextlib
from typing import Any, cast

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.health import State
from ingest.message import Message
from ingest.receive.paho_bridge import PahoBridge
from ingest.receive.subscriber import Subscriber
from shared.config import Mqtt
from tests.support.servers import eventually


class Recorder:
    """In place of a PahoBridge: keeps what was acknowledged."""

    def __init__(self) -> None:
        self.acked: list[list[int]] = []

    def ack(self, mids: list[int]) -> None:
        self.acked.append(mids)


def delivery(mid: int, generation: int, qos: int = 1) -> Message:
    return Message(
        "t", b"{}", qos=qos, mid=mid, dup=False, retain=False, generation=generation, received_at=mid
    )


def ignore(_: Any) -> None:
    pass


def test_no_two_arrivals_are_the_same_instant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrived: list[Message] = []
    subscriber = Subscriber(Mqtt(host="h"), ["t"], State(), receive=arrived.append, on_connack=ignore)
    clock = iter((5_000_000, 5_000_000, 3_000_000, 9_000_000))
    monkeypatch.setattr("time.time_ns", lambda: next(clock))
    for mid in range(4):
        subscriber._on_publish("t", b"{}", 1, mid, dup=False, retain=False)
    assert [message.received_at for message in arrived] == [5000, 5001, 5002, 9000]


@pytest.mark.parametrize(
    ("begins", "held"),
    [
        ("old session", [True, True, False]),
        ("new session", [False, False, False]),
        ("long pause", [True, True, False]),
        ("short pause", [False, False, False]),
    ],
)
def test_what_waited_in_the_broker_is_marked_as_held(
    monkeypatch: pytest.MonkeyPatch, begins: str, held: list[bool]
) -> None:
    arrived: list[Message] = []
    subscriber = Subscriber(Mqtt(host="h"), ["t"], State(), receive=arrived.append, on_connack=ignore)
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    if begins.endswith("session"):
        connack = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
        subscriber._connected(session_present=begins == "old session", connack=connack)
    else:
        subscriber.set_paused(True)
        now += 2.0 if begins == "long pause" else 0.5
        subscriber.set_paused(False)
    began = now
    for seconds in (0.0, 9.0, 11.0):
        now = began + seconds
        subscriber._on_publish("t", b"{}", 1, 1, dup=False, retain=False)
    assert [message.held for message in arrived] == held


def test_packet_ids_of_older_connections_are_not_acknowledged() -> None:
    subscriber = Subscriber(Mqtt(host="h"), ["t"], State(), receive=ignore, on_connack=ignore)
    recorder = Recorder()
    subscriber._bridge = cast(PahoBridge, recorder)
    subscriber._generation = 2
    subscriber.ack([delivery(1, 1), delivery(2, 2), delivery(0, 2, qos=0), delivery(3, 2)])
    subscriber.ack([delivery(4, 1)])
    assert recorder.acked == [[2, 3]]


async def test_what_commits_before_connack_is_not_acknowledged() -> None:
    accepted, ended = asyncio.Event(), asyncio.Event()
    got = bytearray()

    async def silent_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        while data := await reader.read(1000):
            got.extend(data)
        writer.close()
        ended.set()

    async with await asyncio.start_server(silent_broker, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        subscriber = Subscriber(
            Mqtt(host="127.0.0.1", port=port), ["t"], State(), receive=ignore, on_connack=ignore
        )
        older = subscriber._generation
        running = asyncio.create_task(subscriber.run())
        await accepted.wait()
        subscriber.ack([delivery(7, older)])
        # CONNECT, and nothing that was queued before or after it.
        await eventually(lambda: got)
        await eventually(lambda: subscriber._bridge is not None and not subscriber._bridge._paho.want_write())
        assert len(got) == 2 + got[1]
        bridge = subscriber._bridge
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        # While the client still exists: its socket does not wait for the garbage collector.
        await ended.wait()
        assert bridge is not None
