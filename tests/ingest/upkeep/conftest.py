from collections.abc import AsyncIterator

import pytest

from ingest.upkeep import tick
from shared.config import Database
from shared.db import Connection
from tests.ingest.upkeep.support import FILL, FLEET_LOADS, FLEET_SECONDS, FLEET_VENS, START, at, connecting


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with connecting(database) as (made,):
        yield made


LISTS = """
INSERT INTO ven_load_lists (ven_id, ts, load_ids, used_power_kw)
SELECT ven_id, ts, array_agg('l' || l), array_agg(1) FROM ven_telemetry, generate_series(1, $3) AS l
WHERE ts >= $1 AND ts < $2
GROUP BY ven_id, ts
ORDER BY ts
"""


@pytest.fixture(params=["never", "before", "halfway"])
async def fleet(connection: Connection, request: pytest.FixtureRequest) -> Connection:
    """Ten minutes of readings of 50 VENs every 5 s, counted by 5 minutes, that neither VACUUM nor autovacuum has seen;
    ANALYZE has never, or before there were any, or half of them."""
    await connection.execute("SELECT make_raw_day(date_bin('1 day', $1, 'epoch'))", at(START))
    for when, start in (("before", START), ("halfway", START + FLEET_SECONDS // 2)):
        if request.param == when:
            await connection.execute("ANALYZE ven_telemetry")
            await connection.execute("ANALYZE ven_load_lists")
        span = at(start), at(start + FLEET_SECONDS // 2)
        await connection.execute(FILL, *span, FLEET_VENS)
        await connection.execute(LISTS, *span, FLEET_LOADS)
    await tick.Counter().advance(connection, at(START + 300))
    return connection
