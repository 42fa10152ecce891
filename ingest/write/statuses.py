"""The statuses of a batch to the database: which are transitions says statuses.py."""

from collections.abc import Sequence, Set

from ingest.message import Message, Outcome, StatusReport
from ingest.write.dead_letters import fingerprint
from ingest.write.queries import SQL, columns
from ingest.write.timeline import Timeline
from shared.db import Connection


async def retained_repeats(connection: Connection, batch: Sequence[Message]) -> Set[Message]:
    """Statuses without a time that the broker had kept, and that their VEN has been in before: the same ones over
    again, for a subscription that is new. They say nothing of when they come, so they change nothing."""
    retained = {
        m: (m.content.ven_id, m.content.status)
        for m in batch
        if m.retain and isinstance(m.content, StatusReport) and m.content.ts is None
    }
    if not retained:
        return frozenset()
    known = {
        tuple(r) for r in await connection.fetch(SQL["read_known_statuses"], *columns([*retained.values()]))
    }
    return {m for m, status in retained.items() if status in known}


async def write_statuses(
    connection: Connection, batch: Sequence[Message], client_id: str, repeats: Set[Message]
) -> dict[Message, Outcome]:
    """Write the transitions among the statuses of a batch, inside its transaction; returns their outcomes.

    `client_id` names the MQTT session that delivered them; `repeats` are those of `retained_repeats`.
    """
    outcomes = dict.fromkeys(repeats, Outcome.DUPLICATE)
    reports = [(m, m.content) for m in batch if isinstance(m.content, StatusReport) and m not in repeats]
    if not reports:
        return outcomes
    times = await _arrival_times(connection, client_id, [m for m, report in reports if report.ts is None])
    at = [(report.ts if report.ts is not None else times[m]) for m, report in reports]
    timelines = await _timelines(connection, [(r.ven_id, ts) for (_, r), ts in zip(reports, at, strict=True)])
    for (m, report), ts in zip(reports, at, strict=True):
        outcomes[m] = timelines[report.ven_id].apply(ts, report.status, report.details)
    await _write_timelines(connection, timelines)
    return outcomes


async def _arrival_times(
    connection: Connection, client_id: str, messages: list[Message]
) -> dict[Message, int]:
    """When statuses without a time arrived first: a delivery that the broker repeats (same packet id,
    same content) keeps its first arrival, so that storing it again changes nothing."""
    times = {m: m.received_at for m in messages}
    numbered = {m.mid: m for m in messages if m.qos}
    if not numbered:
        return times
    repeats = [mid for mid, m in numbered.items() if m.dup]
    for row in await connection.fetch(SQL["read_deliveries"], client_id, repeats) if repeats else ():
        if row["message_sha256"] == fingerprint(numbered[row["mid"]]):
            times[numbered[row["mid"]]] = row["arrived_at"]
    await connection.execute(
        SQL["write_deliveries"],
        client_id,
        list(numbered),
        [fingerprint(m) for m in numbered.values()],
        [times[m] for m in numbered.values()],
    )
    return times


async def _timelines(connection: Connection, reports: list[tuple[str, int]]) -> dict[str, Timeline]:
    oldest: dict[str, int] = {}
    for ven_id, ts in reports:
        oldest[ven_id] = min(ts, oldest.get(ven_id, ts))
    timelines = {
        row["ven_id"]: Timeline(status=row["status"], status_at=row["status_at"])
        for row in await connection.fetch(SQL["lock_statuses"], list(oldest))
    }
    for row in await connection.fetch(SQL["read_transitions"], list(oldest), list(oldest.values())):
        timelines[row["ven_id"]].rows.append((row["recorded_at"], row["status"]))
    return timelines


async def _write_timelines(connection: Connection, timelines: dict[str, Timeline]) -> None:
    rows = [
        (ven_id, ts, status, details)
        for ven_id, timeline in timelines.items()
        for ts, status, details in timeline.new
    ]
    if rows:
        await connection.execute(SQL["insert_statuses"], *columns(rows))
    current = [(ven_id, t.status, t.status_at) for ven_id, t in sorted(timelines.items())]
    await connection.execute(SQL["update_statuses"], *columns(current))
