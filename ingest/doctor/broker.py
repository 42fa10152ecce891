"""Checks whether the broker keeps what ingest promises, by trying a session, a queue and a shared subscription."""

import asyncio
import ssl
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiomqtt
import msgspec
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.doctor.finding import Finding, found
from ingest.receive.broker_promises import doubts
from ingest.receive.broker_words import explain
from ingest.receive.connection import connection, end_session, is_refused
from ingest.receive.paho_bridge import PahoBridge
from ingest.receive.topics import TopicMap
from shared.config import Mqtt
from shared.mqtt import tls_context

# More messages than brokers keep for an absent subscriber by default: most keep 1,000, some 2,048.
MESSAGES = 5000
# If doctor cannot end the session of the trial, it expires after this.
_SESSION_SECONDS = 300
_QUIET_SECONDS = 2.0
_LOOK_SECONDS = 0.1
_HOW_TO_ALLOW = "allow MQTT_USERNAME to read and write them"
# If the broker sends fewer messages than this without an acknowledgement, round trips slow a backlog down.
_LEAST_WINDOW = 100


async def look(settings: Mqtt, messages: int = MESSAGES) -> AsyncIterator[Finding]:
    """The findings, one after the other. `messages`: how many are queued for an absent subscriber."""
    trial = _Trial(settings, tls_context(settings), f"ecs-doctor/{uuid.uuid4().hex[:12]}")
    try:
        async for finding in trial.findings(messages):
            yield finding
    except (aiomqtt.MqttError, OSError, ValueError) as exc:
        where = f"MQTT_HOST={settings.host}, MQTT_PORT={settings.broker_port}"
        yield Finding("broker", False, f"{explain(exc)} ({where})")


class _Link:
    """One connection of the trial, and the messages that came over it."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.session_present = False
        self.connack: Properties | None = None
        self.payloads: set[bytes] = set()
        self._held: list[int] | None = []
        self._acknowledged = self._refused = 0
        self._bridge = PahoBridge(client, self._received, self._connected)
        # aiomqtt's own handler does not show whether a message was refused.
        client._client.on_publish = self._published  # noqa: SLF001

    async def publish(self, topic: str, messages: int) -> tuple[int, int]:
        """Publish so many messages at QoS 1; returns how many of them the broker accepted, and how many it refused."""
        for number in range(messages):
            self.client._client.publish(topic, b"%d" % number, 1)  # noqa: SLF001 - a task for each takes too long
        await _until_quiet(lambda: self._acknowledged, messages)
        return self._acknowledged - self._refused, self._refused

    async def window(self, enough: int) -> int:
        """How many messages the broker sends while none is acknowledged, at most `enough`."""
        await _until_quiet(lambda: len(self.payloads), enough)
        return len(self.payloads)

    async def drain(self, enough: int) -> int:
        """Acknowledge every message as it comes; returns how many different ones came, at most `enough`."""
        held, self._held = self._held or [], None
        self._bridge.ack(held)
        await _until_quiet(lambda: len(self.payloads), enough)
        return len(self.payloads)

    def _received(self, topic: str, payload: bytes, qos: int, mid: int, dup: bool, retain: bool) -> None:
        self.payloads.add(payload)
        if self._held is not None:
            self._held.append(mid)
        else:
            self._bridge.ack([mid])

    def _connected(self, session_present: bool, connack: Properties) -> None:
        self.session_present, self.connack = session_present, connack

    def _published(
        self, client: object, data: object, mid: int, reason: ReasonCode, properties: object
    ) -> None:
        self._acknowledged += 1
        self._refused += is_refused(reason)


class _Trial:
    """The checks of one broker, on `topic`."""

    def __init__(self, settings: Mqtt, tls: ssl.SSLContext | None, topic: str) -> None:
        self._settings = settings
        self._tls = tls
        self._topic = topic
        self._name = f"{settings.client_id}-doctor"

    async def findings(self, messages: int) -> AsyncIterator[Finding]:
        """Connect, subscribe, then queue `messages`; raises MqttError if the broker is not reachable."""
        async with self._connected(f"{self._name}-look") as link:
            assert link.connack is not None  # noqa: S101 - there is one once it is connected
            where = f"{self._settings.host}:{self._settings.broker_port}"
            yield Finding("broker", True, f"{where} speaks MQTT 5 and accepts the login")
            yield found(
                "its limits",
                doubts(self._settings, link.connack),
                "session expiry, QoS, packet size, filters suffice",
            )
            yield await self._filters(link)
            end_session(link.client)
        async for finding in self._queue(messages):
            yield finding
        if self._settings.shared_group:
            yield await self._shared()

    async def _filters(self, link: _Link) -> Finding:
        """Whether the login may subscribe to ingest's filters; at QoS 0 and in no group, so ingest loses nothing."""
        filters = TopicMap(self._settings).filters
        reasons = await link.client.subscribe([(each, 0) for each in filters])
        refused = [each for each, reason in zip(filters, reasons, strict=True) if is_refused(reason)]
        trouble = (
            [f"the broker refuses {', '.join(refused)}: allow MQTT_USERNAME to read them"] if refused else []
        )
        return found("topics", trouble, f"the login may subscribe to {', '.join(filters)}")

    async def _queue(self, messages: int) -> AsyncIterator[Finding]:
        async with self._connected(self._name, session_expiry=_SESSION_SECONDS) as link:
            await link.client.subscribe(self._topic, qos=1)
        async with self._connected(f"{self._name}-publisher", session_expiry=0) as link:
            taken, refused = await link.publish(self._topic, messages)
        async with self._connected(self._name, session_expiry=_SESSION_SECONDS) as link:
            yield found(
                "session",
                []
                if link.session_present
                else ["the broker forgets it at a disconnect: allow persistent sessions"],
                "the broker keeps it; whether over a restart of its own cannot be tried from here",
            )
            if taken:
                window = await link.window(min(taken, self._settings.receive_maximum))
                came = await link.drain(taken)
                yield self._kept(taken, refused, came)
                yield self._window(window, came)
            else:
                yield Finding(
                    "queue",
                    False,
                    f"cannot be tried: the broker refuses messages on ecs-doctor/#, {_HOW_TO_ALLOW}",
                )
            end_session(link.client)

    def _kept(self, taken: int, refused: int, came: int) -> Finding:
        trouble = []
        if came < taken:
            trouble.append(
                f"of {taken:,} messages that the broker acknowledged while the subscriber was away, it kept {came:,} "
                "and dropped the rest: raise its limit of queued messages (docs/brokers.md names it)"
            )
        if refused:
            trouble.append(
                f"the broker refused {refused:,} of {taken + refused:,} messages: VENs must send them again"
            )
        return found("queue", trouble, f"the broker kept all of {taken:,} messages for an absent subscriber")

    def _window(self, window: int, came: int) -> Finding:
        least = min(_LEAST_WINDOW, came, self._settings.receive_maximum)
        trouble = (
            f"the broker sends {window} messages, then waits for acknowledgements: raise its limit in flight"
        )
        return found(
            "window",
            [] if window >= least else [trouble],
            f"{window:,} messages at once without an acknowledgement",
        )

    async def _shared(self) -> Finding:
        group = f"$share/{uuid.uuid4().hex[:12]}/{self._topic}"
        async with self._connected(f"{self._name}-shared", session_expiry=0) as link:
            reasons = await link.client.subscribe(group, qos=1)
            taken, _ = await link.publish(self._topic, 1)
            came = await link.drain(taken)
        refused = is_refused(reasons[0])
        trouble = "the broker refuses shared subscriptions" if refused else "a message did not come by one"
        return found(
            "shared group",
            [] if came and not refused else [f"{trouble}: allow them, or set MQTT_SHARED_GROUP to nothing"],
            "a message came by a shared subscription",
        )

    @asynccontextmanager
    async def _connected(self, name: str, **changes: int) -> AsyncIterator[_Link]:
        settings = msgspec.structs.replace(self._settings, client_id=name, **changes)
        link = _Link(connection(settings, self._tls))
        async with link.client:
            yield link


async def _until_quiet(count: Callable[[], int], enough: int) -> None:
    """Return once `count` reaches `enough`, or has not changed for _QUIET_SECONDS."""
    loop = asyncio.get_running_loop()
    seen, since = count(), loop.time()
    while seen < enough and loop.time() - since < _QUIET_SECONDS:
        await asyncio.sleep(_LOOK_SECONDS)
        if count() != seen:
            seen, since = count(), loop.time()
