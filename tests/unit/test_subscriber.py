"""Which deliveries are acknowledged; connecting is tests/integration/test_ingest.py's subject."""

from typing import Any, cast

import pytest

from ingest.message import Message
from ingest.state import State
from ingest.subscriber import Subscriber
from ingest.wire import Wire
from shared.config import Mqtt


class Recorder:
    """In place of a Wire: keeps what was acknowledged."""

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


def test_no_two_arrivals_are_the_same_instant_whatever_the_clock_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrived: list[Message] = []
    subscriber = Subscriber(Mqtt(host="h"), ["t"], State(), receive=arrived.append, on_connack=ignore)
    clock = iter((5_000_000, 5_000_000, 3_000_000, 9_000_000))
    monkeypatch.setattr("time.time_ns", lambda: next(clock))
    for mid in range(4):
        subscriber._on_publish("t", b"{}", 1, mid, dup=False, retain=False)
    assert [message.received_at for message in arrived] == [5000, 5001, 5002, 9000]


def test_a_packet_id_of_an_older_connection_is_never_acknowledged() -> None:
    subscriber = Subscriber(Mqtt(host="h"), ["t"], State(), receive=ignore, on_connack=ignore)
    recorder = Recorder()
    subscriber._wire = cast(Wire, recorder)
    subscriber._connected(session_present=False)
    subscriber._connected(session_present=True)
    subscriber.ack([delivery(1, 1), delivery(2, 2), delivery(0, 2, qos=0), delivery(3, 2)])
    subscriber.ack([delivery(4, 1)])
    assert recorder.acked == [[2, 3]]
