"""What the leader's statements share: fragments of SQL, and the arithmetic of buckets."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared import integral
from shared.sql import load_blocks
from shared.tiers import WIDEST

MINUTE, FIVE_MINUTES = timedelta(minutes=1), timedelta(minutes=5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FRAGMENTS = {
    **integral.FRAGMENTS,
    **load_blocks(Path(__file__).with_name("fragments.sql")),
    "widest": WIDEST.interval,
}


def floor(moment: datetime, width: timedelta) -> datetime:
    """The start of the bucket of `width`, counted from the Unix epoch, that `moment` lies in."""
    return moment - (moment - _EPOCH) % width


def months(start: datetime, end: datetime) -> list[datetime]:
    """A moment in each month (UTC) that [start, end) touches."""
    at, found = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0), []
    while at < end:
        found.append(at)
        at = (at + timedelta(days=32)).replace(day=1)
    return found
