"""What the leader's statements share: the tiers, fragments of SQL, and the arithmetic of buckets."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from shared.sql import load_blocks

MINUTE, FIVE_MINUTES, QUARTER = timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FRAGMENTS = load_blocks(Path(__file__).with_name("fragments.sql"))
SHARED = load_blocks(Path(__file__).with_name("shared.sql"), FRAGMENTS)


class NetworkTier(NamedTuple):
    """A table of the network's sums. `open`: the bucket that the watermark lies in has a row already."""

    table: str
    width: timedelta
    open: bool

    @property
    def names(self) -> dict[str, str]:
        """What {network} and {width} stand for in SQL."""
        return {"network": self.table, "width": f"interval '{self.width.total_seconds():.0f} seconds'"}


NETWORK_TIERS = (
    NetworkTier("network_power_1m", MINUTE, open=True),
    NetworkTier("network_power_5m", FIVE_MINUTES, open=False),
    NetworkTier("network_power_15m", QUARTER, open=False),
)


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
