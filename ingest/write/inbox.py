"""Decoded messages wait here until they are a batch for the writer (group commit)."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from ingest.message import Message

# Reading pauses while more than this (`Message.weight`) waits, or more than `hold` messages. The receive maximum is not
# enough: it does not bind QoS 0, mosquitto 2.0 exceeds it while it has a queue, and 1,000 messages may have 128 MiB.
PAUSE_BYTES = 32 * 1024 * 1024
# A batch of large messages ends at this size: its memory comes on top of what waits, twice while it is sent.
BATCH_BYTES = 8 * 1024 * 1024


class Inbox:
    """Messages received and not yet written, oldest first.

    `on_pressure(True)` is called when PAUSE_BYTES or `hold` messages wait, `on_pressure(False)` when less than half of
    that waits. A batch has at most `batch_max` messages, and at most a third of `hold`: three batches
    are in flight (committing, copying, collecting), and together they must fit into the broker's receive maximum.
    """

    def __init__(self, batch_max: int, linger: float, hold: int = 4000) -> None:
        self._batch_max = min(batch_max, max(1, hold // 3))
        self._linger = linger
        self._hold = hold
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        self._full = asyncio.Event()
        self._first_at = 0.0
        self._closed = False
        self._pressed = False
        self.on_pressure: Callable[[bool], None] = lambda _: None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest_received_at(self) -> int | None:
        """Arrival of the oldest waiting message, µs since the epoch."""
        return self._waiting[0].received_at if self._waiting else None

    def put(self, message: Message) -> None:
        """Add a message; never blocks and never drops one."""
        if not self._waiting:
            self._first_at = time.monotonic()
            self._some.set()
        self._waiting.append(message)
        self._bytes += message.weight
        if len(self._waiting) >= self._batch_max:
            self._full.set()
        if not self._pressed and (self._bytes >= PAUSE_BYTES or len(self._waiting) >= self._hold):
            self._pressed = True
            self._full.set()
            self.on_pressure(True)

    async def take(self) -> list[Message]:
        """The next batch: as soon as `batch_max` messages wait, or `linger` s after the first of them arrived.

        An empty list once the inbox is closed and empty.
        """
        if not self._closed:
            await self._some.wait()
            left = self._first_at + self._linger - time.monotonic()
            if left > 0 and not self._full.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._full.wait()
        return self._pop()

    def close(self) -> None:
        """Hand out the remaining messages without lingering; no more will come."""
        self._closed = True
        self._some.set()
        self._full.set()

    def drop(self, unwanted: Callable[[Message], bool]) -> int:
        """Forget the waiting messages that are `unwanted`; returns how many."""
        kept = [message for message in self._waiting if not unwanted(message)]
        dropped = len(self._waiting) - len(kept)
        self._waiting = deque(kept)
        self._bytes = sum(message.weight for message in kept)
        self._settle()
        return dropped

    def _pop(self) -> list[Message]:
        waiting = self._waiting
        batch: list[Message] = []
        size = 0
        while waiting and len(batch) < self._batch_max and size < BATCH_BYTES:
            batch.append(waiting.popleft())
            size += batch[-1].weight
        self._bytes -= size
        # The other messages have waited while the last batch was written, so they do not linger again.
        self._settle()
        return batch

    def _settle(self) -> None:
        if not self._closed:
            if not self._waiting:
                self._some.clear()
            if len(self._waiting) < self._batch_max:
                self._full.clear()
        if self._pressed and self._bytes < PAUSE_BYTES // 2 and len(self._waiting) <= self._hold // 2:
            self._pressed = False
            self.on_pressure(False)
