"""A database with readings of an hour long past, and the leader's steps on it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from ingest.database import leader_connection
from ingest.message import Outcome
from ingest.partitions import Partitions
from ingest.write.batch import Store
from shared.config import Database
from shared.db import Connection
from tests.support import leader
from tests.support.integral import Sums
from tests.support.model import R
from tests.support.plans import nodes
from tests.support.samples import message, payload_of

# Two hours ago, at the start of an hour: whatever the clock says, its readings speak no longer.
START = int(time.time()) // 3600 * 3600 - 7200
END = START + 7200
# Readings of so many VENs ($3) every 5 s from $1 to $2.
FILL = """
INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, payload, received_at)
SELECT 'v' || v, t, 1, 0, '0', t
FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 second', '5 seconds') AS t,
     generate_series(1, $3) AS v
"""
FLEET_VENS, FLEET_LOADS, FLEET_SECONDS = 50, 8, 600


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@asynccontextmanager
async def connecting(database: Database, count: int = 1) -> AsyncIterator[list[Connection]]:
    connections = [await leader_connection(database) for n in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.terminate()


async def write(connection: Connection, *readings: R, store: Store | None = None) -> list[Outcome]:
    store = store or Store("test", Partitions())
    await store.prepare(connection)
    batch = [message("volttron/metering", payload_of(r), received_at=END) for r in readings]
    return await store.write(connection, batch)


async def count(connection: Connection, until: float = END) -> None:
    """Everything that the leader does, with the watermark at `until` in the end."""
    await leader.count(connection, at(until))


async def stored(connection: Connection, table: str, ids: int = 0) -> dict[tuple[Any, ...], Sums]:
    """The sums in a table of VENs (1 id) or the network (none), by ids and seconds since START, where any are."""
    rows = [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table}")]
    return {
        (*row[:ids], round(row[ids].timestamp()) - START): Sums(*row[ids + 1 :])
        for row in rows
        if row[ids + 4]
    }


async def network(connection: Connection, table: str = "network_power_5m") -> dict[int, tuple[float, float]]:
    """Energy in kWh and covered time in s of the network, by seconds since START."""
    return {
        key[0]: (sums.used / 1e9, sums.covered / 1e6)
        for key, sums in (await stored(connection, table)).items()
    }


async def explained(connection: Connection, statement: str, *values: Any) -> list[dict[str, Any]]:
    """The nodes of a statement's plan, as it was executed."""
    return nodes(await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *values))
