"""What has a history: the network, a VEN, a load. Each knows its tiers, its limits and its queries."""

from bisect import bisect_right
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from api.database import Database
from api.telemetry import queries
from api.telemetry.buckets import Buckets, Limits
from api.telemetry.live import Live, Network, sums
from api.telemetry.loads import no_such_load, no_such_ven, storable
from api.telemetry.points import Point, Sums, network_point, ven_point
from api.telemetry.queries import WIDTHS, Row
from shared.tiers import Kind

_MINUTE = timedelta(minutes=1)
_US = timedelta(microseconds=1)
# The longest range that may be read from raw rows, for granularities that no tier divides.
_NETWORK_RAW_HOURS, _RAW_HOURS = 6, 48


class Stored(Struct, frozen=True):
    """The range of what is stored at `now`: from `first` to `last` (None: nothing is stored)."""

    first: datetime | None
    last: datetime | None
    now: datetime


class Source(Protocol):
    """What has a history."""

    async def stored(self) -> Stored:
        """The range of what is stored; raises NotFoundError."""

    async def limits(self) -> Limits:
        """The tiers and raw rows that its histories may be made of."""

    async def points(self, buckets: Buckets, tier: int | None) -> list[Point]:
        """The points of the buckets that have covered time. `tier`: the width in s of the tier to read; None: raw."""

    async def stored_and_points(self, buckets: Buckets, tier: int | None) -> tuple[Stored, list[Point]]:
        """Both, in one query; raises NotFoundError."""

    async def before(self, moment: datetime) -> Point | None:
        """The last point of the widest tier before `moment`."""


class NetworkSource:
    """The whole fleet: the rows of tiers as far as they reach, and from there on the minutes that Live has."""

    def __init__(self, database: Database, live: Live) -> None:
        self._database = database
        self._live = live
        self._network: Network | None = None

    async def _now(self) -> Network:
        """The network as Live has it, the same for the whole answer."""
        if self._network is None:
            self._network = await self._live.get()
        return self._network

    async def stored(self) -> Stored:
        """The range of what is stored."""
        network = await self._now()
        last = network.minutes[-1][0] + _MINUTE if network.minutes else await self._tiers_end(network)
        first = network.first_at and max(network.first_at, network.begins[WIDTHS["network"][0]])
        return Stored(first, last, network.now)

    async def _tiers_end(self, network: Network) -> datetime | None:
        row = await queries.before(self._database, "network", network.now)
        return row["until"] if row else None

    async def limits(self) -> Limits:
        """What its histories may be made of."""
        network = await self._now()
        return Limits(WIDTHS["network"], _NETWORK_RAW_HOURS, network.begins, network.first_at)

    async def points(self, buckets: Buckets, tier: int | None) -> list[Point]:
        """The points of buckets in which something is covered."""
        network = await self._now()
        first_at = network.first_at or network.now
        if tier is None:
            rows = await queries.network_raw(self._database, buckets)
            found = {row["start"]: sums(row) for row in rows}
            now = rows[0]["now"] if rows else network.now
        else:
            rows = await queries.network_tier(self._database, buckets, min(buckets.end, network.t0), tier)
            found = {row["start"]: sums(row) for row in rows}
            _add(found, buckets, network.minutes)
            now = network.now
        return [
            network_point(start, min(end, now), found[start], first_at)
            for start, end in buckets.spans()
            if start in found
        ]

    async def stored_and_points(self, buckets: Buckets, tier: int | None) -> tuple[Stored, list[Point]]:
        """The range of what is stored, and the points."""
        return await self.stored(), await self.points(buckets, tier)

    async def before(self, moment: datetime) -> Point | None:
        """The last point of the widest tier before `moment`."""
        network = await self._now()
        row = await queries.before(self._database, "network", moment)
        if row is None:
            return None
        return network_point(row["start"], row["until"], sums(row), network.first_at or row["start"])


def _add(found: dict[datetime, Sums], buckets: Buckets, minutes: list[tuple[datetime, Sums]]) -> None:
    starts = [start for start, _ in buckets.spans()] if buckets.edges is None else buckets.edges
    for at, each in minutes:
        if buckets.start <= at < buckets.end:
            start = starts[bisect_right(starts, at) - 1]
            found[start] = found[start].plus(each) if start in found else each


class VenSource:
    """One VEN; raises NotFoundError if it has never sent anything."""

    def __init__(self, database: Database, bounds: Callable[[], Awaitable[Row]], ven_id: str) -> None:
        self._database = database
        self._bounds = bounds
        self._ven_id = ven_id

    async def stored(self) -> Stored:
        """The range of what is stored."""
        return self._stored(await queries.ven_range(self._database, storable(self._ven_id)))

    def _stored(self, row: Row | None) -> Stored:
        if row is None:
            raise no_such_ven(self._ven_id)
        return Stored(row["start"], row["last"], row["now"])

    async def limits(self) -> Limits:
        """What its histories may be made of."""
        return _limits(await self._bounds(), "ven")

    async def points(self, buckets: Buckets, tier: int | None) -> list[Point]:
        """The points of buckets in which something is covered."""
        rows = await queries.ven_history(self._database, buckets, tier, storable(self._ven_id))
        return _ven_points(rows, buckets)

    async def stored_and_points(self, buckets: Buckets, tier: int | None) -> tuple[Stored, list[Point]]:
        """The range of what is stored, and the points, of one moment."""
        rows = await queries.ven_history(self._database, buckets, tier, storable(self._ven_id), ranged=True)
        return self._stored(rows[0] if rows else None), _ven_points(rows[1:], buckets)

    async def before(self, moment: datetime) -> Point | None:
        """The last point of the widest tier before `moment`."""
        return _last_point(await queries.before(self._database, "ven", moment, storable(self._ven_id)))


class LoadSource:
    """One load of a VEN; raises NotFoundError if the VEN has never named it."""

    def __init__(
        self, database: Database, bounds: Callable[[], Awaitable[Row]], ven_id: str, load_id: str
    ) -> None:
        self._database = database
        self._bounds = bounds
        self._ids = ven_id, load_id

    async def stored(self) -> Stored:
        """The range of what is stored."""
        return self._stored(await queries.load_range(self._database, *map(storable, self._ids)))

    def _stored(self, row: Row | None) -> Stored:
        if row is None:
            raise no_such_ven(self._ids[0])
        if not row["known"]:
            raise no_such_load(*self._ids)
        return Stored(row["start"], row["last"], row["now"])

    async def limits(self) -> Limits:
        """What its histories may be made of."""
        return _limits(await self._bounds(), "load")

    async def points(self, buckets: Buckets, tier: int | None) -> list[Point]:
        """The points of buckets in which something is covered."""
        rows = await queries.load_history(self._database, buckets, tier, *map(storable, self._ids))
        return _ven_points(rows, buckets)

    async def stored_and_points(self, buckets: Buckets, tier: int | None) -> tuple[Stored, list[Point]]:
        """The range of what is stored, and the points, of one moment."""
        ids = map(storable, self._ids)
        rows = await queries.load_history(self._database, buckets, tier, *ids, ranged=True)
        return self._stored(rows[0] if rows else None), _ven_points(rows[1:], buckets)

    async def before(self, moment: datetime) -> Point | None:
        """The last point of the widest tier before `moment`."""
        return _last_point(await queries.before(self._database, "load", moment, *map(storable, self._ids)))


def _limits(row: Row, kind: Kind) -> Limits:
    return Limits(WIDTHS[kind], _RAW_HOURS, queries.begins(row, kind), row["first_at"])


def _ven_points(rows: list[Row], buckets: Buckets) -> list[Point]:
    """The points of a VEN's or a load's rows; a row without `now` is of a bucket that is over."""
    width_us = buckets.width // _US
    lengths = {start: (end - start) // _US for start, end in buckets.spans()} if buckets.edges else None
    points = []
    for start, used, shed, requested, covered, event_us, event_id, now, *_ in rows:
        if covered:
            length_us = lengths[start] if lengths else width_us
            if now:
                length_us = min(length_us, (now - start) // _US)
            points.append(ven_point(start, length_us, used, shed, requested, covered, event_us, event_id))
    return points


def _last_point(row: Row | None) -> Point | None:
    """The point of a row of `queries.before`."""
    if row is None:
        return None
    start, until, *of_sums = row
    return ven_point(start, (until - start) // _US, *of_sums)
