"""VEN_OFFLINE_AFTER may change any number of times: what readings cost does not depend on it.

With inner joins, a redo and all four statements of loads go through them once for each change.
"""

from typing import Any

import pytest

from ingest.upkeep import late, loads, recount, tick
from shared.db import Connection
from tests.ingest.upkeep.support import FLEET_VENS, START, at, explained
from tests.support.plans import raw_rows

SPAN = at(START + 300), at(START + 600)
STATEMENTS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "tick": (tick.SQL["tick"], (at(START + 300), at(START + 360))),
    "leap": (tick.SQL["leap"], SPAN),
    "recount": (recount.SQL["recount"], SPAN),
    "redo": (late.SQL["redo"], ()),
    "count_lists": (loads.SQL["count_lists"], SPAN),
    "count_five_minutes": (loads.SQL["count_five_minutes"], SPAN),
    "recount_loads": (loads.SQL["recount_loads"], SPAN),
    "count_loads": (loads.SQL["count_loads"], ()),
}


async def cost(connection: Connection, name: str) -> tuple[int, float]:
    """How many raw rows a statement reads, and how many rows its joins by hash give."""
    statement, values = STATEMENTS[name]
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("TRUNCATE network_power_1m")
    await connection.execute("INSERT INTO picked SELECT ven_id, ts FROM ven_telemetry WHERE ts = $1", SPAN[0])
    await connection.execute(late.SQL["find_stretches"], SPAN[1])
    if name.startswith(("count_", "recount_")):
        await connection.execute(loads.SQL["join_by_hash"])
    plan = await explained(connection, statement, *values)
    await transaction.rollback()
    joined = sum(n["Actual Rows"] * n["Actual Loops"] for n in plan if n["Node Type"] == "Hash Join")
    return raw_rows(plan), joined


@pytest.mark.parametrize("name", STATEMENTS)
async def test_readings_are_read_once_however_often_the_hold_changed(fleet: Connection, name: str) -> None:
    await late.create_work(fleet)
    before = await cost(fleet, name)
    for n in range(5):
        await fleet.execute("INSERT INTO holds VALUES ($1, '960 s')", at(START - 900 + 300 * n))
    assert await cost(fleet, name) == before
    assert before[0] >= FLEET_VENS
