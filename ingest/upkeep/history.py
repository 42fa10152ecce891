"""Counts closed time again: for `ecs-backend rollup --rebuild`, and where an older version made the rollups."""

from collections.abc import Awaitable, Callable
from datetime import MINYEAR, datetime
from typing import NamedTuple

from ingest.upkeep import loads, recount
from ingest.upkeep.alone import alone
from ingest.upkeep.fragments import floor
from ingest.upkeep.recount import SQL, aligned
from ingest.upkeep.tick import Pace, read_state
from shared.advisory_locks import COUNTING, COUNTING_LOADS
from shared.db import Connection
from shared.tiers import WIDEST


class Kind(NamedTuple):
    """VENs and the network, or loads: each is counted under a lock and by columns of rollup_state of its own."""

    lock: int
    watermark: str
    history_from: str
    recount: Callable[[Connection, datetime, datetime, datetime], Awaitable[None]]


VENS = Kind(COUNTING, "watermark", "history_from", recount.recount)
LOADS = Kind(COUNTING_LOADS, "loads_watermark", "loads_history_from", loads.recount)


async def rebuild(
    connection: Connection, start: datetime | None, end: datetime | None, progress: Callable[[float], None]
) -> tuple[datetime, datetime] | None:
    """Count [start, end) again, beside live ingest, as far as it lies between the first raw rows and the watermark.

    `progress` is called with the part done, 0 to 1. Returns the range counted, None if it is empty. Readings that are
    noted as late are left to the leader.
    """
    state, first = await read_state(connection), await connection.fetchval(SQL["first_whole"])
    if first is None or not state["begun"]:
        return None
    watermark = state["watermark"]
    start, end = aligned(max(start or first, first), min(end or watermark, watermark), watermark)
    if start >= end:
        return None
    at, pace = start, Pace()
    while at < end:
        until = min(floor(at + max(pace.step, WIDEST.width), WIDEST.width), end)
        with pace.timed():
            for kind in (VENS, LOADS):
                async with alone(connection, kind.lock):
                    closed = (await read_state(connection))[kind.watermark]
                    await kind.recount(connection, at, until, closed)
        at = until
        progress((at - start) / (end - start))
    return start, end


class Backfill:
    """Counts again what older versions of this program rolled up, step by step, backwards from where counting began.

    `kind`: VENS or LOADS.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._pace = Pace()

    async def step(self, connection: Connection) -> bool:
        """Count one more stretch; False once the first raw rows are reached."""
        async with alone(connection, self._kind.lock):
            state = await read_state(connection)
            end = state[self._kind.history_from]
            if end.year == MINYEAR:
                return False
            first = await connection.fetchval(SQL["first_whole"]) or end
            start = max(floor(end - self._pace.step, WIDEST.width), first)
            if start < end:
                with self._pace.timed():
                    await self._kind.recount(connection, start, end, state[self._kind.watermark])
            done = start <= first
            await connection.execute(SQL[f"move_{self._kind.history_from}"], None if done else start)
        return not done
