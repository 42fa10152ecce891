"""What was counted long ago, counted again: by `ecs-backend rollup --rebuild`, and what older versions rolled up."""

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
    """What is counted apart: under which lock, and by which columns of rollup_state."""

    lock: int
    watermark: str
    history_from: str
    recount: Callable[[Connection, datetime, datetime, datetime], Awaitable[None]]


VENS = Kind(COUNTING, "watermark", "history_from", recount.recount)
LOADS = Kind(COUNTING_LOADS, "loads_watermark", "loads_history_from", loads.recount)


async def rebuild(
    connection: Connection, start: datetime | None, end: datetime | None, progress: Callable[[float], None]
) -> tuple[datetime, datetime] | None:
    """Count everything of [start, end) again, as far as raw rows tell and closed time goes, beside live ingest.

    `progress` hears the part done, 0 to 1. Returns the range, None if it is empty. What is late is left to the leader.
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
    """Counts what older versions of this program rolled up, backwards from where counting began, a step at a time.

    It counts VENs and the network, or loads.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._pace = Pace()

    async def step(self, connection: Connection) -> bool:
        """Count one stretch more; False when all is counted that raw rows tell."""
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
