"""Which statuses are transitions: pure, on what the database holds of the VENs concerned."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from ingest.message import Outcome


@dataclass
class Timeline:
    """The statuses of one VEN. `rows`: the transitions stored, from the last one before the oldest status
    at hand on, by time. `status`, `status_at`: the current one. Times in µs since the epoch."""

    rows: list[tuple[int, str]] = field(default_factory=list)
    status: str | None = None
    status_at: int | None = None
    new: list[tuple[int, str, str | None]] = field(default_factory=list)

    def apply(self, ts: int, status: str, details: str | None) -> Outcome:
        """Take one status in: a repeat of the current one, or of the one before it in time, is a
        duplicate (a repeat moves status_at); an older one never becomes current."""
        newest = self.status_at is None or ts >= self.status_at
        at = bisect_left(self.rows, (ts, ""))
        taken = at < len(self.rows) and self.rows[at][0] == ts
        if not taken and status == self.status:
            if newest:
                self.status_at = ts
            return Outcome.DUPLICATE
        before = bisect_right(self.rows, (ts, "\U0010ffff")) - 1
        if taken or (not newest and before >= 0 and self.rows[before][1] == status):
            return Outcome.DUPLICATE
        self.rows.insert(at, (ts, status))
        self.new.append((ts, status, details))
        if newest:
            self.status, self.status_at = status, ts
        return Outcome.STORED
