"""Late readings are counted once each, whoever commits when."""

import pytest

from ingest.partitions import Partitions
from ingest.upkeep import late, loads
from ingest.write.batch import Store
from shared.config import Database
from shared.db import Connection
from tests.ingest.upkeep.support import (
    END,
    FILL,
    START,
    at,
    connecting,
    count,
    explained,
    network,
    stored,
    write,
)
from tests.support.model import R
from tests.support.plans import raw_rows


async def test_a_note_that_commits_after_they_were_read_survives(database: Database) -> None:
    async with connecting(database, 2) as (writer, leader):
        await write(writer, R("a", START, 6.0))
        await count(leader)
        await write(writer, R("a", START + 60, 12.0))
        held = writer.transaction()
        await held.start()
        await write(writer, R("a", START + 120, 60.0))
        # The leader sees and counts the first alone; the second is still its writer's.
        assert await late.redo(leader) == 1
        assert (await network(leader))[0] == pytest.approx((0.1 + 0.8, 300.0))
        await held.commit()
        assert await late.redo(leader) == 1
        assert (await network(leader))[0] == pytest.approx((0.1 + 0.2 + 3.0, 300.0))


async def test_late_readings_of_a_month_never_counted(connection: Connection) -> None:
    await write(connection, R("a", START, 6.0))
    await count(connection)
    await write(connection, R("a", old := START - 29 * 86400, 6.0))
    await count(connection)
    assert min(await network(connection)) == old - START
    assert sum(seconds for _, seconds in (await network(connection)).values()) == 2 * 960
    assert await connection.fetchval("SELECT first_at FROM rollup_state") == at(old)


async def test_a_late_reading_crosses_tiers_and_days(connection: Connection) -> None:
    midnight = START - START % 86400
    await write(connection, R("a", midnight - 3600, 1.0), R("a", max(START, midnight + 3600), 6.0))
    await count(connection)
    await write(connection, R("a", midnight - 60, 36.0))
    await count(connection)
    days = {key: sums.used for key, sums in (await stored(connection, "network_power_15m")).items()}
    crossing = [days[(midnight - START + offset,)] for offset in (-900, 0)]
    assert crossing == [600_000_000, 9_000_000_000], "a minute before midnight, fifteen after it"


async def test_a_row_that_is_not_what_was_counted_is_counted_again(
    connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    readings = [R(v, START + 60 * n, 6.0) for n in range(20) for v in ("a", "b")]
    await write(connection, *readings)
    await count(connection)
    expected = await network(connection)
    for table in ("ven_power_5m", "network_power_1m"):
        await connection.execute(
            f"UPDATE {table} SET used_uwh = used_uwh + 7 WHERE bucket = $1", at(START + 300)
        )
    await write(connection, R("c", START + 310, 0.0))
    await count(connection)
    assert "rollups_differed" not in capsys.readouterr().out, "only what the VEN itself said is compared"
    await write(connection, R("a", START + 301, 6.0))
    await count(connection)
    assert "rollups_differed" in capsys.readouterr().out
    minutes = await network(connection, "network_power_1m")
    assert sum(minutes[300 + 60 * n][0] for n in range(5)) == pytest.approx(expected[300][0])


async def test_notes_beyond_the_watermark_are_left_to_the_tick(connection: Connection) -> None:
    await write(connection, R("a", START, 6.0))
    await count(connection, START + 100)
    await connection.execute("UPDATE rollup_state SET closing = $1", at(START + 200))
    await write(connection, R("a", START + 150, 12.0))
    assert await connection.fetchval("SELECT count(*) FROM late_readings") == 1
    assert await late.redo(connection) == 0
    await count(connection, START + 300)
    assert await connection.fetchval("SELECT count(*) FROM late_readings") == 0
    assert (await network(connection))[0] == pytest.approx((150 * 6 / 3600 + 150 * 12 / 3600, 300.0))


async def test_a_swarm_is_worked_off_in_bounded_steps(connection: Connection) -> None:
    await write(connection, R("a", START, 6.0))
    await count(connection)
    store = Store("swarm", Partitions())
    await write(connection, *(R("a", START + n, 6.0) for n in range(1, 2001)), store=store)
    steps = 0
    while (redone := await late.redo(connection, 300)) > 0:
        assert redone <= 300
        steps += 1
    assert steps == 7
    assert sum(seconds for _, seconds in (await network(connection)).values()) == 2000 + 960
    assert END > START


async def test_a_redo_of_many_vens_goes_through_its_readings_once(connection: Connection) -> None:
    """With so many readings that the planner thinks much of looking up a VEN's."""
    await connection.execute("SELECT make_raw_day(date_bin('1 day', $1, 'epoch'))", at(START))
    await count(connection, START + 600)
    await connection.execute(FILL, at(START), at(START + 200), 4000)
    await connection.execute("INSERT INTO late_readings SELECT ven_id, ts FROM ven_telemetry")
    await late.create_work(connection)
    async with connection.transaction():
        await connection.execute(late.SQL["pick"], 1000)
        await late.find_stretches(connection, at(START + 600))
        plan = await explained(connection, late.SQL["redo"])
    assert [n["Actual Loops"] for n in plan if n.get("Relation Name") == "picked"] == [1]


async def test_a_redo_reads_its_stretch_and_one_reading_before(fleet: Connection) -> None:
    """For VENs, for loads, and for the open rows; a hold before the stretch would be five minutes more."""
    await count(fleet, START + 600)
    for table in ("late_readings", "late_lists"):
        await fleet.execute(f"INSERT INTO {table} VALUES ('v1', $1)", at(START + 400))
    await late.create_work(fleet)
    five_minutes = 60
    async with fleet.transaction():
        await fleet.execute(late.SQL["pick"], 10)
        await late.find_stretches(fleet, at(START + 600))
        assert raw_rows(await explained(fleet, late.SQL["redo"])) == five_minutes + 1
        assert raw_rows(await explained(fleet, late.SQL["reopen"], at(START + 600))) == 1
        await fleet.execute(loads.SQL["forget_lists"])
        await fleet.execute(loads.SQL["delete_loads"])
        found = await explained(fleet, loads.SQL["count_loads"])
        # Once for their times, once for their loads.
        assert raw_rows(found, ("ven_load_lists",)) == 2 * (five_minutes + 1)
        assert raw_rows(await explained(fleet, loads.SQL["reopen_lists"], at(START + 600))) == 1
