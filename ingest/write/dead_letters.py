"""Messages that cannot be stored: one row for the same topic and payload, with its reason."""

from collections.abc import Sequence
from hashlib import sha256

from ingest.message import DeadLetter, Message
from ingest.write.queries import SQL, columns
from shared.db import Connection

# More of a payload is not kept.
DEAD_LETTER_BYTES = 64 * 1024
# Nor of a topic, which MQTT lets be 65,535 bytes.
TOPIC_CHARACTERS = 1024


def fingerprint(message: Message) -> bytes:
    """What tells a message from others: sha256 of topic and payload."""
    return sha256(b"\0".join((message.topic.encode(errors="replace"), message.payload))).digest()


def is_cut(message: Message) -> bool:
    """Whether a dead letter is not kept whole."""
    return message.size > DEAD_LETTER_BYTES or len(message.topic) > TOPIC_CHARACTERS


async def write_dead_letters(connection: Connection, batch: Sequence[Message]) -> None:
    """Write the dead letters of a batch, inside its transaction; one row for the same message."""
    rows: dict[bytes, list[object]] = {}
    for message in batch:
        if isinstance(message.content, DeadLetter):
            sha = fingerprint(message)
            if sha in rows:
                rows[sha][2] += 1  # type: ignore[operator]
                rows[sha][1] = message.received_at
            else:
                topic, error = _storable(message.topic[:TOPIC_CHARACTERS]), _storable(message.content.error)
                cut = message.payload[:DEAD_LETTER_BYTES]
                rows[sha] = [sha, message.received_at, 1, topic, cut, message.size, error]
    if rows:
        await connection.execute(SQL["insert_dead_letters"], *columns([rows[sha] for sha in sorted(rows)]))


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
