"""Writes the flaws and conflicts of messages, for the operators of the VENs: the latest of each kind, and how many."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from ingest.message import Message, Report
from ingest.write.dead_letters import KEPT_TOPIC_CHARACTERS, storable
from ingest.write.queries import SQL, columns
from shared.db import Connection

FLAWED, CONFLICT = "flawed", "conflict"
CONFLICT_REASON = (
    "another reading of the same VEN and timestamp is stored: give each reading a time of its own"
)


def reason_of(message: Message) -> str | None:
    """What was left out of a message, and why; None if nothing was."""
    content = message.content
    if isinstance(content, Report) and content.flaws:
        return "; ".join(content.flaws)
    return None


async def write_flaws(
    connection: Connection, singles: Sequence[Message], conflicts: Iterable[Message]
) -> None:
    """Write the flaws and conflicts of a batch, inside its transaction; one row for each VEN and kind."""
    rows: dict[tuple[str, str], FlawRow] = {}
    for message in singles:
        reason = reason_of(message)
        if reason is not None:
            _add(rows, message, FLAWED, reason)
    for message in conflicts:
        _add(rows, message, CONFLICT, CONFLICT_REASON)
    if rows:
        await connection.execute(SQL["write_flaws"], *columns([astuple(rows[key]) for key in sorted(rows)]))


@dataclass
class FlawRow:
    """One row of ven_flaws; the fields are the parameters of write_flaws, in order. Times in µs."""

    ven_id: str
    kind: str
    last_at: int
    times: int
    topic: str
    reason: str


def _add(rows: dict[tuple[str, str], FlawRow], message: Message, kind: str, reason: str) -> None:
    if isinstance(message.content, Report):
        ven_id = message.content.ven_id
        before = rows.get((ven_id, kind))
        topic = storable(message.topic[:KEPT_TOPIC_CHARACTERS])
        times = before.times + 1 if before else 1
        rows[ven_id, kind] = FlawRow(ven_id, kind, message.received_at, times, topic, storable(reason))
