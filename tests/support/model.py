"""The meaning of the numbers in plain Python: brute force over all readings, sharing no code with the project.

A reading is (ven, ts, used, shed, requested, event, {load: (used, shed)}); ts in whole seconds since the epoch.
"""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo


class R(NamedTuple):
    """One reading."""

    ven: str
    ts: int
    used: float
    shed: float = 0.0
    requested: float | None = None
    event: str | None = None
    loads: tuple[tuple[str, float, float], ...] | None = ()


class Point(NamedTuple):
    """One point of a history; start in s since the epoch."""

    start: int
    used: float
    shed: float
    energy: float
    event: str | None
    requested: float | None
    vens: float | None


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def base_seconds(granularity: int) -> int:
    if granularity % 300 == 0:
        return 300
    return 60 if granularity % 60 == 0 else granularity


def bucket_start(ts: int, granularity: int, zone: str | None) -> int:
    if zone is None or granularity % 86400:
        return ts - ts % granularity
    days = granularity // 86400
    local = datetime.fromtimestamp(ts, ZoneInfo(zone)).date()
    first = date(1970, 1, 1) + timedelta(days=(local - date(1970, 1, 1)).days // days * days)
    return round(
        datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone)).astimezone(UTC).timestamp()
    )


def history(
    readings: list[R],
    granularity: int,
    *,
    ven: str | None = None,
    load: str | None = None,
    zone: str | None = None,
    start: int | None = None,
    end: int | None = None,
) -> list[Point]:
    """The points with data of the network, of a VEN or of a load, from `start` to `end` (both on bucket edges)."""
    base = base_seconds(granularity)
    cells: dict[int, dict[str, list[tuple[float, float, float | None, str | None]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for r in readings:
        if (start is not None and r.ts < start) or (end is not None and r.ts >= end):
            continue
        if ven is not None and r.ven != ven:
            continue
        if load is None:
            cells[r.ts - r.ts % base][r.ven].append((r.used, r.shed, r.requested, r.event))
        else:
            for name, used, shed in r.loads:
                if name == load:
                    cells[r.ts - r.ts % base][r.ven].append((used, shed, None, None))
    bases = {at: _base(vens) for at, vens in cells.items()}
    grouped: dict[int, list[Any]] = defaultdict(list)
    for at, values in bases.items():
        grouped[bucket_start(at, granularity, zone)].append(values)
    return [
        Point(
            at,
            mean([used for used, *_ in rows]),
            mean([shed for _, shed, *_ in rows]),
            mean([used for used, *_ in rows]) * len(rows) * base / 3600,
            max((event for *_, event, _ in rows if event is not None), default=None),
            mean(asked) if (asked := [q for _, _, q, _, _ in rows if q is not None]) else None,
            mean([count for *_, count in rows]) if ven is None else None,
        )
        for at, rows in sorted(grouped.items())
    ]


def _base(vens: dict[str, list[tuple[float, float, float | None, str | None]]]) -> tuple[Any, ...]:
    """Of one base bucket: used, shed, requested, event, how many VENs."""
    used = shed = 0.0
    requested: list[float] = []
    events: list[str] = []
    for rows in vens.values():
        used += mean([row[0] for row in rows])
        shed += mean([row[1] for row in rows])
        named = [row[2] for row in rows if row[3] is not None and row[2] is not None]
        if named:
            requested.append(mean(named))
        events += [row[3] for row in rows if row[3] is not None]
    return used, shed, sum(requested) if requested else None, max(events, default=None), len(vens)
