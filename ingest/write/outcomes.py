"""What came of the messages of a batch, once it is committed."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ingest.message import DeadLetter, Ignored, Message, Outcome, Reading, Snapshot, StatusReport

Outcomes = list[Outcome]


@dataclass
class Tally:
    """Counts beside the outcomes, of batches that were committed since the counts were last read."""

    conflicts: list[Message] = field(default_factory=list)
    new_dead_letters: int = 0


def outcome_of(
    message: Message, stored: set[Reading], repeated: set[Message], statuses: dict[Message, Outcome]
) -> Outcome:
    """The outcome of one message. `stored`: readings that were new; `repeated`: messages that repeat one of the same
    batch; `statuses`: outcomes of statuses."""
    match message.content:
        case Reading() as reading:
            return Outcome.STORED if message not in repeated and reading in stored else Outcome.DUPLICATE
        case Snapshot():
            return Outcome.STORED
        case StatusReport():
            return statuses[message]
        case DeadLetter():
            return Outcome.DEAD_LETTERED
        case Ignored():
            return Outcome.IGNORED


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of a message that is an array: stored if any part was, else a duplicate if any was one."""
    of_parts = set(outcomes)
    return next(
        each for each in (Outcome.STORED, Outcome.DUPLICATE, Outcome.DEAD_LETTERED) if each in of_parts
    )
