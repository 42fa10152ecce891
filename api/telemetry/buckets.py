"""The buckets of a history: how wide, where they begin and end, and how many an answer may hold."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from api.telemetry.params import Granularity, HistoryParams, parse_granularity
from api.web.errors import BadRequestError

MAX_POINTS = 11_000
# What the server picks from when no granularity is given.
DEFAULTS = tuple(parse_granularity(text) for text in ("5m", "15m", "1h", "6h", "1d"))
# What it names when the one given does not fit.
_SUGGESTIONS = tuple(parse_granularity(text) for text in ("1s", "5s", "10s", "15s", "30s", "1m")) + DEFAULTS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(1970, 1, 1)
_DAY_SECONDS = 86400


class Buckets(Struct, frozen=True):
    """Whole buckets from `start` until before `end` (UTC), each of `granularity`.

    `edges`: where they begin and the last one ends, when they follow a calendar; None: the width repeats
    from the Unix epoch.
    """

    start: datetime
    end: datetime
    granularity: Granularity
    edges: list[datetime] | None = None

    @property
    def width(self) -> timedelta:
        """How long a bucket is; calendar days may be an hour longer or shorter."""
        return timedelta(seconds=self.granularity.seconds)

    @property
    def base(self) -> timedelta:
        """How long the base buckets are that a bucket is the mean of."""
        return timedelta(seconds=base_seconds(self.granularity))

    def starts(self) -> Iterator[datetime]:
        """Where each bucket begins."""
        if self.edges is not None:
            yield from self.edges[:-1]
            return
        at, width = self.start, self.width
        while at < self.end:
            yield at
            at += width


def base_seconds(granularity: Granularity) -> int:
    """Length in s of the base buckets under a granularity; itself, if it is no multiple of a minute."""
    if granularity.seconds % 300 == 0:
        return 300
    return 60 if granularity.seconds % 60 == 0 else granularity.seconds


def choose(params: HistoryParams, start: datetime, end: datetime, raw_limit: timedelta) -> Buckets:
    """The buckets that cover [start, end): of the granularity given, else of the finest default that fits.

    `raw_limit`: the longest range for granularities that are no multiple of a minute. Raises BadRequestError that
    names the finest granularity that fits.
    """
    zone = params.timezone
    given = params.granularity
    if given is None:
        fitting = _finest(DEFAULTS, start, end, zone, raw_limit)
        if fitting is None:
            raise BadRequestError(
                f"start, end: no granularity gives at most {MAX_POINTS} points; ask for a shorter range"
            )
        return cover(start, end, fitting, zone)
    if given.seconds % 60 and end - start > raw_limit:
        hours = raw_limit // timedelta(hours=1)
        why = f"{given.text} is no multiple of 1m, which reads raw rows for at most {hours}h"
    elif count(start, end, given, zone) > MAX_POINTS:
        why = f"{given.text} asks for {count(start, end, given, zone)} points, more than {MAX_POINTS}"
    else:
        return cover(start, end, given, zone)
    fitting = _finest(_SUGGESTIONS, start, end, zone, raw_limit)
    remedy = f"the finest that fits is {fitting.text}" if fitting else "ask for a shorter range"
    raise BadRequestError(f"granularity: {why} from {_iso(start)} to {_iso(end)}; {remedy}")


def _finest(
    choices: tuple[Granularity, ...],
    start: datetime,
    end: datetime,
    zone: ZoneInfo | None,
    raw_limit: timedelta,
) -> Granularity | None:
    for granularity in choices:
        if granularity.seconds % 60 and end - start > raw_limit:
            continue
        if count(start, end, granularity, zone) <= MAX_POINTS:
            return granularity
    return None


def count(start: datetime, end: datetime, granularity: Granularity, zone: ZoneInfo | None) -> int:
    """How many buckets cover [start, end)."""
    if not _follows_calendar(granularity, zone):
        first, last = _fixed(start, end, granularity.seconds)
        return last - first
    about = int((end - start) / timedelta(seconds=granularity.seconds))
    # Edges are only worked out where they may fit.
    return about if about > MAX_POINTS + 1 else len(_edges(start, end, granularity, zone)) - 1


def cover(start: datetime, end: datetime, granularity: Granularity, zone: ZoneInfo | None) -> Buckets:
    """The whole buckets that cover [start, end), which is not empty."""
    if _follows_calendar(granularity, zone):
        edges = _edges(start, end, granularity, zone)
        return Buckets(edges[0], edges[-1], granularity, edges)
    first, last = _fixed(start, end, granularity.seconds)
    width = timedelta(seconds=granularity.seconds)
    return Buckets(_EPOCH + first * width, _EPOCH + last * width, granularity)


def _follows_calendar(granularity: Granularity, zone: ZoneInfo | None) -> bool:
    return zone is not None and zone.key != "UTC" and granularity.seconds % _DAY_SECONDS == 0


def _fixed(start: datetime, end: datetime, seconds: int) -> tuple[int, int]:
    width = timedelta(seconds=seconds)
    return (start - _EPOCH) // width, -((_EPOCH - end) // width)


def _edges(start: datetime, end: datetime, granularity: Granularity, zone: ZoneInfo | None) -> list[datetime]:
    """Local midnights, in steps of the granularity's days from local 1970-01-01, that cover [start, end)."""
    days = granularity.seconds // _DAY_SECONDS
    # One step more on each side: where clocks jump at midnight a day's date is not its whole story.
    first = (start.astimezone(zone).date() - _FIRST_DAY).days // days - 1
    last = (end.astimezone(zone).date() - _FIRST_DAY).days // days + 2
    edges = sorted(
        {_midnight(_FIRST_DAY + timedelta(days=step * days), zone) for step in range(first, last + 1)}
    )
    return edges[bisect_right(edges, start) - 1 : bisect_left(edges, end) + 1]


def _midnight(day: date, zone: ZoneInfo | None) -> datetime:
    # fold=0: of a midnight that comes twice, the first.
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
