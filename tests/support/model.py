"""The readings that tests describe a fleet by; integral.py computes the expected figures."""

from typing import NamedTuple


class R(NamedTuple):
    """One reading."""

    ven: str
    ts: float
    used: float
    shed: float = 0.0
    requested: float | None = None
    event: str | None = None
    loads: tuple[tuple[str, float, float], ...] | None = ()
