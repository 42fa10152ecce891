"""Makes the points of an answer from sums of energy and covered time (docs/architecture.md: Meaning of the numbers)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from msgspec import Struct

from api.telemetry.buckets import Buckets
from api.telemetry.params import Fill
from api.web.figures import rounded

_US = timedelta(microseconds=1)
_UWH_OF_KWH = 1_000_000_000


class Sums(NamedTuple):
    """The sums of a stretch of time: energies in uWh (1e-9 kWh), covered times in us, the greatest id of an event."""

    used_uwh: int
    shed_uwh: int
    requested_uwh: int
    covered_us: int
    event_us: int
    event_id: str | None

    def plus(self, other: "Sums") -> "Sums":
        """The sums of both stretches together."""
        ids = [each for each in (self.event_id, other.event_id) if each is not None]
        return Sums(
            self.used_uwh + other.used_uwh,
            self.shed_uwh + other.shed_uwh,
            self.requested_uwh + other.requested_uwh,
            self.covered_us + other.covered_us,
            self.event_us + other.event_us,
            max(ids, default=None),
        )


class Point(Struct, frozen=True, rename="camel", gc=False):
    """One bucket: mean powers in kW, energy in kWh. eventId, requestedReductionKw: None outside an event; venCount:
    only of the network; coverage: only of VENs and loads, the part of the bucket so far that readings speak for."""

    timestamp: datetime
    used_power_kw: float | None = None
    shed_power_kw: float | None = None
    used_energy_kwh: float | None = None
    event_id: str | None = None
    requested_reduction_kw: float | None = None
    ven_count: float | int | None = None
    coverage: float | None = None


class HistoryResponse(Struct, frozen=True):
    """Points in order of time, and their granularity."""

    points: list[Point]
    granularity: str


COLUMNS = tuple(field.encode_name for field in msgspec.structs.fields(Point))


def kilowatts(uwh: int, us: int) -> float:
    """The mean power in kW of an energy in uWh over a time in us: whole W, a half rounded up. 1 uWh in 1 us is 3,600 W.

    Whole numbers, because to round three floats to decimals would take longer than all the rest of a point.
    """
    return (7200 * uwh + us) // (2 * us) / 1000


def share(part_us: int, whole_us: int) -> float:
    """Which part of a time another one is, to 3 decimals, a half rounded up."""
    return (2000 * part_us + whole_us) // (2 * whole_us) / 1000


def kilowatt_hours(uwh: int) -> float:
    """An energy in kWh; its 9 decimals are whole uWh."""
    return uwh / _UWH_OF_KWH + 0.0


def rounded_count(mean: float) -> float | int:
    """A mean of counts, rounded for an answer: 24.5, but 25 instead of 25.0."""
    shown = rounded(mean)
    return int(shown) if shown.is_integer() else shown


def ven_point(
    start: datetime,
    length_us: int,
    used_uwh: int,
    shed_uwh: int,
    requested_uwh: int,
    covered_us: int,
    event_us: int,
    event_id: str | None,
) -> Point:
    """The point of a VEN or a load: mean powers over the time that readings speak for. `length_us`: of the bucket so
    far; the rest: its Sums."""
    return Point(
        start,
        kilowatts(used_uwh, covered_us),
        kilowatts(shed_uwh, covered_us),
        kilowatt_hours(used_uwh),
        event_id,
        kilowatts(requested_uwh, covered_us) if event_us else None,
        None,
        share(covered_us, length_us),
    )


def network_point(start: datetime, end: datetime, sums: Sums, first_at: datetime) -> Point:
    """The point of the network: mean powers over the bucket, without the time before the network's first reading."""
    # `first_at` is cached for some seconds, so it may be later than the first reading if that came late.
    begins = max(start, first_at) if first_at < end else start
    length = (end - begins) // _US
    return Point(
        start,
        kilowatts(sums.used_uwh, length),
        kilowatts(sums.shed_uwh, length),
        kilowatt_hours(sums.used_uwh),
        sums.event_id,
        kilowatts(sums.requested_uwh, length) if sums.event_us else None,
        rounded_count(sums.covered_us / length),
    )


def filled(
    found: Sequence[Point], buckets: Buckets, fill: Fill, before: Point | None, until: datetime
) -> list[Point]:
    """A point for every bucket that begins before `until`.

    `null`: a bucket without data has only its timestamp. `locf`: it has the powers, the requested reduction, the event
    and the count of the last point before it, but no energy. `before`: the last point before the range.
    """
    starts = (start for start, _ in buckets.spans() if start < until)
    return list(_fill({point.timestamp: point for point in found}, starts, before, carry=fill == "locf"))


def _fill(
    found: Mapping[datetime, Point], starts: Iterable[datetime], last: Point | None, *, carry: bool
) -> Iterator[Point]:
    for start in starts:
        point = found.get(start)
        if point is not None:
            last = point
            yield point
        elif carry and last is not None:
            coverage = None if last.coverage is None else 0.0
            yield msgspec.structs.replace(last, timestamp=start, used_energy_kwh=0.0, coverage=coverage)
        else:
            yield Point(start)
