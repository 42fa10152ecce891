"""The daemon: wires the parts together, runs them until told to stop, and stops without losing a message."""

import asyncio
import contextlib
import socket
import time

from ingest import http
from ingest.db_probe import Probe
from ingest.health import State
from ingest.message import DeadLetter, Message, Outcome
from ingest.metrics import value
from ingest.partitions import Partitions
from ingest.receive.decode import Decoder
from ingest.receive.drops import Drops
from ingest.receive.refusal import DecodeError
from ingest.receive.sessions import Sessions
from ingest.receive.subscriber import Subscriber
from ingest.receive.topics import TopicMap
from ingest.settings import Settings
from ingest.upkeep.leader import Leader
from ingest.write.batch import Store
from ingest.write.flush_log import Backlog, FlushSummary
from ingest.write.inbox import Inbox
from ingest.write.writer import Writer
from shared.logs import get_logger

log = get_logger(__name__)

# A stop takes at most 10 s. The broker keeps the messages that are not written by then.
_DRAIN_SECONDS = 6.0
_DISCONNECT_SECONDS = 1.5
_REPORT_SECONDS = 1.0
_IDLE_SECONDS = 60.0
# `leave` ends when nothing has come for 4 looks: the broker sends what it holds at once, and more after each PUBACK.
_LOOK_SECONDS, _QUIET_LOOKS = 0.5, 4


class Service:
    """One ingest process. `leaving`: it unsubscribes, writes what the broker holds, and ends its session."""

    def __init__(self, settings: Settings, *, leaving: bool = False) -> None:
        topics = TopicMap(settings.mqtt)
        self._settings = settings
        self._state = State()
        self._decoder = Decoder(topics, settings.mqtt, settings.retention.raw_retention_days)
        self._inbox = Inbox(settings.ingest.batch_max, settings.ingest.linger, settings.mqtt.receive_maximum)
        self._subscriber = Subscriber(
            settings.mqtt,
            topics.filters,
            self._state,
            receive=self._receive,
            on_connack=self._forget_unacked,
            sessions=Sessions(settings.db, settings.mqtt.client_id),
            leaving=leaving,
        )
        self._inbox.on_pressure = self._subscriber.set_paused
        store = Store(settings.mqtt.client_id, Partitions(), shared=bool(settings.mqtt.shared_group))
        self._state.metrics.name_clocks(store.clocks.off)
        self._writer = Writer(settings.db, self._inbox, store, self._state, self._subscriber.ack)
        self._backlog = Backlog(settings.mqtt.receive_maximum)
        self._leader = Leader(
            settings.db, settings.retention, settings.dashboard, self._state, flooded=self._flooded
        )
        self._state.metrics.unacked.set_function(self._unacked)
        self._state.metrics.oldest.set_function(self._oldest_seconds)
        self._state.database.in_hand = self._unacked
        self._said_at = time.monotonic()
        self._probe = Probe(settings.db, self._state)
        self._drops = Drops(settings.mqtt, self._state)

    async def run(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Receive and store until `stop` is set, then write what has arrived, acknowledge and disconnect."""
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(http.serve(self._state, listener), name="http"),
                tasks.create_task(self._report(), name="report"),
                tasks.create_task(self._leader.run(), name="leader"),
                tasks.create_task(self._probe.run(), name="probe"),
                tasks.create_task(self._drops.run(), name="drops"),
            ]
            subscriber = tasks.create_task(self._subscriber.run(), name="subscriber")
            writer = tasks.create_task(self._writer.run(), name="writer")
            await stop.wait()
            await self._drain(subscriber, writer)
            for task in background:
                task.cancel()
        self._say_flushes()
        log.info("stopped", unwritten=self._unacked())

    @property
    def waits_for(self) -> str:
        """Which server the process waits for, and why, in words."""
        return "; ".join(f"{server}: {why}" for server, why in self._state.problems().items()) or "the broker"

    async def leave(self, connect_seconds: float) -> int:
        """Unsubscribe, write the messages that the broker holds for the session, and end the session.

        Returns how many messages were written. Raises TimeoutError when the broker or the database cannot be reached
        within `connect_seconds`.
        """
        async with asyncio.TaskGroup() as tasks:
            subscriber = tasks.create_task(self._subscriber.run(), name="subscriber")
            writer = tasks.create_task(self._writer.run(), name="writer")
            try:
                async with asyncio.timeout(connect_seconds):
                    await self._subscriber.unsubscribed.wait()
                await self._until_quiet()
            except TimeoutError:
                subscriber.cancel()
                writer.cancel()
                raise
            await self._drain(subscriber, writer)
        return int(self._received())

    def _received(self) -> float:
        return self._state.metrics.registry.get_sample_value("ecs_ingest_received_total") or 0.0

    async def _until_quiet(self) -> None:
        """Wait until nothing has come for 2 s and every message is acknowledged."""
        seen, quiet = -1.0, 0
        while quiet < _QUIET_LOOKS:
            await asyncio.sleep(_LOOK_SECONDS)
            received = self._received()
            quiet = quiet + 1 if received == seen and not self._unacked() else 0
            seen = received

    async def _drain(self, subscriber: asyncio.Task[None], writer: asyncio.Task[None]) -> None:
        log.info("stopping", waiting=len(self._inbox))
        self._subscriber.stop()
        self._inbox.close()
        await asyncio.wait([writer], timeout=_DRAIN_SECONDS)
        if not writer.done():
            # A query could take longer than the time that is left, so end the connections now.
            self._writer.drop()
            writer.cancel()
            await _within(_DISCONNECT_SECONDS, writer)
        self._subscriber.finish()
        await _within(_DISCONNECT_SECONDS, subscriber)
        await self._writer.close()

    def _receive(self, message: Message) -> None:
        try:
            message.take(self._decoder.decode(message.topic, message.payload, message.received_at))
        except DecodeError as exc:
            message.content = DeadLetter(str(exc), exc.ven_id)
        except Exception:
            # A bug of the decoder must not end the connection: the message becomes a dead letter, and the log has why.
            log.exception("decoding_failed", topic=message.topic)
            message.content = DeadLetter("decoding failed: the log of ingest says why, at decoding_failed")
        self._inbox.put(message)

    def _forget_unacked(self, session_present: bool) -> None:
        """If the broker kept the session, it sends the unacknowledged messages again: drop those that wait here."""
        if session_present:
            dropped = self._inbox.drop(lambda message: message.qos > 0)
            if dropped:
                self._state.metrics.returned.inc(dropped)
                log.info("awaiting_redelivery", messages=dropped)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            self._say_flushes()

    def _unacked(self) -> int:
        """How many messages arrived and are not yet acknowledged."""
        return len(self._writer) + len(self._inbox)

    def _flooded(self) -> bool:
        return self._backlog.waits(self._unacked())

    def _oldest_seconds(self) -> float:
        """Age of the oldest unacknowledged message in s; 0 if there is none."""
        received_at = self._writer.oldest_received_at or self._inbox.oldest_received_at
        return 0.0 if received_at is None else max(0.0, time.time() - received_at / 1e6)

    def _say_flushes(self) -> None:
        """Log a `flush` if anything was written; an `idle` after a minute in which nothing was and all is well."""
        flushes, self._writer.flushes = self._writer.flushes, FlushSummary()
        away = bool(self._state.problems())
        if flushes.batches:
            log.info("flush", **flushes.fields(), **self._standing())
        elif time.monotonic() - self._said_at >= _IDLE_SECONDS and not away:
            log.info("idle", seconds=round(time.monotonic() - self._said_at), **self._standing())
        if flushes.batches or away or time.monotonic() - self._said_at >= _IDLE_SECONDS:
            self._said_at = time.monotonic()
        if flushes.dead_letters.messages:
            log.warning("dead_letters", **flushes.dead_letters.fields())
        if flushes.flawed.messages:
            log.warning("flawed", **flushes.flawed.fields())
        if flushes.conflicts.messages:
            log.warning("conflicts", **flushes.conflicts.fields())
        if worked_off := self._backlog.look(flushes.messages, self._unacked(), away=away):
            log.info("caught_up", messages=worked_off[0], seconds=round(worked_off[1], 1))

    def _standing(self) -> dict[str, object]:
        """The present state, for the log; the last three fields count since the start of the process."""
        metrics = self._state.metrics
        return {
            "unacked": self._unacked(),
            "oldest_s": round(self._oldest_seconds(), 3),
            "rollup_s": round(value(metrics.rollup_lag), 1),
            "online": int(value(metrics.vens_online)),
            "dead_lettered": int(value(metrics.outcomes[Outcome.DEAD_LETTERED])),
            "flawed": int(value(metrics.flawed)),
            "conflict": int(value(metrics.conflict)),
        }


async def _within(seconds: float, task: asyncio.Task[None]) -> None:
    with contextlib.suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(seconds):
            await task
