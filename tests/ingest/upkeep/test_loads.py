"""Loads are counted behind the VENs, to the same definition."""

from typing import Any

import pytest

from ingest.upkeep import loads, sums, tick
from shared.config import Database
from shared.db import Connection
from tests.ingest.upkeep.support import (
    FLEET_VENS,
    START,
    at,
    connecting,
    count,
    explained,
    stored,
    write,
)
from tests.support.model import R
from tests.support.plans import raw_rows


async def energies(connection: Connection, table: str = "load_power_5m") -> dict[tuple[object, ...], float]:
    rows = await connection.fetch(f"SELECT ven_id, load_id, bucket, used_uwh FROM {table}")
    return {(r["load_id"], round(r["bucket"].timestamp()) - START): r["used_uwh"] / 1e9 for r in rows}


async def test_a_sample_speaks_until_the_next_list(connection: Connection) -> None:
    await write(
        connection,
        R("a", START, 6.0, loads=(("x", 6.0, 0.0), ("y", 12.0, 0.0))),
        R("a", START + 60, 6.0, loads=None),
        R("a", START + 120, 6.0, loads=(("x", 60.0, 0.0),)),
        R("a", START + 240, 6.0, loads=()),
    )
    await count(connection)
    assert await energies(connection) == {("x", 0): 0.2 + 2.0, ("y", 0): 0.4}
    assert await energies(connection, "load_power_15m") == {("x", 0): 2.2, ("y", 0): 0.4}


async def test_loads_wait_for_whole_five_minutes_of_vens(connection: Connection) -> None:
    await write(connection, R("a", START, 6.0, loads=(("x", 6.0, 0.0),)))
    await tick.Counter().advance(connection, at(START + 299))
    assert await loads.LoadCounter().step(connection) is None
    await tick.Counter().advance(connection, at(START + 300))
    assert await loads.LoadCounter().step(connection) == at(START + 300)
    assert await energies(connection) == {("x", 0): 0.5}


async def test_a_tick_meanwhile_does_not_undo_a_step(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loads of a large fleet take longer to count than a tick waits for the next one; both move a watermark in the
    same row."""
    async with connecting(database, 2) as (leader, loads_leader):
        await write(leader, R("a", START, 6.0, loads=(("x", 6.0, 0.0),)))
        await tick.Counter().advance(leader, at(START + 300))
        sum_up = sums.sum_up

        async def tick_first(*arguments: Any) -> None:
            if arguments[-1] == "load":
                await tick.Counter().advance(leader, at(START + 310))
            await sum_up(*arguments)

        monkeypatch.setattr(sums, "sum_up", tick_first)
        assert await loads.LoadCounter().step(loads_leader) == at(START + 300)
        assert (await tick.read_state(leader))["watermark"] == at(START + 310)
        assert await energies(leader) == {("x", 0): 0.5}


async def test_late_lists_are_counted_for_loads_alone(connection: Connection) -> None:
    await write(connection, R("a", START, 6.0, loads=(("x", 6.0, 0.0),)))
    await count(connection)
    await write(
        connection, R("a", START + 60, 6.0, loads=(("x", 12.0, 0.0),)), R("a", START + 90, 6.0, loads=None)
    )
    assert await connection.fetchval("SELECT count(*) FROM late_lists") == 1
    assert await connection.fetchval("SELECT count(*) FROM late_readings") == 2
    await count(connection)
    assert (await energies(connection))[("x", 0)] == 0.1 + 0.8
    assert (await stored(connection, "ven_power_5m", 1))[("a", 0)].used == 500_000_000


async def test_large_energies_of_a_long_hold_are_exact(connection: Connection) -> None:
    """A reading of the greatest power that speaks for a day: its energy so far is beyond 2^53, where not every whole
    number is a double, long before the day is over."""
    await connection.execute("UPDATE holds SET hold = interval '1 day'")
    powers = {"x": 1e6, "y": -999_999.999, "z": 0.001}
    await write(connection, R("a", START, 6.0, loads=tuple((key, kw, 0.0) for key, kw in powers.items())))
    await count(connection, START + 24 * 3600 + 300)
    rows = await connection.fetch("SELECT load_id, sum(used_uwh) AS used FROM load_power_5m GROUP BY 1")
    assert {row["load_id"]: int(row["used"]) for row in rows} == {
        key: round(kw * 86_400e6 / 3.6) for key, kw in powers.items()
    }


@pytest.mark.parametrize("again", [False, True])
async def test_lists_are_counted_with_joins_by_hash(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    await write(connection, R("a", START, 6.0, loads=(("x", 6.0, 0.0),)))
    await tick.Counter().advance(connection, at(START + 900))
    if again:
        await count(connection)
    asked: list[str] = []
    sum_up = sums.sum_up

    async def look(*arguments: Any) -> None:
        asked.append(await connection.fetchval("SHOW enable_nestloop"))
        await sum_up(*arguments)

    monkeypatch.setattr(sums, "sum_up", look)
    if again:
        async with connection.transaction():
            await loads.recount(connection, at(START), at(START + 900), at(START + 3600))
    else:
        assert await loads.LoadCounter().step(connection) is not None
    assert asked == ["off"]
    assert await connection.fetchval("SHOW enable_nestloop") == "on"


@pytest.mark.parametrize(("statement", "width"), [("count_five_minutes", 300), ("count_lists", 600)])
async def test_a_list_counts_on_both_sides_of_five_minutes(
    connection: Connection, statement: str, width: int
) -> None:
    await write(
        connection,
        R("a", START + 200, 7.2, loads=(("x", 7.2, 3.6),)),
        R("a", START + 400, 0.0, loads=(("x", 0.0, 0.0),)),
    )
    await sums.make_months(connection, at(START), at(START + 600))
    for start in range(START, START + 600, width):
        await connection.execute(loads.SQL[statement], at(start), at(start + width))
    assert await energies(connection) == {("x", 0): 0.2, ("x", 300): 0.2}
    covered = await connection.fetch("SELECT covered_us FROM load_power_5m ORDER BY bucket")
    assert [row["covered_us"] for row in covered] == [100_000_000, 300_000_000]


@pytest.mark.parametrize("statement", ["count_lists", "count_five_minutes"])
async def test_lists_are_read_by_their_time_without_statistics(fleet: Connection, statement: str) -> None:
    async with fleet.transaction():
        await fleet.execute(loads.SQL["join_by_hash"])
        plan = await explained(fleet, loads.SQL[statement], at(START + 300), at(START + 600))
    # Once for their times, once for their loads.
    assert raw_rows(plan) == raw_rows(plan, ("ven_load_lists",)) == 2 * FLEET_VENS * 60
    of_lists = [
        n for n in plan if n.get("Relation Name", "").startswith("ven_load_lists") and n["Actual Rows"]
    ]
    assert {n["Node Type"] for n in of_lists} == {"Index Scan"}
    assert {n["Index Name"][-13:] for n in of_lists} == {"_date_bin_idx"}
    # Their loads are added up in a hash table, and not sorted first.
    sums = [n for n in plan if "load_id" in str(n.get("Group Key"))]
    assert [n["Strategy"] for n in sums] == ["Hashed"]


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("statement", ["count_lists", "count_five_minutes", "recount_loads"])
async def test_lists_come_ven_by_ven(fleet: Connection, statement: str, analyzed: bool) -> None:
    """From a hash table of lists: from one of VENs they would come in the order of time, and adding up takes twice as
    long."""
    async with fleet.transaction():
        if analyzed:
            await fleet.execute("ANALYZE ven_load_lists; ANALYZE loads_open; ANALYZE late_lists")
        await fleet.execute(loads.SQL["join_by_hash"])
        plan = await explained(fleet, loads.SQL[statement], at(START), at(START + 300))
    joins = [n for n in plan if n.get("Join Type") == "Inner" and n["Actual Rows"] == FLEET_VENS * 60]
    hashed = [child for join in joins for child in join["Plans"] if child["Node Type"] == "Hash"]
    assert [n["Actual Rows"] for n in hashed] == [FLEET_VENS * 60]


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("statement", ["count_lists", "count_five_minutes"])
async def test_open_lists_are_looked_up_by_their_key(
    fleet: Connection, statement: str, analyzed: bool
) -> None:
    """One row a VEN is read: without its key, each would be looked for among all lists."""
    assert await loads.LoadCounter().step(fleet) == at(START + 300)
    async with fleet.transaction():
        if analyzed:
            await fleet.execute("ANALYZE ven_load_lists; ANALYZE loads_open")
        await fleet.execute(loads.SQL["join_by_hash"])
        plan = await explained(fleet, loads.SQL[statement], at(START + 300), at(START + 600))
    by_key = [n for n in plan if n.get("Index Name", "").endswith("_pkey") and "lists" in n["Index Name"]]
    assert sum(n["Actual Loops"] for n in by_key) == FLEET_VENS
    assert raw_rows(by_key) == FLEET_VENS
    # Beside them, those of the five minutes: once for their times, once for their loads.
    assert raw_rows(plan) == FLEET_VENS + 2 * FLEET_VENS * 60
