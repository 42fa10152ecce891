"""Collects what was written since the last `flush` line of the log."""

import time
from collections.abc import Sequence
from statistics import median

from ingest.message import DeadLetter, Message, Outcome, Reading, singly, ven_of
from ingest.write.dead_letters import KEPT_TOPIC_CHARACTERS
from ingest.write.flaws import CONFLICT_REASON, reason_of


class Sampled:
    """How many messages there were, and the reason, topic and VEN of the first of them, as a sample."""

    def __init__(self) -> None:
        self.messages = 0
        self._sample: dict[str, str | None] = {}

    def add(self, message: Message, reason: str) -> None:
        """Count a message."""
        self.messages += 1
        if not self._sample:
            topic = message.topic[:KEPT_TOPIC_CHARACTERS]
            self._sample = {"reason": reason, "topic": topic, "ven": ven_of(message.content)}

    def fields(self) -> dict[str, object]:
        """For the log."""
        return {"messages": self.messages, **self._sample}


class FlushSummary:
    """Counts of batches, and samples of messages that an operator should look at.

    `busy`: s during which at least one batch was being written; `writes`: how many s each batch took; `newest`: the
    time of the newest reading, stored now or before, at most its arrival, in µs since the epoch; 0: there was none.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.messages = self.rows = self.batches = 0
        self.busy = 0.0
        self.writes: list[float] = []
        self.newest = 0
        self.dead_letters, self.flawed, self.conflicts = Sampled(), Sampled(), Sampled()

    def add(
        self,
        batch: Sequence[Message],
        conflicts: Sequence[Message],
        *,
        rows: int,
        seconds: float,
        busy: float,
    ) -> None:
        """Count one batch of `rows` rows that took `seconds`; `busy`: the s of these that no earlier batch took too."""
        self.batches += 1
        self.messages += len(batch)
        self.rows += rows
        self.busy += busy
        self.writes.append(seconds)
        newest = self.newest
        for message in singly(batch):
            content = message.content
            if isinstance(content, Reading) and content.ts > newest:
                newest = max(newest, min(content.ts, message.received_at))
            if isinstance(content, DeadLetter):
                self.dead_letters.add(message, content.error)
            elif reason := reason_of(message):
                self.flawed.add(message, reason)
        self.newest = newest
        for message in conflicts:
            self.conflicts.add(message, CONFLICT_REASON)

    def fields(self) -> dict[str, object]:
        """The fields of the log line: what was written, in how many s, and how old the newest reading of it is."""
        return {
            "seconds": round(time.monotonic() - self.began, 3),
            "messages": self.messages,
            "rows": self.rows,
            "batches": self.batches,
            "ms": round(self.busy * 1000, 1),
            "median_ms": round(median(self.writes) * 1000, 1),
            "worst_ms": round(max(self.writes) * 1000, 1),
            "behind_s": round(max(0.0, time.time() - self.newest / 1e6), 3) if self.newest else None,
        }


class Backlog:
    """Counts the messages that waited in the broker while a server or ingest itself was away, until they are written.

    While the broker has a backlog, it sends as many messages as it may (`hold`).
    """

    def __init__(self, hold: int) -> None:
        self._hold = hold
        self._messages = 0
        self._began: float | None = None
        self._away = True

    def waits(self, in_hand: int) -> bool:
        """Whether the broker has a backlog now, as `in_hand` tells."""
        return in_hand > self._hold // 2

    def look(self, messages: int, in_hand: int, *, away: bool) -> tuple[int, float] | None:
        """To be called once a second, with how many `messages` were written since the last call.

        When the backlog is written, returns how many messages it had and how many s that took; otherwise, and if it had
        no more than `hold` messages, None.
        """
        if away:
            self._away, self._messages, self._began = True, 0, None
            return None
        if not self._away:
            return None
        self._began = time.monotonic() if self._began is None else self._began
        self._messages += messages
        if self.waits(in_hand):
            return None
        self._away = False
        return (self._messages, time.monotonic() - self._began) if self._messages > self._hold else None


def flawed(batch: Sequence[Message]) -> int:
    """How many messages of a batch are stored without a part that could not be used."""
    return sum(any(reason_of(part) for part in message.parts or (message,)) for message in batch)


def rows_of(batch: Sequence[Message], outcomes: Sequence[Outcome]) -> int:
    """How much of a batch is stored: its readings and the samples in their lists, and one for everything else."""
    return sum(
        1 + m.content.sample_count if isinstance(m.content, Reading) else 1
        for whole, outcome in zip(batch, outcomes, strict=True)
        if outcome in (Outcome.STORED, Outcome.DEAD_LETTERED)
        for m in whole.parts or (whole,)
    )
