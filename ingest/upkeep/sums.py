"""Statements that are the same for the tables of every tier in shared/tiers.py.

The narrowest tiers are counted from readings (tick, loads, late, recount). A wider tier is summed from its source, in
the same transaction.
"""

from datetime import datetime
from pathlib import Path

from ingest.upkeep.fragments import FRAGMENTS, MINUTE, floor, months
from shared import tiers
from shared.db import Connection
from shared.sql import compose, load_blocks
from shared.tiers import KINDS, Kind, Tier

SQL = load_blocks(Path(__file__).with_name("sums.sql"))
_OF_KIND = {
    "network": {"ids": ""},
    "ven": {"ids": "ven_id,"},
    "load": {"ids": "ven_id, load_id,", "sums": FRAGMENTS["load_sums"]},
}


def _statement(block: str, kind: Kind, tier: Tier) -> str:
    names = {"table": tier.table(kind), "width": tier.interval}
    if tier.source is not None:
        names["source"] = tiers.table_name(kind, tier.source)
    return compose(SQL[block], {**FRAGMENTS, **SQL, **_OF_KIND[kind], **names})


def _wider(kind: Kind) -> list[Tier]:
    """The tiers that are summed from others; the narrowest first, because the next one may be summed from it."""
    return [tier for tier in tiers.of(kind) if tier.source is not None]


_SUM_UP = {kind: [(tier, _statement("sum_up", kind, tier)) for tier in _wider(kind)] for kind in KINDS}
_REDO_WIDER: dict[Kind, list[tuple[str, str]]] = {
    kind: [
        (_statement("delete_stretches", kind, tier), _statement("sum_up_stretches", kind, tier))
        for tier in _wider(kind)
    ]
    for kind in KINDS
    if kind != "network"
}
_DELETE_BETWEEN = {
    kind: [_statement("delete_between", kind, tier) for tier in tiers.of(kind)] for kind in KINDS
}
_ADD_DIFFERENCE = [(tier, _statement("add_difference", "network", tier)) for tier in tiers.of("network")]


async def make_months(connection: Connection, start: datetime, end: datetime) -> None:
    """Make the partitions of [start, end)."""
    for month in months(start, end):
        await connection.execute(SQL["make_month"], month)


async def sum_up(connection: Connection, start: datetime, end: datetime, *kinds: Kind) -> None:
    """Write the rows of wider tiers whose buckets end in (start, end]; [start, end) was just counted."""
    for kind in kinds:
        for tier, statement in _SUM_UP[kind]:
            first, last = floor(start, tier.width), floor(end, tier.width)
            if first < last:
                await connection.execute(statement, first, last)


async def delete_between(connection: Connection, start: datetime, end: datetime, *kinds: Kind) -> None:
    """Delete what every tier holds of [start, end)."""
    for kind in kinds:
        for statement in _DELETE_BETWEEN[kind]:
            await connection.execute(statement, start, end)


async def redo_wider(connection: Connection, kind: Kind, watermark: datetime) -> None:
    """Sum up again the buckets of wider tiers that `stretches` touch, of VENs or of loads."""
    for delete, insert in _REDO_WIDER[kind]:
        await connection.execute(delete)
        await connection.execute(insert, watermark)


async def add_difference(connection: Connection, watermark: datetime) -> None:
    """Add what a redo changed to the network's rows; for minutes also to the one that the watermark lies in."""
    for tier, statement in _ADD_DIFFERENCE:
        until = watermark if tier.width == MINUTE else floor(watermark, tier.width)
        await connection.execute(statement, until)
