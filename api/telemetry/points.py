"""Rows of a history query as the points of an answer. Powers in kW, energies in kWh, rounded to 3 decimals."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from api.telemetry.buckets import Buckets
from api.telemetry.params import Fill
from api.telemetry.queries import Row
from api.web.figures import rounded, rounded_or_none


class Point(Struct, frozen=True, rename="camel"):
    """One bucket. eventId and requestedReductionKw: None outside an event; venCount: of the network alone."""

    timestamp: datetime
    used_power_kw: float | None = None
    shed_power_kw: float | None = None
    used_energy_kwh: float | None = None
    event_id: str | None = None
    requested_reduction_kw: float | None = None
    ven_count: float | int | None = None


class HistoryResponse(Struct, frozen=True):
    """Points in order of time, and the granularity they have."""

    points: list[Point]
    granularity: str


COLUMNS = tuple(field.encode_name for field in msgspec.structs.fields(Point))


def rounded_count(mean: float) -> float | int:
    """A mean of counts as it is answered: 24.5, but 25."""
    shown = rounded(mean)
    return int(shown) if shown.is_integer() else shown


def points(rows: Iterable[Row], buckets: Buckets) -> list[Point]:
    """A point for each row. Its energy: mean power over the time of its base buckets that have data."""
    base_hours = buckets.base.total_seconds() / 3600
    return [
        Point(
            start,
            rounded(used),
            rounded(shed),
            rounded(used * bases * base_hours),
            event_id,
            rounded_or_none(requested),
            None if vens is None else rounded_count(vens),
        )
        for start, used, shed, requested, event_id, vens, bases in rows
    ]


def filled(
    found: Sequence[Point], buckets: Buckets, fill: Fill, *, open_start: bool, open_end: bool
) -> list[Point]:
    """A point for every bucket; from the first with data and to the last where the request left that open.

    `null`: a bucket without data has nothing but its timestamp. `locf`: it has the power, the reduction
    asked for, the event and the count of the last bucket with data, but no energy of its own (0).
    """
    if fill == "none" or not found:
        return list(found) if fill == "none" or open_start or open_end else _empty(buckets)
    first = found[0].timestamp if open_start else buckets.start
    last = found[-1].timestamp if open_end else buckets.end
    starts = (start for start in buckets.starts() if first <= start <= last)
    return list(_fill(found, starts, carry=fill == "locf"))


def _empty(buckets: Buckets) -> list[Point]:
    return [Point(start) for start in buckets.starts()]


def _fill(found: Sequence[Point], starts: Iterable[datetime], *, carry: bool) -> Iterator[Point]:
    by_start = {point.timestamp: point for point in found}
    last: Point | None = None
    for start in starts:
        point = by_start.get(start)
        if point is not None:
            last = point
            yield point
        elif carry and last is not None:
            yield msgspec.structs.replace(last, timestamp=start, used_energy_kwh=0.0)
        else:
            yield Point(start)
