"""How far the clocks of VENs are off: the time from what a reading says to its arrival, seen over several."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shared.clocks import OFF_SECONDS

_READINGS = 9
# At most this many VENs are remembered; firmware may make up ids.
_VENS = 50_000
_JITTER_US = 5_000_000


@dataclass(slots=True)
class _Clock:
    ts: int
    received: int
    paced: bool = False
    late: deque[float] = field(default_factory=lambda: deque(maxlen=_READINGS))


class Clocks:
    """What this process knows of each VEN's clock. Times in µs since the epoch, results in s.

    Readings that come faster or slower than they were measured are a backlog: how late those are says nothing of the
    clock. Only while nothing else was heard of a VEN are they taken for it.
    """

    def __init__(self) -> None:
        self._clocks: dict[str, _Clock] = {}

    def hear(self, ven_id: str, ts: int, received: int) -> tuple[float | None, float]:
        """Take a live reading of `ts` in. Returns how late it was (None if it may be of a backlog), and the median
        of the last few."""
        late = (received - ts) / 1e6
        clock = self._clocks.get(ven_id)
        if clock is None:
            clock = self._add(ven_id, _Clock(ts, received))
            paced = False
        else:
            paced = _at_pace(ts - clock.ts, received - clock.received)
            clock.ts, clock.received = ts, received
        if paced and not clock.paced:
            clock.paced = True
            clock.late.clear()
        if paced or not clock.paced:
            clock.late.append(late)
        return late if paced else None, _median(clock.late)

    def off(self) -> Iterator[tuple[str, float]]:
        """VENs whose clock is wrong, and by how many s."""
        for ven_id, clock in self._clocks.items():
            offset = _median(clock.late)
            if abs(offset) >= OFF_SECONDS:
                yield ven_id, offset

    def _add(self, ven_id: str, clock: _Clock) -> _Clock:
        if len(self._clocks) >= _VENS:
            self._clocks.clear()
        self._clocks[ven_id] = clock
        return clock


def _at_pace(measured: int, arrived: int) -> bool:
    """Whether two readings arrived about as far apart as they were measured."""
    return 0 < measured <= 2 * arrived and arrived <= 2 * measured + _JITTER_US


def _median(values: Iterable[float]) -> float:
    """The higher one of two in the middle. statistics.median takes longer, and this is for each VEN of a batch."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
