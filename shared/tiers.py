"""The tiers of rollups, each a row of one table. CONTRIBUTING.md, "How to add", says how to add one."""

from datetime import timedelta
from typing import Literal, NamedTuple, get_args

Kind = Literal["network", "ven", "load"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Bound(NamedTuple):
    """Where tiers begin: a column of rollup_state, and the field of Retention that says how many days they are kept."""

    column: str
    setting: str


class Tier(NamedTuple):
    """Sums of so many minutes. `kept`: which kinds it has rows of, and the bound from which each is kept.

    `source`: the minutes of the narrower tier that it is summed from; None: it is counted from readings.
    """

    minutes: int
    source: int | None
    kept: dict[Kind, Bound]

    @property
    def width(self) -> timedelta:
        """How long its buckets are; the first begins at the Unix epoch."""
        return timedelta(minutes=self.minutes)

    @property
    def seconds(self) -> int:
        """The same in s."""
        return self.minutes * 60

    @property
    def interval(self) -> str:
        """The same in SQL."""
        return f"interval '{self.minutes} minutes'"

    def table(self, kind: Kind) -> str:
        """The name of its table of that kind."""
        return table_name(kind, self.minutes)


def table_name(kind: Kind, minutes: int) -> str:
    """The name of the table of that kind and width."""
    return f"{kind}_power_{minutes}m"


_FINE = Bound("fine_from", "fine_rollup_retention_days")
_COARSE = Bound("coarse_from", "rollup_retention_days")
_LOADS = Bound("loads_from", "load_rollup_retention_days")

# The narrowest first. Each width divides the next, and the widest is kept longest.
TIERS = (
    Tier(1, None, {"network": _FINE}),
    Tier(5, None, {"network": _FINE, "ven": _FINE, "load": _FINE}),
    Tier(15, 5, {"network": _COARSE, "ven": _COARSE, "load": _LOADS}),
)

WIDEST = TIERS[-1]
TABLES = tuple(tier.table(kind) for tier in TIERS for kind in tier.kept)
BOUNDS = tuple(dict.fromkeys(bound for tier in TIERS for bound in tier.kept.values()))


def of(kind: Kind) -> tuple[Tier, ...]:
    """The tiers that have rows of a kind, the narrowest first."""
    return tuple(tier for tier in TIERS if kind in tier.kept)


def kept_from(bound: Bound) -> list[str]:
    """The tables of sums that begin at a bound."""
    return [tier.table(kind) for tier in TIERS for kind, its in tier.kept.items() if its == bound]
