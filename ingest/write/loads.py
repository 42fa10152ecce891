"""What is known of each load beside its samples: name, type, capacity, …, merged from many messages; the newer wins."""

import time
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from ingest.message import Message, Reading, Snapshot
from ingest.receive.decode import loads_of
from ingest.receive.payloads import WireLoad

# What was committed is trusted only so long, because another process may change it, or a backup may be restored.
_REMEMBER_SECONDS = 300.0
# At most so many VENs are remembered; faulty firmware may invent ids without end.
_REMEMBER_VENS = 50_000


class Known(NamedTuple):
    """One row for ven_loads. Times are in µs since the epoch; the last three fields come only from snapshots."""

    ven_id: str
    load_id: str
    ts: int
    sampled: bool
    load_type: str | None
    name: str | None
    capacity_kw: float | None
    snapshot_ts: int | None = None
    shed_capability_kw: float | None = None
    used_power_kw: float | None = None


class Description(NamedTuple):
    """How a VEN's telemetry described its loads: `seen`, the hash of the description, and its time."""

    seen: int
    ts: int


# By VEN; None: forget the description that is remembered.
Descriptions = dict[str, Description | None]


class KnownLoads:
    """Collects what a batch says about loads, without what this process has lately committed.

    A snapshot always counts, because its powers are new. Telemetry counts only if it describes its loads differently
    from before; its powers are in the samples.
    """

    def __init__(self) -> None:
        self._committed: dict[str, tuple[Description, float]] = {}

    def learn(self, messages: Iterable[Message]) -> tuple[list[Known], Descriptions]:
        """Rows to write, by key, and what to `remember` once they are committed."""
        rows: dict[tuple[str, str], Known] = {}
        described: Descriptions = {}
        for message in messages:
            content = message.content
            if isinstance(content, Snapshot):
                described[content.ven_id] = None
                for load in content.loads:
                    _add(rows, _from_snapshot(content, load))
            elif isinstance(content, Reading) and content.description is not None:
                if not content.complete:
                    # Loads are missing from the list: it counts as a snapshot of the others.
                    described[content.ven_id] = None
                    for load in loads_of(content, message.payload):
                        _add(rows, _from_snapshot(content, load))
                    continue
                seen = content.description
                last = self._last(content.ven_id, described)
                if last is not None and last.seen == seen and last.ts <= content.ts:
                    continue
                # Remember only the newest description; after a late reading, write the next description again.
                newest = last is None or content.ts > last.ts
                described[content.ven_id] = Description(seen, content.ts) if newest else None
                for load in loads_of(content, message.payload):
                    _add(rows, _from_telemetry(content, load))
        return [rows[key] for key in sorted(rows)], described

    def remember(self, described: Descriptions) -> None:
        """Remember the descriptions of these VENs, which are committed now."""
        if len(self._committed) > _REMEMBER_VENS:
            self._committed.clear()
        until = time.monotonic() + _REMEMBER_SECONDS
        for ven_id, description in described.items():
            if description is None:
                self._committed.pop(ven_id, None)
            else:
                self._committed[ven_id] = (description, until)

    def _last(self, ven_id: str, described: Descriptions) -> Description | None:
        if ven_id in described:
            return described[ven_id]
        committed = self._committed.get(ven_id)
        return committed[0] if committed is not None and time.monotonic() < committed[1] else None


def _from_snapshot(snapshot: Snapshot | Reading, load: WireLoad) -> Known:
    return Known(
        snapshot.ven_id,
        load.load_id or "",
        snapshot.ts,
        False,
        load.type,
        load.name,
        load.capacity_kw,
        snapshot.ts,
        load.shed_capability_kw,
        load.current_power_kw,
    )


def _from_telemetry(reading: Reading, load: WireLoad) -> Known:
    return Known(reading.ven_id, load.load_id or "", reading.ts, True, load.type, load.name, load.capacity_kw)


def _add(rows: dict[tuple[str, str], Known], new: Known) -> None:
    key = (new.ven_id, new.load_id)
    old = rows.get(key)
    rows[key] = new if old is None else merge(old, new)


def merge(old: Known, new: Known) -> Known:
    """Two rows of one load merged: each field from the later row, or from the other one where that has none.

    The ON CONFLICT of `learn_loads` in queries.sql has the same rule.
    """
    later, earlier = (new, old) if new.ts > old.ts else (old, new)
    old_at, new_at = old.snapshot_ts, new.snapshot_ts
    heard = new_at is not None and (old_at is None or new_at > old_at)
    fresh, stale = (new, old) if heard else (old, new)
    return Known(
        old.ven_id,
        old.load_id,
        later.ts,
        old.sampled or new.sampled,
        _either(later.load_type, earlier.load_type),
        _either(later.name, earlier.name),
        _either(later.capacity_kw, earlier.capacity_kw),
        fresh.snapshot_ts,
        _either(fresh.shed_capability_kw, stale.shed_capability_kw),
        _either(fresh.used_power_kw, stale.used_power_kw),
    )


T = TypeVar("T")


def _either(first: T | None, second: T | None) -> T | None:
    return second if first is None else first
