"""The buckets of a history: their width, where they begin and end, and how many an answer may have."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from msgspec import Struct

from api.telemetry import calendar
from api.telemetry.params import Granularity, HistoryParams, parse_granularity
from api.web.errors import BadRequestError

MAX_POINTS = 11_000
# The server chooses from these when no granularity is given.
DEFAULTS = tuple(parse_granularity(text) for text in ("5m", "15m", "1h", "6h", "1d", "1w", "1mo"))
# An error names the finest of these that fits.
_SUGGESTIONS = tuple(parse_granularity(text) for text in ("1s", "5s", "10s", "15s", "30s", "1m")) + DEFAULTS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Buckets(Struct, frozen=True):
    """Whole buckets from `start` until before `end` (UTC), each of `granularity`.

    `edges`: if buckets follow a calendar, where each begins and where the last one ends; None: buckets of equal width,
    counted from the Unix epoch.
    """

    start: datetime
    end: datetime
    granularity: Granularity
    edges: list[datetime] | None = None

    @property
    def width(self) -> timedelta:
        """The length of a bucket; for buckets that follow a calendar, approximately."""
        return timedelta(seconds=self.granularity.seconds)

    def spans(self) -> Iterator[tuple[datetime, datetime]]:
        """The start and the end of each bucket."""
        if self.edges is not None:
            yield from pairwise(self.edges)
            return
        at, width = self.start, self.width
        while at < self.end:
            yield at, at + width
            at += width

    def are(self, width: int) -> bool:
        """Whether the buckets are the same as those of a tier of `width` s."""
        return self.edges is None and self.granularity.seconds == width

    def hold(self, other: "Buckets") -> bool:
        """Whether all of `other` are among these."""
        return self.granularity == other.granularity and self.start <= other.start and other.end <= self.end

    def tier(self, widths: tuple[int, ...]) -> int | None:
        """The first of `widths` (s) that divides every bucket; None: the buckets need raw rows."""
        for width in widths:
            if self.edges is None:
                whole = self.granularity.seconds % width == 0
            else:
                whole = all((edge - _EPOCH) % timedelta(seconds=width) == timedelta(0) for edge in self.edges)
            if whole:
                return width
        return None


class Limits(Struct, frozen=True):
    """The data that histories of one kind are made of. `tiers`: the widths of the rollup tiers in s, the widest first;
    `raw_hours`: the longest range that may be read from raw rows; `begins`: where each tier and raw rows (None) begin;
    `first_at`: the network's first reading, as far as it is known (None: there is none).
    """

    tiers: tuple[int, ...]
    raw_hours: int
    begins: dict[int | None, datetime]
    first_at: datetime | None = None

    @property
    def since(self) -> datetime | None:
        """Where stored data begins, in whole buckets of the widest tier; None: nothing is stored yet."""
        if self.first_at is None:
            return None
        width = self.tiers[0]
        first = self.first_at - (self.first_at - _EPOCH) % timedelta(seconds=width)
        return max(first, self.begins[width])

    def tier(self, granularity: Granularity, zone: ZoneInfo | None, start: datetime) -> int | None:
        """The widest tier that divides buckets of `granularity`; None: they need raw rows."""
        return cover(start, start + timedelta(microseconds=1), granularity, zone).tier(self.tiers)


def choose(params: HistoryParams, start: datetime, end: datetime, limits: Limits) -> Buckets | None:
    """The buckets that cover [start, end): of the granularity given, else of the finest default that fits.

    If the request has no `start`, they begin where the data of the granularity begins; None if that is after `end`.
    Raises BadRequestError that names the finest granularity that fits.
    """
    zone, given = params.timezone, params.granularity
    if given is not None and params.start is None:
        start = max(start, limits.begins[limits.tier(given, zone, start)])
        if start >= end:
            return None
    choices = DEFAULTS if given is None else (given,)
    for granularity in choices:
        if _why_not(granularity, start, end, zone, limits) is None:
            return cover(start, end, granularity, zone)
    if given is None:
        raise BadRequestError(
            f"start, end: no granularity gives at most {MAX_POINTS} points; ask for a shorter range"
        )
    why = _why_not(given, start, end, zone, limits)
    fitting = next((g for g in _SUGGESTIONS if _why_not(g, start, end, zone, limits) is None), None)
    remedy = f"the finest that fits is {fitting.text}" if fitting else "ask for a shorter range"
    raise BadRequestError(f"granularity: {why} from {_iso(start)} to {_iso(end)}; {remedy}")


def _why_not(
    granularity: Granularity, start: datetime, end: datetime, zone: ZoneInfo | None, limits: Limits
) -> str | None:
    """Why [start, end) cannot be answered in buckets of `granularity`; None if it can."""
    tier = limits.tier(granularity, zone, start)
    if tier is None and end - start > timedelta(hours=limits.raw_hours):
        finest = f"{limits.tiers[-1] // 60}m"
        raw = f"it reads raw rows, for at most {limits.raw_hours}h, not"
        return f"{granularity.text} is not a multiple of {finest}: {raw}"
    points = count(start, end, granularity, zone)
    if points > MAX_POINTS:
        return f"{granularity.text} asks for {points} points, more than {MAX_POINTS},"
    begins = limits.begins[tier]
    if start < begins and tier != limits.tiers[0]:
        made_of = "raw data" if tier is None else f"{tier // 60}-minute data"
        return f"{granularity.text} is made of {made_of}, which begins at {_iso(begins)}, so it cannot be had"
    return None


def count(start: datetime, end: datetime, granularity: Granularity, zone: ZoneInfo | None) -> int:
    """How many buckets cover [start, end)."""
    if not calendar.follows(granularity, zone):
        first, last = _fixed(start, end, granularity.seconds)
        return last - first
    about = int((end - start) / timedelta(seconds=granularity.seconds))
    # Compute the edges only if so many buckets may be allowed.
    return about if about > MAX_POINTS + 1 else len(calendar.edges(start, end, granularity, zone)) - 1


def cover(start: datetime, end: datetime, granularity: Granularity, zone: ZoneInfo | None) -> Buckets:
    """The whole buckets that cover [start, end), which must not be empty."""
    if calendar.follows(granularity, zone):
        edges = calendar.edges(start, end, granularity, zone)
        return Buckets(edges[0], edges[-1], granularity, edges)
    first, last = _fixed(start, end, granularity.seconds)
    width = timedelta(seconds=granularity.seconds)
    return Buckets(_EPOCH + first * width, _EPOCH + last * width, granularity)


def _fixed(start: datetime, end: datetime, seconds: int) -> tuple[int, int]:
    width = timedelta(seconds=seconds)
    return (start - _EPOCH) // width, -((_EPOCH - end) // width)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
