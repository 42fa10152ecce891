"""Messages that cannot be stored: one row for the same topic and payload, with its reason."""

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from hashlib import sha256

from ingest.message import DeadLetter, Message
from ingest.write.queries import SQL, columns
from shared.db import Connection

# Of a payload, the first 64 KiB are kept.
KEPT_PAYLOAD_BYTES = 64 * 1024
# Of a topic, which may have 65,535 bytes in MQTT.
KEPT_TOPIC_CHARACTERS = 1024
_FIGURES = re.compile(r"'[^']*'|-?\d+(\.\d+)?").sub


def fingerprint(message: Message) -> bytes:
    """What identifies a message: sha256 of topic and payload."""
    return sha256(b"\0".join((message.topic.encode(errors="replace"), message.payload))).digest()


def is_cut(message: Message) -> bool:
    """Whether a dead letter is not kept whole."""
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
    """Write the dead letters of a batch, inside its transaction; one row for the same message.

    Returns of how many kinds they are that were not seen before.
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
    """What tells a kind of dead letter from others: where it comes from and what is wrong, but no figure of it."""
    parts = (message.topic, content.ven_id or "", _FIGURES("", content.error))
    return sha256("\0".join(parts).encode(errors="replace")).digest()


def _row(sha: bytes, message: Message, content: DeadLetter) -> DeadLetterRow:
    """The row of a message that was not seen yet."""
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
    """A text as PostgreSQL can hold it: without NUL, and with whole characters."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
