"""Sends dead letters through today's decoder and writer. A message that is stored leaves the table in the same
transaction, so a retry that is killed has stored each message once, or not at all."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg

from ingest.dead_letters.chosen import SQL, Chosen
from ingest.health import DatabaseHealth
from ingest.message import DeadLetter, Ignored, Message, Outcome
from ingest.partitions import Partitions
from ingest.receive.decode import Decoder
from ingest.receive.refusal import DecodeError
from ingest.receive.topics import TopicMap
from ingest.settings import Settings
from ingest.write.batch import Store
from ingest.write.dead_letters import KEPT_TOPIC_CHARACTERS, storable
from ingest.write.lane import Lane
from ingest.write.outcomes import Outcomes
from ingest.write.queries import columns
from ingest.write.retry import Retry
from shared import advisory_locks
from shared.db import Connection
from shared.errors import StartupError

NOT_WHOLE = "only its beginning is kept, so it cannot be stored"
_STORED = (Outcome.STORED, Outcome.DUPLICATE)


@dataclass
class Result:
    """The result of a retry: how many messages were `stored`, were stored before (`duplicate`), and stay (`left`, by
    reason)."""

    stored: int = 0
    duplicate: int = 0
    left: Counter[str] = field(default_factory=Counter)


async def retry(
    connection: Connection,
    settings: Settings,
    chosen: Chosen,
    *,
    dry_run: bool,
    progress: Callable[[int], None],
) -> Result:
    """Try to store the chosen messages, or (`dry_run`) only decode them. `progress` is called with how many more are
    done. Raises StartupError while another retry runs on this database.
    """
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", advisory_locks.DEAD_LETTERS):
        raise StartupError("another retry of dead letters runs on this database: wait for its end")
    decoder = Decoder(TopicMap(settings.mqtt), settings.mqtt, settings.retention.raw_retention_days)
    store = _Store()
    lane, result = Lane(settings.db, store), Result()
    writer = Retry(store, DatabaseHealth({}))
    try:
        _, last = await chosen.count(connection)
        async for rows in chosen.by_id(connection, last):
            letters = {_message(row, decoder): row["id"] for row in rows}
            if dry_run:
                outcomes: Outcomes = [_expected(message) for message in letters]
            else:
                store.letters = letters
                outcomes = await writer.write(lane, list(letters))
                # If the database refused a part of an array, `writer` wrote the parts, which are not in `letters`: so
                # the array's row is deleted here.
                await connection.execute(SQL["delete"], _stored_arrays(letters, outcomes))
            _count(result, letters, outcomes)
            progress(len(rows))
    finally:
        await lane.close()
    return result


class _Store(Store):
    """Writes dead letters, and deletes the rows of those that are stored. `letters`: the id of each message's row."""

    def __init__(self) -> None:
        super().__init__("dead-letters", Partitions(), shared=True)
        self.letters: dict[Message, int] = {}

    async def write(self, connection: Connection, batch: Sequence[Message]) -> Outcomes:
        """Write a batch as every Store does. Messages that still cannot be stored stay, with today's reason."""
        usable = [m for m in batch if not _is_dead(m)]
        try:
            async with connection.transaction():
                outcomes = await super().write(connection, usable) if usable else []
                of_each = dict(zip(usable, outcomes, strict=True))
                gone = [self.letters[m] for m, o in of_each.items() if o in _STORED and m in self.letters]
                await connection.execute(SQL["delete"], gone)
                await self._explain(connection, [m for m in batch if m not in of_each])
        except BaseException:
            # The transaction is rolled back, so what the store remembers of it is wrong.
            self.forget()
            raise
        return [of_each.get(message, Outcome.DEAD_LETTERED) for message in batch]

    async def _explain(self, connection: Connection, left: Sequence[Message]) -> None:
        rows = [
            (self.letters[m], storable(m.content.error), m.content.ven_id and storable(m.content.ven_id))
            for m in left
            if isinstance(m.content, DeadLetter) and m in self.letters and m.content.error != NOT_WHOLE
        ]
        if rows:
            await connection.execute(SQL["explain"], *columns(rows))


def _message(row: asyncpg.Record, decoder: Decoder) -> Message:
    """A dead letter as a message; retained, because its publishing time is unknown."""
    topic, payload, received_at = row["topic"], row["payload"], row["received_at"]
    message = Message(
        topic, payload, qos=0, mid=0, dup=False, retain=True, generation=0, received_at=received_at
    )
    if row["payload_bytes"] > len(payload) or len(topic) >= KEPT_TOPIC_CHARACTERS:
        message.content = DeadLetter(NOT_WHOLE)
        return message
    try:
        message.take(decoder.decode(topic, payload, received_at))
    except DecodeError as exc:
        message.content = DeadLetter(str(exc), exc.ven_id)
    return message


def _is_dead(message: Message) -> bool:
    return isinstance(message.content, DeadLetter) and not message.parts


def _stored_arrays(letters: dict[Message, int], outcomes: Outcomes) -> list[int]:
    of_each = zip(letters.items(), outcomes, strict=True)
    return [letter for (message, letter), outcome in of_each if message.parts and outcome in _STORED]


def _expected(message: Message) -> Outcome:
    if _is_dead(message):
        return Outcome.DEAD_LETTERED
    return Outcome.IGNORED if isinstance(message.content, Ignored) else Outcome.STORED


def _count(result: Result, letters: dict[Message, int], outcomes: Outcomes) -> None:
    for message, outcome in zip(letters, outcomes, strict=True):
        content = message.content
        if outcome is Outcome.STORED:
            result.stored += 1
        elif outcome is Outcome.DUPLICATE:
            result.duplicate += 1
        elif isinstance(content, DeadLetter):
            result.left[content.error] += 1
        elif isinstance(content, Ignored):
            result.left[content.reason] += 1
