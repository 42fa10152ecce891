"""What ingest needs below the public interface of aiomqtt 2.5 and paho-mqtt 2: manual acknowledgement, the
session-present flag, and reading that costs microseconds a message.

paho reads a packet's header byte by byte and builds a message object with MQTT 5 properties for each packet; aiomqtt
wakes one task a message. This module reads many packets from the socket at once: PUBLISH goes straight to a callback,
everything else to paho. The PUBACKs of a batch are one write.
tests/ingest/receive/test_paho_bridge.py tests the internals of both libraries that this relies on.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiomqtt
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties

from ingest.receive.broker_words import NO_ANSWER, NOT_MQTT

# Small enough that a COPY under way gets its turn between two reads; large enough for about 20 messages; larger than a
# TLS record (16 KiB), because what stays in the SSL object would not wake the selector.
_READ_BYTES = 32 * 1024
_CONNACK, _PUBLISH, _PUBACK = 0x20, 0x30, 0x40
# MQTT 5, section 2.1.4: a remaining length takes four bytes at most.
_MAX_LENGTH_BYTES = 4

# topic, payload, qos, packet id, dup, retain
OnPublish = Callable[[str, bytes, int, int, bool, bool], None]
OnConnack = Callable[[bool, Properties], None]


class PahoBridge:
    """Takes over reading and acknowledging for one aiomqtt client; made before the client connects.

    `on_connack(session_present, CONNACK properties)` is called before any message of the connection.
    """

    def __init__(self, client: aiomqtt.Client, on_publish: OnPublish, on_connack: OnConnack) -> None:
        self._client = client
        self._paho: PahoClient = client._client  # noqa: SLF001
        self._on_publish = on_publish
        self._buffer = bytearray()
        # Bytes that the first packet in the buffer has. Until they are there, nothing is cut out of the buffer:
        # otherwise each read would copy a large packet again.
        self._needed = 0
        self._paused: Any = None
        self._paho.manual_ack_set(True)
        self._paho.loop_read = self._read  # type: ignore[method-assign]
        self._misc = self._paho.loop_misc
        self._paho.loop_misc = self._loop_misc  # type: ignore[method-assign]
        self._loop = asyncio.get_running_loop()
        self._paho.on_socket_register_write = self._want_write
        connected = self._paho.on_connect

        def on_connect(paho: PahoClient, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
            if not reason.is_failure:
                on_connack(flags.session_present, properties)
            if connected:
                connected(paho, userdata, flags, reason, properties)  # type: ignore[call-arg]

        self._paho.on_connect = on_connect

    def ack(self, mids: list[int]) -> None:
        """Send PUBACK for these packet ids, in this order, as one write."""
        packets = b"".join(b"\x40\x02" + mid.to_bytes(2) for mid in mids)
        self._paho._packet_queue(_PUBACK, packets, 0, 1)  # noqa: SLF001

    def pause(self) -> None:
        """Stop reading, so that the broker keeps the messages it would send."""
        sock = self._paho.socket()
        if sock is not None and self._paused is None:
            self._loop.remove_reader(sock.fileno())
            self._paused = sock

    def resume(self) -> None:
        """Read again."""
        sock, self._paused = self._paused, None
        if sock is not None and sock.fileno() >= 0:
            self._loop.add_reader(sock.fileno(), self._on_readable)

    def close(self) -> None:
        """Close the socket if it is open: aiomqtt leaves it open if it is cancelled or gives up before CONNACK."""
        self._paho._sock_close()  # noqa: SLF001

    def _on_readable(self) -> None:
        try:
            self._paho.loop_read()
        except Exception as exc:  # noqa: BLE001 - as aiomqtt does: whatever breaks reading ends the connection
            self._broken(exc)

    def _want_write(self, paho: PahoClient, userdata: Any, sock: Any) -> None:
        # The thread that connects calls this too.
        self._loop.call_soon_threadsafe(self._start_writing, sock)

    def _start_writing(self, sock: Any) -> None:
        """Write when the socket is writable. aiomqtt's own version uses a file number that by now may be closed, or
        belong to another socket."""
        current: Any = self._paho.socket()
        if sock is current and self._paho._registered_write:  # noqa: SLF001
            self._loop.add_writer(sock.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        try:
            self._paho.loop_write()
        except Exception as exc:  # noqa: BLE001 - as for reading
            self._broken(exc)

    def _broken(self, exc: Exception) -> None:
        if not self._client._disconnected.done():  # noqa: SLF001
            self._client._disconnected.set_exception(exc)  # noqa: SLF001

    def _loop_misc(self) -> MQTTErrorCode:
        if self._paused is not None:
            # The broker's answers to pings wait unread, so paho would give the connection up. A ping that is due
            # replaces the one before.
            self._paho._last_bytes_received = time.monotonic()  # noqa: SLF001
        return self._misc()

    def _read(self, max_packets: int = 1) -> MQTTErrorCode:
        paho = self._paho
        try:
            data = paho._sock_recv(_READ_BYTES)  # noqa: SLF001
        except BlockingIOError:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        except OSError:
            data = b""
        if not data:
            self._refuse(NO_ANSWER)
            return paho._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)  # noqa: SLF001
        paho._last_bytes_received = time.monotonic()  # noqa: SLF001
        self._buffer += data
        if not self._client._connected.done() and self._buffer[0] & 0xF0 != _CONNACK:  # noqa: SLF001
            self._refuse(NOT_MQTT)
            return paho._loop_rc_handle(MQTTErrorCode.MQTT_ERR_PROTOCOL)  # noqa: SLF001
        if len(self._buffer) < self._needed:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        try:
            return self._take_packets()
        except ValueError:
            return paho._loop_rc_handle(MQTTErrorCode.MQTT_ERR_PROTOCOL)  # noqa: SLF001

    def _refuse(self, why: str) -> None:
        """End the wait for CONNACK now; aiomqtt would wait for its whole timeout."""
        if not self._client._connected.done():  # noqa: SLF001
            self._client._connected.set_exception(aiomqtt.MqttError(why))  # noqa: SLF001

    def _take_packets(self) -> MQTTErrorCode:
        data = bytes(self._buffer)
        start = 0
        while (found := _packet(data, start)) is not None:
            body, end = found
            if data[start] & 0xF0 == _PUBLISH:
                self._take_publish(data, data[start], body, end)
            else:
                rc = self._hand_to_paho(data[start], data[body:end])
                if rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    return self._paho._loop_rc_handle(rc)  # noqa: SLF001
            start = end
        del self._buffer[:start]
        self._needed = _needed(self._buffer)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _take_publish(self, data: bytes, command: int, body: int, end: int) -> None:
        qos = command >> 1 & 3
        at = body + 2 + (data[body] << 8 | data[body + 1])
        topic = data[body + 2 : at].decode(errors="replace")
        mid = 0
        if qos:
            mid = data[at] << 8 | data[at + 1]
            at += 2
        if data[at]:
            length, at = _variable(data, at, end)
            at += length
        else:
            at += 1
        self._on_publish(topic, data[at:end], qos, mid, bool(command & 8), bool(command & 1))

    def _hand_to_paho(self, command: int, body: bytes) -> MQTTErrorCode:
        packet = self._paho._in_packet  # noqa: SLF001
        packet["command"], packet["packet"], packet["pos"] = command, bytearray(body), 0
        packet["remaining_length"] = len(body)
        try:
            return self._paho._packet_handle()  # noqa: SLF001
        finally:
            packet["command"], packet["packet"], packet["remaining_length"] = 0, bytearray(), 0


def _needed(data: bytes | bytearray) -> int:
    """The length in bytes of the packet at the start of `data`; 0 while its length is not there yet."""
    try:
        length, body = _variable(data, 1, len(data))
    except IndexError:
        return 0
    return body + length


def _packet(data: bytes, start: int) -> tuple[int, int] | None:
    """Where the body of the packet at `start` begins and ends; None if the packet is not whole yet."""
    if start + 2 > len(data):
        return None
    length = data[start + 1]
    body = start + 2
    if length & 0x80:
        try:
            length, body = _variable(data, start + 1, len(data))
        except IndexError:
            return None
    end = body + length
    return (body, end) if end <= len(data) else None


def _variable(data: bytes | bytearray, at: int, end: int) -> tuple[int, int]:
    """A variable byte integer (MQTT 5, section 1.5.5) and where it ends; IndexError past `end`."""
    value = shift = 0
    for _ in range(_MAX_LENGTH_BYTES):
        if at >= end:
            raise IndexError
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("malformed variable byte integer")
