"""Readings of a VEN and a time that are stored already: do they say the same?"""

from collections.abc import Sequence

import asyncpg

from ingest.message import Message, Reading
from ingest.receive.decode import loads_of
from ingest.write.queries import SQL, columns
from shared.db import Connection


async def find_conflicts(
    connection: Connection, singles: Sequence[Message], stored: set[Reading]
) -> list[Message]:
    """The messages whose reading is not among `stored`, because another one is stored that says something else.

    Not those that the broker delivers again: what they are compared with is themselves.
    """
    repeats = [
        (m, m.content)
        for m in singles
        if isinstance(m.content, Reading) and not m.dup and m.content not in stored
    ]
    if not repeats:
        return []
    times = [reading.ts for _, reading in repeats]
    keys = columns(sorted({(reading.ven_id, reading.ts) for _, reading in repeats}))
    rows = await connection.fetch(SQL["read_stored"], *keys, min(times), max(times))
    found = {(row["ven_id"], row["ts"]): row for row in rows}
    return [m for m, r in repeats if (row := found.get((r.ven_id, r.ts))) is not None and _differs(m, r, row)]


def _differs(message: Message, reading: Reading, row: asyncpg.Record) -> bool:
    """Whether a reading says something else than the stored one; a reading without loads says nothing of them."""
    panel = (row["used"], row["shed"], row["requested"], row["event_id"], row["soc"])
    said = (
        reading.used_power_kw,
        reading.shed_power_kw,
        reading.requested_reduction_kw,
        reading.event_id,
        reading.battery_soc,
    )
    if said != panel:
        return True
    if not reading.lists_loads:
        return False
    powers = {load.load_id: load.current_power_kw for load in loads_of(reading, message.payload)}
    return powers != dict(zip(row["load_ids"] or (), row["powers"] or (), strict=True))
