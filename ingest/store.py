"""One batch, one transaction: COPY telemetry and samples, then vens, loads, statuses, dead letters, marks."""

from collections.abc import AsyncIterator, Iterable, Sequence

import asyncpg

from ingest import copyrows
from ingest.dead_letters import write_dead_letters
from ingest.known import KnownLoads
from ingest.message import DeadLetter, Message, Outcome, Reading, Snapshot, StatusReport
from ingest.partitions import Partitions, TooOldError
from ingest.queries import SQL, columns
from ingest.status_store import write_statuses
from shared.db import Connection

Outcomes = list[Outcome]

BASE_BUCKET_US = 300_000_000
_COPY_CHUNK_BYTES = 512 * 1024


class Store:
    """Writes batches through one connection at a time; keeps what spares the database questions."""

    def __init__(self, client_id: str, partitions: Partitions) -> None:
        self._client_id = client_id
        self._partitions = partitions
        self._seen_vens: set[str] = set()
        self._known = KnownLoads()

    def forget(self) -> None:
        """Trust nothing that was learnt of the database: it may be another one now."""
        self._seen_vens.clear()
        self._known = KnownLoads()
        self._partitions.forget()

    async def prepare(self, connection: Connection) -> None:
        """Make ready a connection that batches will be written through."""
        await connection.execute(SQL["create_incoming"])

    async def write(self, connection: Connection, batch: Sequence[Message], *, merge: bool) -> Outcomes:
        """Store `batch` in one transaction and return each message's outcome, committed.

        Without `merge`, a reading that is stored already raises UniqueViolationError on ven_telemetry;
        with it, such readings are found and left out. Raises TooOldError, or what asyncpg raises.
        """
        readings, repeated = _distinct_readings(batch)
        await self._partitions.ensure(connection, (reading.ts for reading in readings))
        async with connection.transaction():
            stored = await self._copy_readings(connection, readings, merge=merge)
            vens = await self._update_vens(connection, batch, stored)
            known, described = self._known.learn(
                m for m in batch if not isinstance(m.content, Reading) or m.content in stored
            )
            if known:
                await connection.execute(SQL["learn_loads"], *columns(known))
            statuses = await write_statuses(connection, batch, self._client_id)
            await write_dead_letters(connection, batch)
            await _mark_dirty(connection, stored)
        self._seen_vens.update(vens)
        self._known.remember(described)
        return [_outcome(m, stored, repeated, statuses) for m in batch]

    async def _copy_readings(
        self, connection: Connection, readings: list[Reading], *, merge: bool
    ) -> set[Reading]:
        if not readings:
            return set()
        rows = [reading.row for reading in readings]
        stored = set(readings)
        if merge:
            await _copy(connection, "incoming_telemetry", copyrows.TELEMETRY_COLUMNS, rows)
            new = {(r["ven_id"], r["ts"]) for r in await connection.fetch(SQL["merge_incoming"])}
            stored = {reading for reading in readings if (reading.ven_id, reading.ts) in new}
        else:
            await _copy(connection, "ven_telemetry", copyrows.TELEMETRY_COLUMNS, rows)
        samples = [reading.samples for reading in readings if reading.samples and reading in stored]
        if samples:
            await _copy(connection, "ven_load_samples", copyrows.SAMPLE_COLUMNS, samples)
        return stored

    async def _update_vens(
        self, connection: Connection, batch: Sequence[Message], stored: set[Reading]
    ) -> Iterable[str]:
        arrivals = _arrivals(batch)
        unseen = sorted(arrivals.keys() - self._seen_vens)
        if unseen:
            await connection.execute(SQL["insert_vens"], unseen, [arrivals[v] for v in unseen])
        heard = _heard(batch)
        if heard:
            done = await connection.execute(SQL["update_vens"], *_latest(heard, stored))
            if done != f"UPDATE {len(heard)}":
                # Somebody emptied the table: the batch goes again, and this process forgets what it knew of it.
                raise asyncpg.SerializationError("a VEN is missing from vens")
        return arrivals.keys()


def _distinct_readings(batch: Sequence[Message]) -> tuple[list[Reading], set[Message]]:
    """The readings by key, of several with one key the first; and the messages that repeat one."""
    first: dict[tuple[str, int], Reading] = {}
    repeated = set()
    for message in batch:
        content = message.content
        if (
            isinstance(content, Reading)
            and first.setdefault((content.ven_id, content.ts), content) is not content
        ):
            repeated.add(message)
    return [first[key] for key in sorted(first)], repeated


def _outcome(
    message: Message, stored: set[Reading], repeated: set[Message], statuses: dict[Message, Outcome]
) -> Outcome:
    match message.content:
        case Reading() as reading:
            return Outcome.STORED if message not in repeated and reading in stored else Outcome.DUPLICATE
        case Snapshot():
            return Outcome.STORED
        case StatusReport():
            return statuses[message]
        case DeadLetter():
            return Outcome.DEAD_LETTERED


def _arrivals(batch: Sequence[Message]) -> dict[str, int]:
    """First arrival in the batch by VEN."""
    arrivals: dict[str, int] = {}
    for message in batch:
        if not isinstance(message.content, DeadLetter):
            arrivals.setdefault(message.content.ven_id, message.received_at)
    return arrivals


def _heard(batch: Sequence[Message]) -> dict[str, int]:
    """Last arrival of telemetry or a status in the batch by VEN, sorted."""
    heard = {m.content.ven_id: m.received_at for m in batch if isinstance(m.content, Reading | StatusReport)}
    return dict(sorted(heard.items()))


def _latest(heard: dict[str, int], stored: Iterable[Reading]) -> list[list[object]]:
    """The arguments of update_vens."""
    latest: dict[str, Reading] = {}
    loads_ts: dict[str, int] = {}
    for reading in stored:
        ven_id, ts = reading.ven_id, reading.ts
        held = latest.get(ven_id)
        if held is None or ts > held.ts:
            latest[ven_id] = reading
        if reading.loads is not None and ts > loads_ts.get(ven_id, 0):
            loads_ts[ven_id] = ts
    rows = [
        (
            ven_id,
            seen_at,
            r.ts,
            r.used_power_kw,
            r.shed_power_kw,
            r.requested_reduction_kw,
            r.event_id,
            r.battery_soc,
        )
        if (r := latest.get(ven_id))
        else (ven_id, seen_at, None, None, None, None, None, None)
        for ven_id, seen_at in heard.items()
    ]
    return [*columns(rows), [loads_ts.get(ven_id) for ven_id in heard]]


async def _copy(connection: Connection, table: str, columns: Sequence[str], rows: list[bytes]) -> None:
    await connection.copy_to_table(table, source=_stream(rows), columns=columns, format="binary")


async def _stream(rows: list[bytes]) -> AsyncIterator[bytes]:
    yield copyrows.HEADER
    chunk: list[bytes] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += len(row)
        if size >= _COPY_CHUNK_BYTES:
            yield b"".join(chunk)
            chunk, size = [], 0
    yield b"".join(chunk) + copyrows.TRAILER


async def _mark_dirty(connection: Connection, stored: set[Reading]) -> None:
    """Mark what was stored in closed buckets. Comes after COPY: the leader moves `closing` and then waits
    for every transaction that may have read the old one."""
    if not stored:
        return
    closing = await connection.fetchval(SQL["closing"])
    if closing is None or min(reading.ts for reading in stored) >= closing:
        return
    raw_from = await connection.fetchval(SQL["raw_from"])
    if raw_from is not None and any(reading.ts < raw_from for reading in stored):
        raise TooOldError(raw_from)
    marks = {(r.ts - r.ts % BASE_BUCKET_US, r.ven_id) for r in stored if r.ts < closing}
    await connection.execute(SQL["mark_dirty"], *columns(sorted(marks)))
