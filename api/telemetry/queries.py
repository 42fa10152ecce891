"""One function for each question to the database; the SQL is in history.sql and queries.sql."""

from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from api.database import Database
from api.telemetry.buckets import Buckets
from shared.sql import load_blocks

Row = asyncpg.Record

HISTORY_SQL = load_blocks(Path(__file__).with_name("history.sql"))
SQL = load_blocks(Path(__file__).with_name("queries.sql"))


async def network_range(database: Database) -> Row | None:
    """first, last (UTC; None without data) and raw_from (None: no limit) of the network; None: no state row."""
    return await database.fetchrow(SQL["network_range"])


async def ven_range(database: Database, ven_id: str) -> Row | None:
    """The same of a VEN; None: no such VEN."""
    return await database.fetchrow(SQL["ven_range"], ven_id)


async def load_range(database: Database, ven_id: str, load_id: str) -> Row | None:
    """The same of a load, and `known`: whether the VEN ever named it; None: no such VEN."""
    return await database.fetchrow(SQL["load_range"], ven_id, load_id)


async def network_history(database: Database, buckets: Buckets) -> list[Row]:
    """start, used_kw, shed_kw, requested_kw, event_id, ven_count, bases of each bucket with data."""
    span = (buckets.start, buckets.end, buckets.width)
    if buckets.base == timedelta(minutes=5):
        return await database.fetch(HISTORY_SQL["network_5m"], *span, buckets.edges)
    name = "network_1m" if buckets.base == timedelta(minutes=1) else "network_raw"
    return await database.fetch(HISTORY_SQL[name], *span)


async def ven_history(database: Database, buckets: Buckets, ven_id: str) -> list[Row]:
    """The same of a VEN, without ven_count."""
    return await _history(database, "ven", buckets, ven_id)


async def load_history(database: Database, buckets: Buckets, ven_id: str, load_id: str) -> list[Row]:
    """The same of a load, without ven_count, requested_kw and event_id."""
    return await _history(database, "load", buckets, ven_id, load_id)


async def _history(database: Database, of: str, buckets: Buckets, *ids: str) -> list[Row]:
    span = (buckets.start, buckets.end, buckets.width)
    if buckets.base == timedelta(minutes=5):
        return await database.fetch(HISTORY_SQL[f"{of}_5m"], *span, buckets.edges, *ids)
    return await database.fetch(HISTORY_SQL[f"{of}_raw"], *span, buckets.base, *ids)


async def energy_since(database: Database, start: datetime, end: datetime) -> Row | None:
    """used_kw and bases of the network from `start` until `end`, as one bucket; None without data."""
    return await database.fetchrow(HISTORY_SQL["network_5m"], start, end, end - start, [start])


async def ven_loads(database: Database, ven_id: str) -> list[Row] | None:
    """load_id, load_type, name, power_kw, shed_capability_kw, capacity_kw of a VEN's loads now, by id.

    None: no such VEN.
    """
    rows = await database.fetch(SQL["ven_loads"], ven_id)
    return [row for row in rows if row["load_id"] is not None] if rows else None


async def load_totals(database: Database, offline_after: timedelta) -> list[Row]:
    """load_type, capacity_kw, shed_capability_kw, usage_kw, controllable_kw, over loads of online VENs."""
    return await database.fetch(SQL["load_totals"], offline_after)


async def fleet(database: Database, offline_after: timedelta) -> Row | None:
    """vens, online, and of those whose readings count: counted, and the sums used_kw, shed_kw, requested_kw."""
    return await database.fetchrow(SQL["fleet"], offline_after)
