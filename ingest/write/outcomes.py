"""The outcomes of the messages of a committed batch."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ingest.message import DeadLetter, Ignored, Message, Outcome, Reading, Snapshot, StatusReport

Outcomes = list[Outcome]


@dataclass
class Tally:
    """Counts other than outcomes, of the batches committed since the counts were last read."""

    conflicts: list[Message] = field(default_factory=list)
    new_dead_letters: int = 0


def outcome_of(
    message: Message, stored: set[Reading], repeated: set[Message], statuses: dict[Message, Outcome]
) -> Outcome:
    """The outcome of one message. `stored`: readings that were new; `repeated`: messages that repeat a reading of the
    same batch; `statuses`: the outcomes of statuses."""
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
    """The outcome of an array: stored if any part was, else duplicate if any part was one, else dead-lettered."""
    of_parts = set(outcomes)
    return next(
        each for each in (Outcome.STORED, Outcome.DUPLICATE, Outcome.DEAD_LETTERED) if each in of_parts
    )
