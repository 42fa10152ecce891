"""One result of doctor."""

from typing import NamedTuple


class Finding(NamedTuple):
    """The result of one check. `what`: what was checked; `says`: what was found, and if it is bad, what to do."""

    what: str
    good: bool
    says: str


def found(what: str, doubts: list[str], good: str) -> Finding:
    """A finding that is bad with all `doubts`, or good with the text `good` if there are none."""
    return Finding(what, not doubts, "; ".join(doubts) or good)
