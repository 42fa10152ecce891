"""Selects the dead letters that the command line means, a few at a time."""

from collections.abc import AsyncIterator
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from shared.db import Connection
from shared.sql import load_blocks

_FILE = Path(__file__).with_name("queries.sql")
SQL = load_blocks(_FILE, {"chosen": load_blocks(_FILE)["chosen"]})
_AT_ONCE = 200


@dataclass(frozen=True)
class Chosen:
    """`reason`: a part of the reason, upper or lower case; `ven`: the VEN's id; `since`: last seen then or later. None:
    any."""

    reason: str | None = None
    ven: str | None = None
    since: datetime | None = None

    async def count(self, connection: Connection) -> tuple[int, int]:
        """How many there are, and the greatest id."""
        letters, last = await connection.fetchrow(SQL["count"], *astuple(self)) or (0, 0)
        return letters, last

    async def newest(self, connection: Connection, limit: int) -> list[asyncpg.Record]:
        """At most `limit` of them, the last seen first."""
        return await connection.fetch(SQL["list"], *astuple(self), limit)

    async def by_id(self, connection: Connection, last: int) -> AsyncIterator[list[asyncpg.Record]]:
        """All with an id up to `last`, some at a time; without those that are deleted meanwhile."""
        after = 0
        while rows := await connection.fetch(SQL["next"], *astuple(self), after, last, _AT_ONCE):
            after = rows[-1]["id"]
            yield rows
