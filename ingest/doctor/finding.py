"""What doctor finds."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that was looked at. `says`: what was seen; if it is bad, also what to do."""

    what: str
    good: bool
    says: str


def found(what: str, doubts: list[str], good: str) -> Finding:
    """One line of all that is wrong with it, or `good`."""
    return Finding(what, not doubts, "; ".join(doubts) or good)
