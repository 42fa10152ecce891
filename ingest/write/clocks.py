"""How far the clocks of VENs are off: the time from what a reading says to its arrival, seen over several."""

from collections.abc import Iterator
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
    late: list[float] = field(default_factory=list)
    offset: float = 0.0
    settled: bool = False

    def forget(self) -> None:
        """Nothing is known of it."""
        self.late.clear()
        self.settled, self.offset = False, 0.0

    def note(self, late: float) -> None:
        """Take the median of each few readings; of those there are until the first few are complete."""
        self.late.append(late)
        complete = len(self.late) == _READINGS
        if complete or not self.settled:
            self.offset = _median(self.late)
        if complete:
            self.settled = True
            self.late.clear()


class Clocks:
    """What this process knows of each VEN's clock. Times in µs since the epoch, results in s.

    Readings that come faster than they were measured are a backlog, and how late those are says nothing of the clock.
    Readings that come slower say little: they count only while nothing else was heard of a VEN.
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
            clock.note(late)
            return None, clock.offset
        measured, arrived = ts - clock.ts, received - clock.received
        paced = _at_pace(measured, arrived)
        clock.ts, clock.received = ts, received
        if paced and not clock.paced:
            clock.paced, clock.settled = True, False
            clock.late.clear()
        if not clock.paced and _faster(measured, arrived):
            clock.forget()
        elif paced or not clock.paced:
            clock.note(late)
        return late if paced else None, clock.offset

    def off(self) -> Iterator[tuple[str, float]]:
        """VENs whose clock is wrong, and by how many s."""
        for ven_id, clock in self._clocks.items():
            if abs(clock.offset) >= OFF_SECONDS:
                yield ven_id, clock.offset

    def _add(self, ven_id: str, clock: _Clock) -> _Clock:
        if len(self._clocks) >= _VENS:
            self._clocks.clear()
        self._clocks[ven_id] = clock
        return clock


def _at_pace(measured: int, arrived: int) -> bool:
    """Whether two readings arrived about as far apart as they were measured."""
    return measured > 0 and not _faster(measured, arrived) and arrived <= 2 * measured + _JITTER_US


def _faster(measured: int, arrived: int) -> bool:
    return measured > 2 * arrived


def _median(values: list[float]) -> float:
    """The higher one of two in the middle. statistics.median takes longer, and this is for many VENs of a batch."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
