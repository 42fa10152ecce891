"""Writes one batch in one transaction: COPY of telemetry and lists of loads; then VENs, loads, statuses, flaws, dead
letters and notes of late readings."""

from collections.abc import Sequence, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg

from ingest import copy_format
from ingest.db_errors import Fault, classify
from ingest.message import Message, Outcome, Reading, singly
from ingest.partitions import SQL as PARTITIONS_SQL
from ingest.partitions import Partitions, TooOldError
from ingest.write.clocks import Clocks
from ingest.write.conflicts import Repeats, look_at_repeats
from ingest.write.dead_letters import write_dead_letters
from ingest.write.flaws import write_flaws
from ingest.write.loads import KnownLoads
from ingest.write.outcomes import Outcomes, Tally, outcome_of, together
from ingest.write.queries import SQL, columns
from ingest.write.statuses import repeats, write_statuses
from ingest.write.vens import Spoken, said_at, signs_of, update_vens
from shared.db import Connection

# At most so many VENs are remembered as being in the table `vens`; faulty firmware may invent ids without end.
_SEEN_VENS = 50_000
# After a batch with readings that were stored before, so many batches go by a temporary table, which leaves them out.
_MERGE_BATCHES = 20


@dataclass(frozen=True)
class Copied:
    """A batch whose readings are copied, in a transaction that is still open.

    `singles`: its messages, arrays replaced by their parts; `stored`: the readings that were new; `repeated`: messages
    that repeat a reading of the same batch.
    """

    connection: Connection
    transaction: AsyncExitStack
    batch: Sequence[Message]
    singles: Sequence[Message]
    stored: set[Reading]
    repeated: set[Message]


class Store:
    """Writes batches, each in two steps: `copy` and `finish`. Batches are finished one after the other, in the
    order in which they came; the next batch may be copied meanwhile, over another connection.

    Remembers which VENs, loads and partitions are in the database. `shared`: other processes store messages of the
    same VENs.
    """

    def __init__(self, client_id: str, partitions: Partitions, shared: bool = False) -> None:
        self._client_id = client_id
        self._shared = shared
        self._partitions = partitions
        self._seen_vens: set[str] = set()
        self._known = KnownLoads()
        self.clocks = Clocks()
        self.tally = Tally()
        self._merging = 0

    def forget(self) -> None:
        """Forget everything that is remembered of the database: it may be another one, or changed by others."""
        self._seen_vens.clear()
        self._known = KnownLoads()
        self._partitions.forget()

    async def prepare(self, connection: Connection) -> None:
        """Prepare a new connection for batches."""
        await connection.execute(SQL["create_incoming"])

    async def write(self, connection: Connection, batch: Sequence[Message]) -> Outcomes:
        """Store `batch` in one transaction, commit it, and return each message's outcome; raises as `copy` does."""
        return await self.finish(await self.copy(connection, batch))

    async def copy(self, connection: Connection, batch: Sequence[Message]) -> Copied:
        """Open a transaction, and copy the readings that are not stored yet, with their lists of loads.

        Raises TooOldError, or what asyncpg raises; then the transaction is rolled back.
        """
        singles = singly(batch)
        readings, repeated = _distinct_readings(singles)
        await self._partitions.ensure(connection, (reading.ts for reading in readings))
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(connection.transaction())
                stored = await self._copy_readings(connection, readings)
                return Copied(connection, stack.pop_all(), batch, singles, stored, repeated)
        except asyncpg.UniqueViolationError as exc:
            if self._merging or classify(exc) is not Fault.STORED_BEFORE:
                raise
        # Repeated readings usually come many at a time.
        self._merging = _MERGE_BATCHES
        return await self.copy(connection, batch)

    async def finish(self, copied: Copied) -> Outcomes:
        """Write everything else, commit the transaction, and return each message's outcome. In this order:

        1. Readings that were stored before: they may bring loads that the stored reading lacks; steps 2 to 4 use these.
        2. VENs: step 3 locks the rows in `vens` of VENs with statuses, so the rows must exist.
        3. Loads, statuses, flaws, dead letters: each has tables of its own, so their order does not matter.
        4. Notes of late readings, last: the leader moves `closing`, and then waits for every transaction that may have
           read the old value; so `closing` must be read after the readings are copied.

        Raises as `copy` does.
        """
        connection, singles, stored = copied.connection, copied.singles, copied.stored
        async with copied.transaction:
            conflicts, given_loads = await self._give_loads(connection, singles, stored)
            changed = stored | set(given_loads)
            again = await repeats(connection, singles, self._client_id)
            spoken = self._spoken(singles, stored, again)
            signs = signs_of(singles, stored, changed, spoken, self.clocks)
            vens = await update_vens(connection, singles, signs, self._seen_vens)
            known, described = self._known.learn(
                m for m in singles if not isinstance(m.content, Reading) or m.content in changed
            )
            if known:
                await connection.execute(SQL["learn_loads"], *columns(known))
            statuses = await write_statuses(connection, singles, again, spoken)
            await write_flaws(connection, singles, conflicts)
            new_dead_letters = await write_dead_letters(connection, singles)
            await _note_late(connection, stored, given_loads)
        if len(self._seen_vens) > _SEEN_VENS:
            self._seen_vens.clear()
        self._seen_vens.update(vens)
        self._known.remember(described)
        self.tally.conflicts += conflicts
        self.tally.new_dead_letters += new_dead_letters
        of_each = {m: outcome_of(m, stored, copied.repeated, statuses) for m in singles}
        outcomes = [
            of_each[m] if not m.parts else together(of_each[p] for p in m.parts) for m in copied.batch
        ]
        if self._merging:
            self._merging = _MERGE_BATCHES if Outcome.DUPLICATE in outcomes else self._merging - 1
        return outcomes

    async def _give_loads(
        self, connection: Connection, singles: Sequence[Message], stored: set[Reading]
    ) -> Repeats:
        """Store the loads of readings that were stored before without loads."""
        found = await look_at_repeats(connection, singles, stored)
        if found.loads:
            lists = [reading.list_row for reading in found.loads]
            await _copy(connection, "ven_load_lists", copy_format.LIST_COLUMNS, lists)
        return found

    def _spoken(self, singles: Sequence[Message], stored: set[Reading], again: Set[Message]) -> Spoken:
        """When each message was sent, by our clock. None: it is not a sign of life, because it repeats an earlier
        message: the statuses `again`, and readings that the broker delivers again and that were stored before."""
        return {
            m: None
            if m in again or (m.dup and isinstance(m.content, Reading) and m.content not in stored)
            else said_at(m, self._shared)
            for m in singles
        }

    async def _copy_readings(self, connection: Connection, readings: list[Reading]) -> set[Reading]:
        if not readings:
            return set()
        rows = [reading.row for reading in readings]
        stored = set(readings)
        if self._merging:
            await _copy(connection, "incoming_telemetry", copy_format.TELEMETRY_COLUMNS, rows)
            new = {(r["ven_id"], r["ts"]) for r in await connection.fetch(SQL["merge_incoming"])}
            stored = {reading for reading in readings if (reading.ven_id, reading.ts) in new}
        else:
            await _copy(connection, "ven_telemetry", copy_format.TELEMETRY_COLUMNS, rows)
        lists = [reading.list_row for reading in readings if reading.lists_loads and reading in stored]
        if lists:
            await _copy(connection, "ven_load_lists", copy_format.LIST_COLUMNS, lists)
        return stored


def _distinct_readings(batch: Sequence[Message]) -> tuple[list[Reading], set[Message]]:
    """The readings, sorted by key, the first of each key; and the messages that repeat one of them."""
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


async def _copy(connection: Connection, table: str, columns: Sequence[str], rows: list[bytes]) -> None:
    # In one piece: if asyncpg 0.32 copies several pieces and the connection is lost between two, it waits for ever.
    # As a memoryview, because asyncpg takes bytes for a file's name.
    data = memoryview(b"".join([copy_format.HEADER, *rows, copy_format.TRAILER]))
    await connection.copy_to_table(table, source=data, columns=columns, format="binary")  # type: ignore[arg-type]


async def _note_late(connection: Connection, stored: set[Reading], given_loads: Sequence[Reading]) -> None:
    """Note the new readings and lists of loads whose time is counted already, so that the leader counts them later.
    `given_loads`: readings stored before, of which only the list of loads is new.

    It reads `closing` after COPY has locked ven_telemetry: the leader moves `closing`, and then waits for every
    transaction that holds that lock, because it may have read the old value.
    """
    new = [*stored, *given_loads]
    if not new:
        return
    closing = await connection.fetchval(SQL["closing"])
    if closing is None or min(reading.ts for reading in new) >= closing:
        return
    raw_from = await connection.fetchval(PARTITIONS_SQL["raw_from"])
    if raw_from is not None and any(reading.ts < raw_from for reading in new):
        raise TooOldError(raw_from)
    late = sorted((r.ven_id, r.ts, r.lists_loads) for r in stored if r.ts < closing)
    lists = sorted((r.ven_id, r.ts) for r in given_loads if r.ts < closing)
    if late:
        await connection.execute(SQL["note_late_readings"], *columns(late))
    if lists:
        await connection.execute(SQL["note_late_lists"], *columns(lists))
