"""The VENs of a batch, as they are now, to the database."""

from collections.abc import Iterable, Sequence, Set

from ingest.db_errors import StaleMemoryError
from ingest.message import Message, Reading, Snapshot, StatusReport
from ingest.write.queries import SQL, columns
from shared.db import Connection


async def update_vens(
    connection: Connection,
    batch: Sequence[Message],
    stored: set[Reading],
    seen: set[str],
    repeats: Set[Message],
) -> Iterable[str]:
    """Write what a batch says of its VENs, inside its transaction; returns them.

    `stored`: the batch's readings that are new; `seen`: VENs that are in the table already; `repeats`: statuses
    that the broker had kept, and that are no news.
    """
    arrivals = _arrivals(batch)
    unseen = sorted(arrivals.keys() - seen)
    if unseen:
        await connection.execute(SQL["insert_vens"], unseen, [arrivals[v] for v in unseen])
    heard = _heard([m for m in batch if m not in repeats and not _is_old_reading(m, stored)])
    if heard:
        done = await connection.execute(SQL["update_vens"], *_latest(heard, stored))
        if done != f"UPDATE {len(heard)}":
            raise StaleMemoryError("a VEN that was in vens is gone: somebody deleted it")
    return arrivals.keys()


def _is_old_reading(message: Message, stored: set[Reading]) -> bool:
    """A reading that the broker had kept, and that is stored: no sign of life."""
    content = message.content
    return message.retain and isinstance(content, Reading) and content not in stored


def _arrivals(batch: Sequence[Message]) -> dict[str, int]:
    """First arrival in the batch by VEN."""
    arrivals: dict[str, int] = {}
    for message in batch:
        if isinstance(message.content, Reading | Snapshot | StatusReport):
            arrivals.setdefault(message.content.ven_id, message.received_at)
    return arrivals


def _heard(batch: Iterable[Message]) -> dict[str, int]:
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
        if reading.lists_loads and ts > loads_ts.get(ven_id, 0):
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
