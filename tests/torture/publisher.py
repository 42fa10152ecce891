"""Publishers that wait for every PUBACK and send again after a reconnect, as a VEN must."""

import asyncio
import logging

import aiomqtt

from tests.torture.ledger import VENS, Ledger, Mill

_RETRY_SECONDS = 0.1
_PUBACK_SECONDS = 5.0


async def publish(port: int, seed: int, rate: float, ledger: Ledger, stop: asyncio.Event) -> None:
    """Publish at about `rate` messages/s through one connection until `stop`, every VEN in its own order.

    Returns when every message that was begun has been acknowledged.
    """
    line = _Line(port)
    async with asyncio.TaskGroup() as tasks:
        connection = tasks.create_task(line.keep())
        vens = [
            tasks.create_task(_ven(line, Mill(seed, f"v{n}"), rate / VENS, ledger, stop)) for n in range(VENS)
        ]
        for ven in vens:
            await ven
        connection.cancel()


async def _ven(line: "_Line", mill: Mill, rate: float, ledger: Ledger, stop: asyncio.Event) -> None:
    while not stop.is_set():
        letter = mill.next()
        await line.send(letter.topic, letter.payload)
        letter.note(ledger)
        await asyncio.sleep(1 / rate)


class _Line:
    """A connection that comes back."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._client: aiomqtt.Client | None = None

    async def keep(self) -> None:
        """Stay connected until cancelled."""
        quiet = logging.getLogger("torture.mqtt")
        quiet.setLevel(logging.CRITICAL)
        while True:
            client = aiomqtt.Client("127.0.0.1", self._port, logger=quiet, timeout=_PUBACK_SECONDS)
            try:
                async with client:
                    self._client = client
                    async for _ in client.messages:
                        pass
            except aiomqtt.MqttError:
                self._client = None
                await asyncio.sleep(_RETRY_SECONDS)

    async def send(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1 until the broker has acknowledged it."""
        while True:
            client = self._client
            if client is not None:
                try:
                    await client.publish(topic, payload, qos=1)
                except (aiomqtt.MqttError, ValueError):
                    pass
                else:
                    return
            await asyncio.sleep(_RETRY_SECONDS)
