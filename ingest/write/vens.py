"""Writes the present state of the VENs of a batch: signs of life, latest reading, latest list of loads."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ingest.db_errors import StaleMemoryError
from ingest.message import Message, Reading, Report, Snapshot, StatusReport
from ingest.write.clocks import Clocks
from ingest.write.queries import SQL, columns
from shared.db import Connection

# When each message was sent, in µs by our clock; None: unknown, or it repeats an earlier message.
Spoken = Mapping[Message, int | None]

# How far messages of one VEN can overtake each other if several processes receive them: _OVERTAKING_US, or _HELD_US if
# a process was away and the broker held its messages. _HELD_US is no longer than a restart takes, because the time in a
# last will is when its VEN connected: a will is not ordered by it.
_OVERTAKING_US = 1_000_000
_HELD_US = 30_000_000


class Signs(NamedTuple):
    """One row for update_vens: what a batch says about a VEN; None: nothing. Times are in µs since the epoch.

    `alive`, `offline`: the latest sign of life, and the latest status that means offline.
    `ts` … `soc`: the latest reading, with its first arrival.
    `loads_ts`, `loads_at`: the time of the latest complete list of loads, and the earlier of that and its arrival.
    `lateness`, `offset`: of the VEN's clock, in s (see Clocks).
    """

    ven_id: str
    alive: int | None = None
    offline: int | None = None
    ts: int | None = None
    received: int | None = None
    used: float | None = None
    shed: float | None = None
    requested: float | None = None
    event_id: str | None = None
    soc: float | None = None
    loads_ts: int | None = None
    loads_at: int | None = None
    lateness: float | None = None
    offset: float | None = None


async def update_vens(
    connection: Connection, singles: Sequence[Message], signs: Sequence[Signs], seen: set[str]
) -> Iterable[str]:
    """Write the VENs of a batch, inside its transaction; returns their ids. `seen`: VENs that are in the table."""
    arrivals = _arrivals(singles)
    unseen = sorted(arrivals.keys() - seen)
    if unseen:
        await connection.execute(SQL["insert_vens"], unseen, [arrivals[v] for v in unseen])
    if signs:
        done = await connection.execute(SQL["update_vens"], *columns(signs))
        if done != f"UPDATE {len(signs)}":
            raise StaleMemoryError("a VEN that was in vens is gone: somebody deleted it")
    return arrivals.keys()


def signs_of(
    singles: Sequence[Message], stored: set[Reading], listed: set[Reading], spoken: Spoken, clocks: Clocks
) -> list[Signs]:
    """What a batch says about its VENs, sorted by VEN.

    `stored`: its readings that are new; `listed`: readings whose loads are stored now; `spoken`: from said_at.
    """
    alive: dict[str, int] = {}
    offline: dict[str, int] = {}
    latest: dict[str, tuple[int, Message, Reading]] = {}
    lists: dict[str, tuple[int, int]] = {}
    for message in singles:
        content = message.content
        if not isinstance(content, Report):
            continue
        ven_id, at = content.ven_id, spoken[message]
        if at is not None:
            of = offline if isinstance(content, StatusReport) and content.offline else alive
            of[ven_id] = max(at, of.get(ven_id, at))
        if isinstance(content, Reading):
            counts_from = min(content.ts, message.received_at)
            if content in stored and (ven_id not in latest or counts_from > latest[ven_id][0]):
                latest[ven_id] = (counts_from, message, content)
            complete = content.complete and content in listed
            if complete and (ven_id not in lists or counts_from > lists[ven_id][0]):
                lists[ven_id] = (counts_from, content.ts)
    heard = sorted(alive.keys() | offline.keys() | latest.keys() | lists.keys())
    return [
        _signs(v, alive.get(v), offline.get(v), latest.get(v), lists.get(v, (None, None)), clocks)
        for v in heard
    ]


def said_at(message: Message, shared: bool) -> int | None:
    """When a message was sent, in µs by our clock; None: unknown. Usually this is its arrival. It is its own timestamp

    - if it is retained, or a load snapshot that the broker delivers again (it may have been stored before);
    - if `shared`, and the timestamp is at most 1 s older than the arrival (30 s if the broker may have held the
      message): messages of a VEN come by several processes and may overtake each other, so their timestamps show better
      which was sent first.
    """
    content, received_at = message.content, message.received_at
    ts = content.ts if isinstance(content, Report) else None
    if message.retain or (message.dup and isinstance(content, Snapshot)):
        return None if ts is None else min(ts, received_at)
    overtaken_us = _HELD_US if message.dup or message.held else _OVERTAKING_US
    if shared and ts is not None and 0 <= received_at - ts <= overtaken_us:
        return ts
    return received_at


def _signs(
    ven_id: str,
    alive: int | None,
    offline: int | None,
    latest: tuple[int, Message, Reading] | None,
    loads: tuple[int | None, int | None],
    clocks: Clocks,
) -> Signs:
    if latest is None:
        return Signs(ven_id, alive, offline, loads_ts=loads[1], loads_at=loads[0])
    _, message, r = latest
    received = min(r.ts, message.received_at) if message.retain else message.received_at
    lateness, offset = (None, None) if message.retain or message.dup else clocks.hear(ven_id, r.ts, received)
    reading = (
        r.ts,
        received,
        r.used_power_kw,
        r.shed_power_kw,
        r.requested_reduction_kw,
        r.event_id,
        r.battery_soc,
    )
    return Signs(ven_id, alive, offline, *reading, loads[1], loads[0], lateness, offset)


def _arrivals(batch: Sequence[Message]) -> dict[str, int]:
    """The first arrival in the batch of each VEN."""
    arrivals: dict[str, int] = {}
    for message in batch:
        if isinstance(message.content, Report):
            arrivals.setdefault(message.content.ven_id, message.received_at)
    return arrivals
