"""The edges of buckets that follow a calendar: hours of a day, days, weeks from Monday, months from the 1st."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from api.telemetry.params import Granularity

_FIRST_DAY = date(1970, 1, 1)
_FIRST_MONDAY = date(1970, 1, 5)
_DAY_HOURS = 24


def follows(granularity: Granularity, zone: ZoneInfo | None) -> bool:
    """Whether buckets of `granularity` follow the calendar of `zone`; else they are counted from the Unix epoch."""
    if granularity.unit in ("w", "mo"):
        return True
    return zone is not None and zone.key != "UTC" and aligns(granularity)


def aligns(granularity: Granularity) -> bool:
    """Whether buckets of `granularity` begin at times of a time zone: hours that divide a day, or whole days."""
    if granularity.unit in ("w", "mo"):
        return True
    hours, rest = divmod(granularity.seconds, 3600)
    return rest == 0 and hours > 0 and (_DAY_HOURS % hours == 0 or hours % _DAY_HOURS == 0)


def edges(start: datetime, end: datetime, granularity: Granularity, zone: ZoneInfo | None) -> list[datetime]:
    """The start of each bucket that covers [start, end), and the end of the last one, in UTC.

    Buckets of several days, weeks or months are counted from the first day, Monday or month of 1970.
    """
    where = zone or ZoneInfo("UTC")
    # _steps gives one more on each side, because clocks may change at midnight.
    first, last = start.astimezone(where).date(), end.astimezone(where).date()
    found = sorted(set(_steps(first, last, granularity, where)))
    return found[bisect_right(found, start) - 1 : bisect_left(found, end) + 1]


def _steps(first: date, last: date, granularity: Granularity, zone: ZoneInfo) -> Iterator[datetime]:
    hours = granularity.seconds // 3600
    if hours < _DAY_HOURS:
        yield from _hours(first, last, hours, zone)
    elif granularity.unit == "mo":
        for step in range(_month(first) // granularity.count - 1, _month(last) // granularity.count + 3):
            year, month = divmod(step * granularity.count, 12)
            yield _midnight(date(1970 + year, month + 1, 1), zone)
    else:
        anchor = _FIRST_MONDAY if granularity.unit == "w" else _FIRST_DAY
        days = granularity.seconds // 86400
        for step in range((first - anchor).days // days - 1, (last - anchor).days // days + 3):
            yield _midnight(anchor + timedelta(days=step * days), zone)


def _hours(first: date, last: date, count: int, zone: ZoneInfo) -> Iterator[datetime]:
    """Local times at whole multiples of `count` hours; a time that comes twice begins a bucket each time."""
    for day in range(-1, (last - first).days + 2):
        midnight = datetime.combine(first + timedelta(days=day), datetime.min.time())
        for hour in range(0, _DAY_HOURS, count):
            local = midnight + timedelta(hours=hour)
            early, late = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
            yield early
            if late > early:
                yield late


def _month(day: date) -> int:
    return (day.year - 1970) * 12 + day.month - 1


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # fold=0: the first, if this midnight comes twice.
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
