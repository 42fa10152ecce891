"""How far the clocks of VENs are off: the median time from a reading's timestamp to its arrival."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.clocks import OFF_SECONDS

_READINGS = 9
# At most so many VENs are remembered; faulty firmware may invent ids without end.
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
        """Forget what was measured."""
        self.late.clear()
        self.settled, self.offset = False, 0.0

    def note(self, late: float) -> None:
        """Take the median of every _READINGS readings; until the first of these are complete, of those that came."""
        self.late.append(late)
        complete = len(self.late) == _READINGS
        if complete or not self.settled:
            self.offset = _median(self.late)
        if complete:
            self.settled = True
            self.late.clear()


class Clocks:
    """What this process knows of each VEN's clock. Times are in µs since the epoch, results in s.

    Readings that arrive faster than they were measured are a backlog: their lateness says nothing about the clock.
    Readings that arrive slower say little: they count only until the VEN has sent some at the right pace.
    """

    def __init__(self) -> None:
        self._clocks: dict[str, _Clock] = {}

    def hear(self, ven_id: str, ts: int, received: int) -> tuple[float | None, float]:
        """Note a live reading of time `ts`. Returns how late it was (None if it may be part of a backlog), and the
        median of the last readings."""
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
        """The VENs whose clocks are off by OFF_SECONDS or more, each with how many s it is behind (negative: ahead)."""
        for ven_id, clock in self._clocks.items():
            if abs(clock.offset) >= OFF_SECONDS:
                yield ven_id, clock.offset

    def _add(self, ven_id: str, clock: _Clock) -> _Clock:
        if len(self._clocks) >= _VENS:
            self._clocks.clear()
        self._clocks[ven_id] = clock
        return clock


def _at_pace(measured: int, arrived: int) -> bool:
    """Whether the time between two readings' arrivals is about the time between their measurements."""
    return measured > 0 and not _faster(measured, arrived) and arrived <= 2 * measured + _JITTER_US


def _faster(measured: int, arrived: int) -> bool:
    return measured > 2 * arrived


def _median(values: list[float]) -> float:
    """The median; of two values in the middle the higher. statistics.median is slower, and a batch has many VENs."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
