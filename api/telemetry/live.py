"""The network's figures after the end of its tiers, and where each tier begins: of one moment, shared by requests."""

import asyncio
from collections.abc import Hashable
from datetime import MAXYEAR, UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from starlette.responses import Response

from api.database import Database
from api.telemetry import queries
from api.telemetry.points import Sums
from api.telemetry.shared_result import Shared
from api.web.errors import UnavailableError
from shared.db_errors import MIGRATE


class Network(Struct, frozen=True):
    """The network at `now`. `minutes`: everything from `t0` on (tiers have everything before `t0`); `today_uwh`: energy
    since the dashboard's midnight; `first_at`: the first reading, or None; `begins`: where tiers and raw rows begin."""

    now: datetime
    t0: datetime
    minutes: list[tuple[datetime, Sums]]
    today_uwh: int
    first_at: datetime | None
    begins: dict[int | None, datetime]


class Live(Shared[Network]):
    """Computes Network. `day_zone`: the time zone in which today begins at midnight; `answers`: histories that were
    answered from the present Network."""

    def __init__(self, database: Database, day_zone: ZoneInfo, turn: asyncio.Lock) -> None:
        super().__init__(self._read, turn=turn)
        self._database = database
        self._day_zone = day_zone
        self.answers: dict[Hashable, Response] = {}

    async def _read(self) -> Network:
        local = datetime.now(UTC).astimezone(self._day_zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)
        rows = await queries.network_live(self._database, midnight)
        if not rows:
            raise UnavailableError(MIGRATE)
        self.answers = {}
        minutes = [
            (row["bucket"], sums(row)) for row in rows if row["bucket"] is not None and row["covered_us"]
        ]
        head = rows[0]
        first_at = head["first_at"] if head["first_at"].year < MAXYEAR else None
        return Network(
            head["now"],
            head["t0"],
            minutes,
            head["today_uwh"] + sum(each.used_uwh for at, each in minutes if at >= midnight),
            first_at,
            queries.begins(head, "network"),
        )


def sums(row: Any) -> Sums:
    """The Sums in a row of a history."""
    return Sums(
        row["used_uwh"],
        row["shed_uwh"],
        row["requested_uwh"],
        row["covered_us"],
        row["event_us"],
        row["event_id"],
    )
