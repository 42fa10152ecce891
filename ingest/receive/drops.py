"""Watches how many messages the broker dropped: mosquitto publishes that count on a $SYS topic."""

import asyncio

import aiomqtt
import msgspec

from ingest.health import State
from ingest.receive.connection import connection
from shared.config import Mqtt
from shared.logs import get_logger
from shared.mqtt import tls_context

log = get_logger(__name__)

TOPIC = "$SYS/broker/publish/messages/dropped"
_RETRY_SECONDS = 10.0


class Drops:
    """Reads the count over its own connection, because a broker without such a topic may close the connection."""

    def __init__(self, settings: Mqtt, state: State) -> None:
        self._settings = msgspec.structs.replace(
            settings, client_id=f"{settings.client_id}-watch", session_expiry=0
        )
        self._tls = tls_context(settings)
        self._state = state
        self._seen = 0

    async def run(self) -> None:
        """Keep the metric, and log each rise, until cancelled."""
        while True:
            # While the broker is away, the subscriber reports that; this connection would only report it twice.
            if self._state.waiting_for_broker is None:
                await self._watch()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _watch(self) -> None:
        client = connection(self._settings, self._tls)
        try:
            async with client:
                await client.subscribe(TOPIC)
                async for message in client.messages:
                    self._take(message.payload)
        except (aiomqtt.MqttError, OSError, ValueError) as exc:
            log.debug("drops_not_watched", error=type(exc).__name__)
        finally:
            # aiomqtt leaves the socket open if it is cancelled before CONNACK.
            client._client._sock_close()  # noqa: SLF001

    def _take(self, payload: object) -> None:
        dropped = int(payload) if isinstance(payload, bytes | bytearray | str) else 0
        # The broker counts from its start, so a smaller figure means that it was restarted.
        risen = dropped - self._seen if dropped >= self._seen else dropped
        self._state.metrics.broker_dropped.set(dropped)
        self._seen = dropped
        if risen:
            log.warning("broker_dropped", messages=risen)
