"""The connection to the broker: connect, subscribe, receive, acknowledge, reconnect with backoff."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

import aiomqtt
import asyncpg
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.health import State
from ingest.message import Message
from ingest.receive.broker_promises import doubts
from ingest.receive.broker_words import explain
from ingest.receive.connection import connection, end_session, is_refused
from ingest.receive.paho_bridge import PahoBridge
from ingest.receive.sessions import Sessions
from shared import db
from shared.config import Mqtt
from shared.logs import get_logger
from shared.mqtt import tls_context

log = get_logger(__name__)

_BACKOFF_SECONDS = (0.2, 10.0)
# Retained messages come with a new subscription only, not with every reconnect (MQTT 5, section 3.8.3.1).
_RETAIN_ONLY_WHEN_NEW = 1
_SESSION_RETRY_SECONDS = 5.0
# What the broker held while ingest was away, or did not read, arrives within about this time.
_CATCHING_UP_SECONDS = 10.0
# Messages that waited for no longer than this are not late.
_LONG_PAUSE_SECONDS = 1.0


class Subscriber:
    """Hands every message to `receive`; the broker keeps a message until `ack` acknowledges it.

    `on_connack(session_present)` is called at each CONNACK, before any message of the new connection. If the session
    is present, the broker sends all unacknowledged messages again.
    """

    def __init__(
        self,
        settings: Mqtt,
        filters: list[str],
        state: State,
        *,
        receive: Callable[[Message], None],
        on_connack: Callable[[bool], None],
        sessions: Sessions | None = None,
        leaving: bool = False,
    ) -> None:
        self._settings = settings
        self._filters = filters
        self._state = state
        self._receive = receive
        self._on_connack = on_connack
        self._sessions = sessions
        self._leaving = leaving
        self.unsubscribed = asyncio.Event()
        self._generation = 0
        self._bridge: PahoBridge | None = None
        self._last_received_at = 0
        self._caught_up_at = 0.0
        self._stop = asyncio.Event()
        self._drained = asyncio.Event()
        self._paused_since: float | None = None
        self._tls = tls_context(settings)
        self._lost_at: float | None = None
        self._was_subscribed = False

    def ack(self, messages: list[Message]) -> None:
        """Acknowledge stored messages. Those of an older connection are left out: their packet ids mean nothing now."""
        mids = [m.mid for m in messages if m.qos and m.generation == self._generation]
        if self._bridge is not None and mids:
            self._bridge.ack(mids)

    def set_paused(self, paused: bool) -> None:
        """Stop reading the socket (True), because too much waits to be written, or read it again (False)."""
        now, since = time.monotonic(), self._paused_since
        if not paused and since is not None and now - since > _LONG_PAUSE_SECONDS:
            self._catch_up()
        self._paused_since = (now if since is None else since) if paused else None
        log.debug("reading_paused" if paused else "reading_resumed")
        if self._bridge is not None and not self._stop.is_set():
            self._bridge.pause() if paused else self._bridge.resume()

    def stop(self) -> None:
        """Receive nothing more. The connection stays open for acknowledgements until `finish`."""
        self._stop.set()
        if self._bridge is not None:
            self._bridge.pause()

    def finish(self) -> None:
        """Disconnect; called when everything in hand is acknowledged."""
        self._drained.set()

    async def run(self) -> None:
        """Keep a subscribed connection until `finish`."""
        delay = _BACKOFF_SECONDS[0]
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                await self._connection()
            except (aiomqtt.MqttError, asyncpg.PostgresError, OSError, ValueError) as exc:
                self._bridge = None
                self._lost(exc)
            if time.monotonic() - began > _BACKOFF_SECONDS[1]:
                delay = _BACKOFF_SECONDS[0]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay * random.uniform(0.5, 1.0)):  # noqa: S311
                    await self._stop.wait()
            delay = min(delay * 2, _BACKOFF_SECONDS[1])

    def _lost(self, exc: Exception) -> None:
        why = explain(exc)
        if self._state.waiting_for_broker != why:
            log.warning("broker_lost", host=self._settings.host, port=self._settings.broker_port, why=why)
            self._lost_at = self._lost_at or time.monotonic()
        self._state.waiting_for_broker = why

    async def _connection(self) -> None:
        client = connection(self._settings, self._tls)
        # Before CONNACK: a batch that commits from here on must not be acknowledged on the new connection.
        self._generation += 1
        self._bridge = bridge = PahoBridge(client, self._on_publish, self._connected)
        try:
            async with client:
                if self._paused_since is not None:
                    bridge.pause()
                if self._leaving:
                    await self._leave(client)
                    self._bridge = None
                    return
                await self._subscribe(client)
                tidying = asyncio.create_task(self._unsubscribe_left(client), name="sessions")
                try:
                    await self._until_finished(client)
                finally:
                    tidying.cancel()
                    await asyncio.wait([tidying])
                self._bridge = None
        finally:
            bridge.close()

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        reasons = await client.subscribe([(f, _options()) for f in self._subscriptions()])
        refused = [f for f, r in zip(self._filters, reasons, strict=True) if is_refused(r)]
        if refused:
            raise aiomqtt.MqttError(f"the broker refused the subscription to {', '.join(refused)}")
        self._state.waiting_for_broker = None
        away = 0.0 if self._lost_at is None else time.monotonic() - self._lost_at
        log.info(
            "subscribed", filters=self._filters, client_id=self._settings.client_id, seconds=round(away, 1)
        )
        self._lost_at, self._was_subscribed = None, True

    async def _leave(self, client: aiomqtt.Client) -> None:
        """Unsubscribe everything, receive what the broker holds until `finish`, and end the session."""
        current = self._subscriptions()
        left = await self._sessions.begin(current) if self._sessions else []
        await client.unsubscribe([*current, *left])
        self._state.waiting_for_broker = None
        self.unsubscribed.set()
        await self._until_finished(client)
        end_session(client)
        if self._sessions:
            await self._sessions.settle([])

    async def _unsubscribe_left(self, client: aiomqtt.Client) -> None:
        """Unsubscribe filters that an earlier process of this session subscribed to and the settings no longer name."""
        current = self._subscriptions()
        if self._sessions is None:
            return
        while True:
            try:
                left = await self._sessions.begin(current)
                if left:
                    await client.unsubscribe(left)
                    log.info("unsubscribed", filters=left, client_id=self._settings.client_id)
                await self._sessions.settle(current)
            except (asyncpg.PostgresError, aiomqtt.MqttError, *db.UNREACHABLE) as exc:
                log.debug("session_not_noted", error=type(exc).__name__)
                await asyncio.sleep(_SESSION_RETRY_SECONDS)
            else:
                return

    async def _until_finished(self, client: aiomqtt.Client) -> None:
        """Wait for `finish`, or raise MqttError when the connection breaks."""
        lost = client._disconnected  # noqa: SLF001 - aiomqtt shows it only through its message iterator
        drained = asyncio.ensure_future(self._drained.wait())
        try:
            await asyncio.wait((lost, drained), return_when=asyncio.FIRST_COMPLETED)
        finally:
            drained.cancel()
        if lost.done():
            why = lost.exception()
            raise aiomqtt.MqttError(f"connection lost: {why}" if why else "connection closed") from why

    def _connected(self, session_present: bool, connack: Properties) -> None:
        log.info("broker_connected", host=self._settings.host, session_present=session_present)
        if session_present:
            self._catch_up()
        if self._was_subscribed and not session_present:
            log.warning("session_lost", client_id=self._settings.client_id)
        self._state.doubt("broker", doubts(self._settings, connack))
        self._on_connack(session_present)

    def _catch_up(self) -> None:
        """For the next 10 s, take it that the messages which arrive have waited in the broker (Message.held)."""
        self._caught_up_at = time.monotonic() + _CATCHING_UP_SECONDS

    def _on_publish(self, topic: str, payload: bytes, qos: int, mid: int, dup: bool, retain: bool) -> None:
        self._state.metrics.received.inc()
        # Strictly rising, so that no two arrivals are the same instant even if the clock steps back.
        self._last_received_at = max(time.time_ns() // 1000, self._last_received_at + 1)
        self._receive(
            Message(
                topic,
                payload,
                qos=qos,
                mid=mid,
                dup=dup,
                retain=retain,
                generation=self._generation,
                received_at=self._last_received_at,
                held=time.monotonic() < self._caught_up_at,
            )
        )

    def _subscriptions(self) -> list[str]:
        group = self._settings.shared_group
        return [f"$share/{group}/{f}" if group else f for f in self._filters]


def _options() -> SubscribeOptions:
    return SubscribeOptions(qos=1, retainHandling=_RETAIN_ONLY_WHEN_NEW)
