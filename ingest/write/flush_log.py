"""What was flushed since the last line in the log."""

from collections.abc import Sequence

from ingest.message import DeadLetter, Message, Outcome, Reading, singly, ven_of
from ingest.write.dead_letters import KEPT_TOPIC_CHARACTERS
from ingest.write.flaws import CONFLICT_REASON, reason_of


class Sampled:
    """How many messages, and of one of them, as a sample, the reason, the topic and the VEN."""

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

    `seconds`: while at least one batch was being written.
    """

    def __init__(self) -> None:
        self.messages = self.rows = self.batches = 0
        self.seconds = 0.0
        self.dead_letters, self.flawed, self.conflicts = Sampled(), Sampled(), Sampled()

    def add(self, batch: Sequence[Message], conflicts: Sequence[Message], rows: int, seconds: float) -> None:
        """Count one batch that took `rows` rows and `seconds` more of the time."""
        self.batches += 1
        self.messages += len(batch)
        self.rows += rows
        self.seconds += seconds
        for message in singly(batch):
            if isinstance(message.content, DeadLetter):
                self.dead_letters.add(message, message.content.error)
            elif reason := reason_of(message):
                self.flawed.add(message, reason)
        for message in conflicts:
            self.conflicts.add(message, CONFLICT_REASON)


def flawed(batch: Sequence[Message]) -> int:
    """How many messages of a batch are stored without a part that could not be used."""
    return sum(any(reason_of(part) for part in message.parts or (message,)) for message in batch)


def rows_of(batch: Sequence[Message], outcomes: Sequence[Outcome]) -> int:
    """How many rows a batch is in the database: a reading and each of its samples, or one."""
    return sum(
        1 + m.content.sample_count if isinstance(m.content, Reading) else 1
        for whole, outcome in zip(batch, outcomes, strict=True)
        if outcome in (Outcome.STORED, Outcome.DEAD_LETTERED)
        for m in whole.parts or (whole,)
    )
