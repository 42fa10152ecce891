"""Writes the statuses of a batch; timeline.py decides which of them are transitions."""

from collections.abc import Sequence, Set
from datetime import UTC, datetime, timedelta

from ingest.message import Message, Outcome, StatusReport
from ingest.write.dead_letters import fingerprint
from ingest.write.queries import SQL, columns
from ingest.write.timeline import Timeline, Transition
from ingest.write.vens import Spoken
from shared.db import Connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = ("ven_id", "recorded_at", "status", "details", "received_at")


async def repeats(connection: Connection, singles: Sequence[Message], client_id: str) -> Set[Message]:
    """Statuses that repeat an earlier message, so that their arrival is not news: those that the broker delivers again
    after they were stored, and retained ones without a time whose status the VEN had before.

    `client_id` names the MQTT session that delivered them. The other statuses are noted as delivered.
    """
    reports = [m for m in singles if isinstance(m.content, StatusReport)]
    if not reports:
        return frozenset()
    again = await _delivered_again(connection, client_id, reports)
    again |= await _kept(connection, reports)
    numbered = {m.mid: m for m in reports if m.qos and m not in again}
    if numbered:
        shas = [fingerprint(m) for m in numbered.values()]
        arrivals = [m.received_at for m in numbered.values()]
        await connection.execute(SQL["write_deliveries"], client_id, list(numbered), shas, arrivals)
    return again


async def _delivered_again(connection: Connection, client_id: str, reports: list[Message]) -> set[Message]:
    """Statuses that were stored before: a repeated delivery has the same packet id and the same content."""
    dups = {m.mid: m for m in reports if m.dup}
    if not dups:
        return set()
    rows = await connection.fetch(SQL["read_deliveries"], client_id, list(dups))
    return {dups[row["mid"]] for row in rows if row["message_sha256"] == fingerprint(dups[row["mid"]])}


async def _kept(connection: Connection, reports: list[Message]) -> set[Message]:
    """Retained statuses without a time that the VEN already had: a new subscription replays them."""
    retained = {
        m: (m.content.ven_id, m.content.status)
        for m in reports
        if m.retain and isinstance(m.content, StatusReport) and m.content.ts is None
    }
    if not retained:
        return set()
    rows = await connection.fetch(SQL["read_known_statuses"], *columns([*retained.values()]))
    known = {tuple(row) for row in rows}
    return {m for m, status in retained.items() if status in known}


async def write_statuses(
    connection: Connection, singles: Sequence[Message], again: Set[Message], spoken: Spoken
) -> dict[Message, Outcome]:
    """Write the transitions among the statuses of a batch, inside its transaction; returns the statuses' outcomes.

    Must come after update_vens, which inserts the VENs. `again`: from `repeats`; `spoken`: from said_at.
    """
    outcomes = dict.fromkeys(again, Outcome.DUPLICATE)
    reports = [(m, m.content) for m in singles if isinstance(m.content, StatusReport) and m not in again]
    if not reports:
        return outcomes
    # For a retained status without a time, the arrival has to do; it is here only if the VEN never had this status.
    arrivals = [spoken[m] or m.received_at for m, _ in reports]
    timelines = await _timelines(
        connection, [(r.ven_id, at) for (_, r), at in zip(reports, arrivals, strict=True)]
    )
    for (m, r), at in zip(reports, arrivals, strict=True):
        outcomes[m] = timelines[r.ven_id].apply(at, r.ts, r.status, r.details, r.offline)
    await _write_timelines(connection, timelines)
    return outcomes


async def _timelines(connection: Connection, reports: list[tuple[str, int]]) -> dict[str, Timeline]:
    oldest: dict[str, int] = {}
    for ven_id, at in reports:
        oldest[ven_id] = min(at, oldest.get(ven_id, at))
    timelines = {
        row["ven_id"]: Timeline(
            status=row["status"], status_at=row["status_at"], received_at=row["received_at"]
        )
        for row in await connection.fetch(SQL["lock_statuses"], list(oldest))
    }
    for row in await connection.fetch(SQL["read_transitions"], list(oldest), list(oldest.values())):
        transition = Transition(row["received_at"], row["recorded_at"], row["status"])
        timelines[row["ven_id"]].rows.append(transition)
    return timelines


async def _write_timelines(connection: Connection, timelines: dict[str, Timeline]) -> None:
    rows = [
        (ven_id, _moment(new.recorded_at), new.status, new.details, _moment(new.received_at))
        for ven_id, timeline in timelines.items()
        for new in timeline.new
    ]
    if rows:
        await connection.copy_records_to_table("ven_statuses", records=rows, columns=_COLUMNS)
    current = [(ven_id, t.status, t.status_at, t.received_at) for ven_id, t in sorted(timelines.items())]
    await connection.execute(SQL["update_statuses"], *columns(current))


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
