"""What ingest relies on below aiomqtt's public face, pinned on a real broker."""

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.receive.paho_bridge import PahoBridge, _packet
from tests.support.servers import Address, eventually


class Listener:
    """A client with a session that outlives its connection, reading through a PahoBridge."""

    def __init__(self, broker: Address, name: str) -> None:
        self.got: list[tuple[str, bytes, int, int, bool, bool]] = []
        self.sessions: list[bool] = []
        self._broker, self._name = broker, name

    def _connected(self, session_present: bool, _: Properties) -> None:
        self.sessions.append(session_present)

    @asynccontextmanager
    async def connected(self, receive_maximum: int = 100) -> AsyncIterator[tuple[aiomqtt.Client, PahoBridge]]:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 60
        properties.ReceiveMaximum = receive_maximum
        client = aiomqtt.Client(
            *self._broker,
            identifier=self._name,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
        )
        wire = PahoBridge(client, lambda *message: self.got.append(message), self._connected)
        async with client:
            await client.subscribe(f"{self._name}/#", qos=1)
            yield client, wire


async def send(broker: Address, topic: str, *payloads: bytes, qos: int = 1) -> None:
    async with aiomqtt.Client(*broker) as client:
        for payload in payloads:
            await client.publish(topic, payload, qos=qos)


async def test_a_packet_of_megabytes_is_put_together_once(broker: Address, unique: str) -> None:
    large = bytes(6 * 1024 * 1024)
    listener = Listener(broker, unique)
    async with listener.connected() as (_, wire):
        taken = 0
        take = wire._take_packets

        def counted() -> Any:
            nonlocal taken
            taken += 1
            return take()

        wire._take_packets = counted  # type: ignore[method-assign]
        await send(broker, f"{unique}/a", b"before", large, b"after")
        await eventually(lambda: len(listener.got) == 3)
    assert [payload for _, payload, *_ in listener.got] == [b"before", large, b"after"]
    assert taken < 20


async def test_only_what_the_broker_kept_is_marked_retained(broker: Address, unique: str) -> None:
    async with aiomqtt.Client(*broker) as client:
        await client.publish(f"{unique}/a", b"kept", qos=1, retain=True)
        listener = Listener(broker, unique)
        async with listener.connected():
            await eventually(lambda: len(listener.got) == 1)
            await client.publish(f"{unique}/a", b"now", qos=1, retain=True)
            await eventually(lambda: len(listener.got) == 2)
        await client.publish(f"{unique}/a", b"", qos=1, retain=True)
    assert [(payload, retain) for _, payload, *_, retain in listener.got] == [
        (b"kept", True),
        (b"now", False),
    ]


async def test_only_what_is_not_acknowledged_comes_again(broker: Address, unique: str) -> None:
    listener = Listener(broker, unique)
    async with listener.connected() as (_, wire):
        await send(broker, f"{unique}/a", b"1", b"2", b"3")
        await eventually(lambda: len(listener.got) == 3)
        topic, payload, qos, _, dup, retain = listener.got[0]
        assert (topic, payload, qos, dup, retain) == (f"{unique}/a", b"1", 1, False, False)
        wire.ack([listener.got[0][3], listener.got[1][3]])
    first = list(listener.got)
    listener.got.clear()
    async with listener.connected():
        await eventually(lambda: listener.got)
        # The same packet id, marked as a repeat: what ingest knows a repeated delivery by.
        assert listener.got == [(*first[2][:4], True, False)]
    assert listener.sessions == [False, True]


async def test_packets_of_every_size_arrive_whole_whatever_the_pieces(broker: Address, unique: str) -> None:
    payloads = [
        bytes([n % 256]) * size for n, size in enumerate((0, 1, 100, 127, 128, 16_383, 16_384, 300_000, 5))
    ]
    listener = Listener(broker, unique)
    async with listener.connected():
        await send(broker, f"{unique}/ø", *payloads)
        await send(broker, f"{unique}/ø", b"zero", qos=0)
        await eventually(lambda: len(listener.got) == len(payloads) + 1)
    assert [(topic, payload) for topic, payload, *_ in listener.got] == [
        (f"{unique}/ø", payload) for payload in (*payloads, b"zero")
    ]
    assert [message[2] for message in listener.got] == [1] * len(payloads) + [0]


async def test_the_broker_holds_what_exceeds_receive_maximum(broker: Address, unique: str) -> None:
    listener = Listener(broker, unique)
    async with listener.connected(receive_maximum=5) as (_, wire):
        await send(broker, f"{unique}/a", *(b"%d" % n for n in range(8)))
        await send(broker, f"{unique}/b", b"not bound by it", qos=0)
        await eventually(lambda: len(listener.got) == 6)
        wire.ack([message[3] for message in listener.got if message[2]])
        await eventually(lambda: len(listener.got) == 9)


async def test_reading_pauses_and_goes_on(broker: Address, unique: str) -> None:
    listener = Listener(broker, unique)
    async with listener.connected() as (client, wire):
        wire.pause()
        await send(broker, f"{unique}/a", b"1")
        sock: Any = client._client.socket()
        # The message has come to this machine, and is not read.
        await eventually(lambda: select.select([sock], [], [], 0)[0])
        assert listener.got == []
        wire.resume()
        await eventually(lambda: len(listener.got) == 1)


async def test_a_paused_connection_outlives_its_keepalive(broker: Address, unique: str) -> None:
    client = aiomqtt.Client(*broker, identifier=unique, protocol=aiomqtt.ProtocolVersion.V5, keepalive=1)
    wire = PahoBridge(client, lambda *_: None, lambda *_: None)
    async with client:
        wire.pause()
        # Long enough for a ping, whose answer stays unread; then acknowledgements and the like go out.
        for silence in (2.2, *[0.3] * 8):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(client._disconnected), silence)
            await client.publish(unique, b"", qos=0)
        wire.resume()
        await client.publish(unique, b"still there", qos=1)


async def test_a_break_with_acknowledgements_unsent_ends_quietly(broker: Address, unique: str) -> None:
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    client = aiomqtt.Client(*broker, identifier=unique, protocol=aiomqtt.ProtocolVersion.V5)
    PahoBridge(client, lambda *_: None, lambda *_: None)
    async with client:
        # The kernel took no more, so paho asks for a turn; before it comes, the connection is gone.
        client._client._call_socket_register_write()
        client._client._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
        await asyncio.sleep(0)  # Its turn.
        assert client._disconnected.exception()
    assert unhandled == []


async def test_what_the_kernel_does_not_take_at_once_is_written_later(broker: Address, unique: str) -> None:
    listener = Listener(broker, unique)
    async with listener.connected() as (client, _):
        large = bytes(8_000_000)
        await client.publish(f"{unique}/large", large, qos=1)
        await eventually(lambda: listener.got)
        assert listener.got[0][1] == large


@pytest.mark.parametrize("cut", range(1, 5))
def test_a_packet_cut_anywhere_is_waited_for(cut: int) -> None:
    whole = b"\x32\x80\x01" + bytes(128)
    assert _packet(whole[:cut], 0) is None
    assert _packet(whole, 0) == (3, 131)


def test_a_length_of_five_bytes_is_malformed() -> None:
    with pytest.raises(ValueError, match="malformed"):
        _packet(b"\x32\xff\xff\xff\xff\x01", 0)
