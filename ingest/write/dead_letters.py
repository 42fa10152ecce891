"""Writes messages that cannot be stored: one row for each topic and payload, with the reason."""

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from hashlib import sha256

from ingest.message import DeadLetter, Message
from ingest.write.queries import SQL, columns
from shared.db import Connection

# So much of a payload is kept, from its start.
KEPT_PAYLOAD_BYTES = 64 * 1024
# So much of a topic is kept; MQTT allows 65,535 bytes.
KEPT_TOPIC_CHARACTERS = 1024
_FIGURES = re.compile(r"'[^']*'|-?\d+(\.\d+)?").sub


def fingerprint(message: Message) -> bytes:
    """Identifies a message: the sha256 of its topic and payload."""
    return sha256(b"\0".join((message.topic.encode(errors="replace"), message.payload))).digest()


def is_cut(message: Message) -> bool:
    """Whether only a part of a dead letter is kept."""
    return message.size > KEPT_PAYLOAD_BYTES or len(message.topic) > KEPT_TOPIC_CHARACTERS


@dataclass
class DeadLetterRow:
    """One row of dead_letters; the fields are the parameters of insert_dead_letters, in order. Times in µs."""

    message_sha256: bytes
    received_at: int
    times_seen: int
    topic: str
    payload: bytes
    payload_bytes: int
    error: str
    kind_sha256: bytes
    ven_id: str | None


async def write_dead_letters(connection: Connection, batch: Sequence[Message]) -> int:
    """Write the dead letters of a batch, inside its transaction; equal messages share one row.

    Returns how many kinds of them (see _kind) were not in the table before.
    """
    rows: dict[bytes, DeadLetterRow] = {}
    for message in batch:
        if isinstance(message.content, DeadLetter):
            sha = fingerprint(message)
            row = rows.setdefault(sha, _row(sha, message, message.content))
            row.times_seen += 1
            row.received_at = message.received_at
    if not rows:
        return 0
    kinds = {row.kind_sha256 for row in rows.values()}
    known = await connection.fetch(SQL["read_dead_letter_kinds"], list(kinds))
    ordered = [astuple(rows[sha]) for sha in sorted(rows)]
    await connection.execute(SQL["insert_dead_letters"], *columns(ordered))
    return len(kinds) - len(known)


def _kind(message: Message, content: DeadLetter) -> bytes:
    """Identifies the kind of a dead letter: its topic, its VEN, and its reason without figures and quoted words."""
    parts = (message.topic, content.ven_id or "", _FIGURES("", content.error))
    return sha256("\0".join(parts).encode(errors="replace")).digest()


def _row(sha: bytes, message: Message, content: DeadLetter) -> DeadLetterRow:
    """The row of a dead letter that is the first of its topic and payload in the batch."""
    return DeadLetterRow(
        message_sha256=sha,
        received_at=message.received_at,
        times_seen=0,
        topic=storable(message.topic[:KEPT_TOPIC_CHARACTERS]),
        payload=message.payload[:KEPT_PAYLOAD_BYTES],
        payload_bytes=message.size,
        error=storable(content.error),
        kind_sha256=_kind(message, content),
        ven_id=None if content.ven_id is None else storable(content.ven_id),
    )


def storable(text: str) -> str:
    """`text` without what PostgreSQL cannot hold: NULs and half surrogate pairs are replaced."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
