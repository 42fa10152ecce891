"""What was flushed since the last line in the log."""

from collections.abc import Sequence

from ingest.message import DeadLetter, Message, Outcome, Reading, singly
from ingest.receive import json_text
from ingest.receive.payloads import MAX_ID_CHARACTERS
from ingest.receive.refusal import DecodeError
from ingest.write.dead_letters import KEPT_TOPIC_CHARACTERS


class FlushSummary:
    """Counts of batches, and of dead letters with one of them as a sample: its reason, topic and VEN.

    `seconds`: while at least one batch was being written.
    """

    def __init__(self) -> None:
        self.messages = self.rows = self.batches = self.dead = 0
        self.seconds = 0.0
        self.sample: tuple[str, str, str | None] | None = None

    def add(self, batch: Sequence[Message], rows: int, seconds: float) -> None:
        """Count one batch that took `rows` rows and `seconds` more of the time."""
        self.batches += 1
        self.messages += len(batch)
        self.rows += rows
        self.seconds += seconds
        dead = [(m, m.content.error) for m in singly(batch) if isinstance(m.content, DeadLetter)]
        self.dead += len(dead)
        if dead and self.sample is None:
            message, error = dead[0]
            self.sample = (error, message.topic[:KEPT_TOPIC_CHARACTERS], named_ven(message.payload))


def rows_of(batch: Sequence[Message], outcomes: Sequence[Outcome]) -> int:
    """How many rows a batch is in the database: a reading and each of its samples, or one."""
    return sum(
        1 + m.content.sample_count if isinstance(m.content, Reading) else 1
        for whole, outcome in zip(batch, outcomes, strict=True)
        if outcome in (Outcome.STORED, Outcome.DEAD_LETTERED)
        for m in whole.parts or (whole,)
    )


def named_ven(payload: bytes) -> str | None:
    """The VEN id in a payload that may be anything, for the log; None if there is none to be found."""
    try:
        fields = json_text.parse(json_text.text_of(payload))
    except (ValueError, DecodeError, RecursionError):
        return None
    ven_id = fields.get("venId") if isinstance(fields, dict) else None
    return str(ven_id)[:MAX_ID_CHARACTERS] if isinstance(ven_id, str | int) and ven_id else None
