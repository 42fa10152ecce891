"""Decides which statuses are transitions, from the stored statuses of their VENs. Pure functions."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.message import Outcome


class Transition(NamedTuple):
    """A VEN changed to `status`. Times are in µs since the epoch: its arrival, and its time in the VEN's history."""

    received_at: int
    recorded_at: int
    status: str
    details: str | None = None


@dataclass
class Timeline:
    """The statuses of one VEN. `rows`: the stored transitions by arrival, beginning with the last one before the batch.
    `status`, `status_at`, `received_at`: the current status, its latest time, and the arrival of that message.
    `new`: the transitions to write."""

    rows: list[Transition] = field(default_factory=list)
    status: str | None = None
    status_at: int | None = None
    received_at: int | None = None
    new: list[Transition] = field(default_factory=list)

    def apply(
        self, received_at: int, ts: int | None, status: str, details: str | None, offline: bool
    ) -> Outcome:
        """Add a status that arrived at `received_at` and has the time `ts` (None: without one); returns its outcome.

        Statuses are ordered by arrival. A status is a duplicate if it repeats the status before it, or if it is stored
        with the same time already; except one that means offline, because a last will has the same time each time.
        """
        at = bisect_left(self.rows, received_at, key=lambda row: row.received_at)
        before, after = (self.rows[at - 1] if at else None), (self.rows[at] if at < len(self.rows) else None)
        if before and before.status == status:
            if after is None:
                self._repeat(received_at, ts)
            return Outcome.DUPLICATE
        told = any(row.recorded_at == ts and row.status == status for row in self.rows)
        if (told and not offline) or (after and after.status == status):
            return Outcome.DUPLICATE
        recorded_at = self._place(before, after, received_at, ts)
        self._add(at, Transition(received_at, recorded_at, status, details))
        if after is None:
            self._become(received_at, recorded_at, status)
        return Outcome.STORED

    def _become(self, received_at: int, recorded_at: int, status: str) -> None:
        said_since = self.received_at is not None and self.received_at > received_at
        if said_since and self.status is not None and self.received_at is not None:
            # The former status was repeated after this one arrived: the VEN went back to it.
            back_at = max(self.received_at, recorded_at + 1)
            self._add(len(self.rows), Transition(self.received_at, back_at, self.status))
        else:
            self.status, self.status_at, self.received_at = status, recorded_at, received_at

    def _repeat(self, received_at: int, ts: int | None) -> None:
        if self.received_at is None or received_at > self.received_at:
            own = ts is not None and (self.status_at or 0) < ts <= received_at
            self.status_at, self.received_at = (ts if own else received_at), received_at

    def _place(
        self, before: Transition | None, after: Transition | None, received_at: int, ts: int | None
    ) -> int:
        """The time in history: its own time if that lies between its neighbours, else its arrival, else 1 µs beside a
        neighbour."""
        low = before.recorded_at if before else -1
        high = after.recorded_at if after else received_at + 1
        beside = low + 1 if before else high - 1
        place = next((each for each in (ts, received_at) if each is not None and low < each < high), beside)
        taken = {row.recorded_at for row in self.rows}
        while place in taken:
            place += 1
        return place

    def _add(self, at: int, row: Transition) -> None:
        self.rows.insert(at, row)
        self.new.append(row)
