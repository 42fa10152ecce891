"""What tests say of a fleet; what must follow from it is in integral.py."""

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
