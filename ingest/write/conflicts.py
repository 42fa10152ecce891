"""Compares readings with the stored reading of the same VEN and time: do they say the same?"""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from ingest.message import Message, Reading
from ingest.receive.decode import loads_of
from ingest.write.queries import SQL, columns
from shared.db import Connection

Key = tuple[str, int]


class Repeats(NamedTuple):
    """Readings whose VEN and time are stored already.

    `conflicts`: messages that say something else; `loads`: readings whose loads are stored, because the stored reading
    had none.
    """

    conflicts: list[Message]
    loads: list[Reading]


async def look_at_repeats(
    connection: Connection, singles: Sequence[Message], stored: set[Reading]
) -> Repeats:
    """Compare the readings of a batch that are not in `stored` with the stored readings of the same VEN and time."""
    repeats = [(m, m.content) for m in singles if isinstance(m.content, Reading) and m.content not in stored]
    if not repeats:
        return Repeats([], [])
    found = await _read(connection, {_key(reading) for _, reading in repeats})
    conflicts = [m for m, r in repeats if (row := found.get(_key(r))) is not None and _differs(m, r, row)]
    lacking: dict[Key, Reading] = {}
    for _, reading in repeats:
        row = found.get(_key(reading))
        if reading.sample_count and row is not None and not row["load_ids"]:
            lacking.setdefault(_key(reading), reading)
    return Repeats(conflicts, await _claim(connection, lacking))


async def _claim(connection: Connection, lacking: dict[Key, Reading]) -> list[Reading]:
    """Mark the stored readings of these keys as having loads; returns those that no other process has marked."""
    if not lacking:
        return []
    keys = sorted(lacking)
    times = [ts for _, ts in keys]
    rows = await connection.fetch(SQL["claim_lists"], *columns(keys), min(times), max(times))
    return [lacking[row["ven_id"], row["ts"]] for row in rows]


async def _read(connection: Connection, keys: set[Key]) -> dict[Key, asyncpg.Record]:
    times = [ts for _, ts in keys]
    rows = await connection.fetch(SQL["read_stored"], *columns(sorted(keys)), min(times), max(times))
    return {(row["ven_id"], row["ts"]): row for row in rows}


def _key(reading: Reading) -> Key:
    return reading.ven_id, reading.ts


def _differs(message: Message, reading: Reading, row: asyncpg.Record) -> bool:
    """Whether a reading says something else than the stored one. A reading without a list of loads says nothing about
    loads."""
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
