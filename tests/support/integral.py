"""The meaning of the numbers in plain Python, written from its definition; shares no code with the project.

A reading speaks from its time until its VEN's next, at most for its hold. Energies are whole uWh (1e-9 kWh), times
whole us: the piece [a, b) of a reading of P kW at s has round(P (b - s) / 3.6) - round(P (a - s) / 3.6) of energy.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tests.support.model import R

US = 1_000_000


class Sums(NamedTuple):
    """What a stretch of time holds: energies in uWh, times in us."""

    used: int = 0
    shed: int = 0
    requested: int = 0
    covered: int = 0
    event: int = 0
    event_id: str | None = None

    def plus(self, other: "Sums") -> "Sums":
        ids = [each for each in (self.event_id, other.event_id) if each is not None]
        return Sums(
            self.used + other.used,
            self.shed + other.shed,
            self.requested + other.requested,
            self.covered + other.covered,
            self.event + other.event,
            max(ids, default=None),
        )


class Span(NamedTuple):
    """A reading and how long it speaks; times in us since the epoch."""

    ven: str
    start: int
    end: int
    used: float
    shed: float
    requested: float | None
    event_id: str | None


def energy(kw: float, us: int) -> int:
    return round(kw * us / 3.6)


def piece(span: Span, start: int, end: int) -> Sums:
    """What `span` says of [start, end)."""
    a, b = max(start, span.start), min(end, span.end)
    own = span.event_id if start <= span.start < end else None
    if a >= b:
        return Sums(event_id=own)
    a, b = a - span.start, b - span.start
    asked = span.requested
    return Sums(
        energy(span.used, b) - energy(span.used, a),
        energy(span.shed, b) - energy(span.shed, a),
        0 if asked is None else energy(asked, b) - energy(asked, a),
        b - a,
        0 if asked is None else b - a,
        own,
    )


def buckets(spans: Iterable[Span], width: int) -> Mapping[tuple[str, int], Sums]:
    """By VEN and start (us) of the bucket of `width` us."""
    sums: dict[tuple[str, int], Sums] = defaultdict(Sums)
    for span in spans:
        at = span.start - span.start % width
        while at < span.end:
            sums[span.ven, at] = sums[span.ven, at].plus(piece(span, at, at + width))
            at += width
    return sums


def over_vens(sums: Mapping[tuple[str, int], Sums]) -> dict[int, Sums]:
    """The network: by start of the bucket."""
    network: dict[int, Sums] = defaultdict(Sums)
    for (_, at), each in sums.items():
        network[at] = network[at].plus(each)
    return dict(network)


def spans(
    readings: Iterable[R], holds: Sequence[tuple[int, int]], *, until: int, lists: bool = False
) -> list[Span]:
    """The spans of `readings` of any VENs before `until` (us). `holds`: (since, hold) in us, by time.

    `lists`: only readings that list loads count, and end each other.
    """
    by_ven: dict[str, list[R]] = defaultdict(list)
    for reading in sorted(readings, key=lambda r: r.ts):
        if reading.ts * US < until and not (lists and reading.loads is None):
            by_ven[reading.ven].append(reading)
    found = []
    for ven, rows in by_ven.items():
        for at, row in enumerate(rows):
            start = round(row.ts * US)
            hold = next(hold for since, hold in reversed(holds) if since <= start)
            following = round(rows[at + 1].ts * US) if at + 1 < len(rows) else until
            asked = None if row.event is None else row.requested or 0.0
            found.append(
                Span(ven, start, min(following, start + hold, until), row.used, row.shed, asked, row.event)
            )
    return found


def load_spans(readings: Iterable[R], holds: Sequence[tuple[int, int]], *, until: int) -> list[Span]:
    """The same of loads: a sample speaks until its VEN's next list. `ven` is "ven/load"."""
    readings = list(readings)
    samples = {(r.ven, round(r.ts * US)): r.loads or () for r in readings}
    return [
        span._replace(ven=f"{span.ven}/{load}", used=used, shed=shed, requested=None, event_id=None)
        for span in spans(readings, holds, until=until, lists=True)
        for load, used, shed in samples[span.ven, span.start]
    ]
