"""One function for each question to the database; the SQL is in history.sql and queries.sql."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from api.database import Database
from api.telemetry.buckets import Buckets
from shared import integral, tiers
from shared.sql import compose, load_blocks
from shared.tiers import KINDS, Kind

Row = asyncpg.Record

_HISTORY = {**integral.FRAGMENTS, **load_blocks(Path(__file__).with_name("history.sql"))}
_QUERIES = load_blocks(Path(__file__).with_name("queries.sql"))
# By kind: the widths in s of the tiers that have rows of it, the widest first.
WIDTHS = {kind: tuple(tier.seconds for tier in reversed(tiers.of(kind))) for kind in KINDS}
_COLUMNS = ("raw_from", *(bound.column for bound in tiers.BOUNDS))
_NAMES = {
    "begins": ", ".join(compose(_QUERIES["bound"], {"column": column}) for column in _COLUMNS),
    **{f"widest_{kind}": tiers.of(kind)[-1].table(kind) for kind in KINDS},
    **{f"width_{kind}": tiers.of(kind)[-1].interval for kind in KINDS},
    "ven": "$1::text",
    "load": "$2::text",
}
SQL = {name: compose(block, {**_QUERIES, **_NAMES}) for name, block in _QUERIES.items()}


def _tiers(block: str, kind: Kind, **fragments: str) -> dict[int, str]:
    """A history for each tier that has rows of a kind, by its width in s."""
    return {
        tier.seconds: _history(block, **fragments, table=tier.table(kind), base=tier.interval)
        for tier in tiers.of(kind)
    }


def _history(block: str, **fragments: str) -> str:
    return compose(_HISTORY[block], {**_HISTORY, **_NAMES, **fragments})


def _raw(block: str) -> str:
    return _history(block, base="$3::interval")


_VEN = {"late": "late_readings", "watermark": "watermark"}
_LOAD = {"late": "late_lists", "watermark": "loads_watermark"}
VEN_TIERS = _tiers("ven_tier", "ven", answer="{summed}", **_VEN)
LOAD_TIERS = _tiers("load_tier", "load", answer="{summed}", **_LOAD)
# The same for buckets that are the tier's own: nothing is summed, because summing takes longer than reading the rows.
VEN_AS_KEPT = _tiers("ven_tier", "ven", answer="{as_kept}", **_VEN)
LOAD_AS_KEPT = _tiers("load_tier", "load", answer="{as_kept}", **_LOAD)
NETWORK_TIERS = _tiers("network_tier", "network")
VEN_RAW, LOAD_RAW, NETWORK_RAW = _raw("ven_raw"), _raw("load_raw"), _raw("network_raw")


def _range_and(kind: Kind, histories: Iterable[str]) -> dict[str, str]:
    names = {**_QUERIES, **_NAMES, "range": _QUERIES[f"{kind}_range"], "ven": "$5::text", "load": "$6::text"}
    return {text: compose(_QUERIES["range_and_history"], {**names, "history": text}) for text in histories}


# By history: the same with the range of what is stored as its first row.
RANGE_AND = {
    **_range_and("ven", (VEN_RAW, *VEN_TIERS.values(), *VEN_AS_KEPT.values())),
    **_range_and("load", (LOAD_RAW, *LOAD_TIERS.values(), *LOAD_AS_KEPT.values())),
}
BEFORE = {kind: _history(f"{kind}_before") for kind in KINDS}
NETWORK_LIVE = _history("network_live", base="interval '1 minute'")


async def ven_range(database: Database, ven_id: str) -> Row | None:
    """start, last (None without data) of a VEN, and now; None: no such VEN."""
    return await database.fetchrow(SQL["ven_range"], ven_id)


async def load_range(database: Database, ven_id: str, load_id: str) -> Row | None:
    """The same of a load, and `known`: whether the VEN ever named it; None: no such VEN."""
    return await database.fetchrow(SQL["load_range"], ven_id, load_id)


async def bounds(database: Database) -> Row | None:
    """Where raw rows and each tier begin, for `begins`, and first_at (None: no reading); None: not migrated."""
    return await database.fetchrow(SQL["bounds"])


def begins(row: Row, kind: Kind) -> dict[int | None, datetime]:
    """Where each tier of a kind begins, by its width in s, and where raw rows begin (None).

    `row`: of `bounds` or `network_live`.
    """
    return {
        **{tier.seconds: row[tier.kept[kind].column] for tier in tiers.of(kind)},
        None: row["raw_from"],
    }


async def network_live(database: Database, midnight: datetime) -> list[Row]:
    """What Live.Network holds: one row a minute; what is not of a minute is the same in every row."""
    return await database.fetch(NETWORK_LIVE, midnight)


async def network_tier(database: Database, buckets: Buckets, end: datetime, tier: int) -> list[Row]:
    """start and sums of each bucket before `end` that has covered time, in any order."""
    return await database.fetch(NETWORK_TIERS[tier], buckets.start, end, buckets.width, buckets.edges)


async def network_raw(database: Database, buckets: Buckets) -> list[Row]:
    """start, sums and now of each bucket that has covered time."""
    return await database.fetch(NETWORK_RAW, buckets.start, buckets.end, buckets.width, buckets.edges)


async def ven_history(
    database: Database, buckets: Buckets, tier: int | None, ven_id: str, *, ranged: bool = False
) -> list[Row]:
    """The same of a VEN; `tier`: width in s of the tier that is read, None: raw rows alone.

    `ranged`: the first row is what `ven_range` gives; no rows: no such VEN.
    """
    statement = VEN_RAW if tier is None else (VEN_AS_KEPT if buckets.are(tier) else VEN_TIERS)[tier]
    return await _history_of(database, statement, buckets, ven_id, ranged=ranged)


async def load_history(
    database: Database, buckets: Buckets, tier: int | None, ven_id: str, load_id: str, *, ranged: bool = False
) -> list[Row]:
    """The same of a load."""
    statement = LOAD_RAW if tier is None else (LOAD_AS_KEPT if buckets.are(tier) else LOAD_TIERS)[tier]
    return await _history_of(database, statement, buckets, ven_id, load_id, ranged=ranged)


async def _history_of(
    database: Database, statement: str, buckets: Buckets, *ids: str, ranged: bool
) -> list[Row]:
    asked = RANGE_AND[statement] if ranged else statement
    return await database.fetch(asked, buckets.start, buckets.end, buckets.width, buckets.edges, *ids)


async def before(database: Database, kind: Kind, moment: datetime, *ids: str) -> Row | None:
    """start, until and sums of the last row of the widest tier that ended by `moment`; None: there is none."""
    return await database.fetchrow(BEFORE[kind], moment, *ids)


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
    """vens, online, counted (online, and their reading counts), and used_kw, shed_kw, requested_kw of those counted."""
    return await database.fetchrow(SQL["fleet"], offline_after)


async def ingest(database: Database) -> Row | None:
    """lately (readings of 10 s), newest_reading, dead_letters, newest_dead_letter."""
    return await database.fetchrow(SQL["ingest"])
