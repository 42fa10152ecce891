"""A tick is there as a whole or not at all; what it waits for, and what it does not."""

import asyncio

import pytest

from ingest.upkeep import late, tick, writers
from shared.config import Database
from shared.db import Connection
from tests.ingest.upkeep.support import (
    END,
    FLEET_VENS,
    START,
    at,
    connecting,
    count,
    explained,
    network,
    write,
)
from tests.support.model import R
from tests.support.plans import raw_rows
from tests.support.servers import eventually

HOLD = 960


async def test_a_reading_speaks_until_the_next_or_its_hold(connection: Connection) -> None:
    await write(connection, R("a", START, 6.0), R("a", START + 60, 12.0))
    await count(connection)
    # 6 kW for a minute, then 12 kW for 16 minutes.
    assert sum(kwh for kwh, _ in (await network(connection)).values()) == pytest.approx(0.1 + 3.2)
    assert sum(seconds for _, seconds in (await network(connection)).values()) == 60 + HOLD


async def test_reports_each_quarter_hour_make_a_whole_day(connection: Connection) -> None:
    readings = [R(v, START + 900 * n, 10.0) for n in range(8) for v in ("a", "b", "c")]
    await write(connection, *readings)
    await count(connection)
    quarters = await network(connection, "network_power_15m")
    assert list(quarters.values())[:7] == [(7.5, 2700.0)] * 7, "30 kW, of three VENs all the time"


async def test_nothing_speaks_beyond_the_watermark(connection: Connection) -> None:
    await write(connection, R("a", START, 6.0))
    await tick.Counter().advance(connection, at(START + 90))
    assert await network(connection, "network_power_1m") == {0: (0.1, 60.0), 60: (0.05, 30.0)}


async def test_a_future_reading_counts_when_its_time_has_come(connection: Connection) -> None:
    await write(connection, R("a", START, 6.0), R("a", START + 120, 60.0))
    await tick.Counter().advance(connection, at(START + 60))
    assert await network(connection, "network_power_1m") == {0: (0.1, 60.0)}
    await tick.Counter().advance(connection, at(START + 180))
    assert (await network(connection, "network_power_1m"))[120] == (1.0, 60.0)


async def test_a_tick_that_dies_before_it_moves_did_not_happen(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object) -> None:
        raise asyncio.CancelledError

    async with connecting(database, 2) as (leader, next_leader):
        await write(leader, R("a", START, 6.0), R("a", START + 90, 12.0))
        await tick.Counter().advance(leader, at(START + 30))
        with monkeypatch.context() as patched:
            patched.setattr(tick, "_move", dies)
            with pytest.raises(asyncio.CancelledError):
                await tick.Counter().advance(leader, at(START + 60))
        assert leader.is_closed(), "the lock went with the session"
        assert await network(next_leader, "network_power_1m") == {0: (0.05, 30.0)}
        await tick.Counter().advance(next_leader, at(START + 120))
        assert await network(next_leader, "network_power_1m") == {0: (0.1, 60.0), 60: (0.15, 60.0)}


async def test_a_reader_sees_sums_and_watermark_of_one_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connecting(database, 2) as (leader, reader):
        await write(leader, R("a", START, 6.0))
        await tick.Counter().advance(leader, at(START + 30))
        seen = []
        move = tick._move

        async def read_first(*arguments: object) -> None:
            seen.append(
                (await network(reader, "network_power_1m"), (await tick.read_state(reader))["watermark"])
            )
            await move(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(tick, "_move", read_first)
        await tick.Counter().advance(leader, at(START + 60))
        assert seen == [({0: (0.05, 30.0)}, at(START + 30))], "the tick has added, but not committed"
        assert await network(reader, "network_power_1m") == {0: (0.1, 60.0)}


async def test_a_tick_reads_its_own_readings_alone(fleet: Connection) -> None:
    plan = await explained(fleet, tick.SQL["tick"], at(START + 300), at(START + 310))
    assert raw_rows(plan) == FLEET_VENS * 2


async def test_a_leap_reads_its_own_readings_alone(fleet: Connection) -> None:
    plan = await explained(fleet, tick.SQL["leap"], at(START + 300), at(START + 600))
    assert raw_rows(plan) == FLEET_VENS * 60


async def test_where_counting_begins_is_not_looked_for_again(fleet: Connection) -> None:
    assert raw_rows(await explained(fleet, tick.SQL["begin"], at(START + 310))) == 0


async def test_two_that_count_take_turns(database: Database) -> None:
    async with connecting(database, 2) as (one, other):
        await write(one, *(R("a", START + 10 * n, 6.0) for n in range(60)))
        await asyncio.gather(
            tick.Counter().advance(one, at(END)),
            tick.Counter().advance(other, at(END)),
            return_exceptions=False,
        )
        assert sum(seconds for _, seconds in (await network(one)).values()) == 590 + HOLD


async def test_a_writer_that_spans_the_move_is_waited_for(database: Database) -> None:
    async with connecting(database, 3) as (writer, leader, watcher):
        await write(writer, R("a", START, 6.0))
        held = writer.transaction()
        await held.start()
        # It has stored a row and read the old `closing`, and commits only after that has moved.
        await _insert(writer, "b")
        counting = asyncio.create_task(tick.Counter().advance(leader, at(END)))
        await eventually(lambda: watcher.fetchval("SELECT closing > '-infinity' FROM rollup_state"))
        assert not await watcher.fetchval("SELECT isfinite(watermark) FROM rollup_state")
        await held.commit()
        await counting
        assert sum(seconds for _, seconds in (await network(leader)).values()) == 2 * HOLD


async def test_a_row_is_never_left_out_for_a_leader_that_was_slow(database: Database) -> None:
    """The leader's move is not visible yet when a writer with a later transaction id reads `closing`."""
    async with connecting(database, 2) as (writer, leader):
        await write(writer, R("a", START, 6.0))
        slow = leader.transaction()
        await slow.start()
        await leader.execute(tick.SQL["move_closing"], at(END))
        assert await write(writer, R("b", START, 6.0))
        held = writer.transaction()
        await held.start()
        await _insert(writer, "c")
        assert await writer.fetchval("SELECT closing = '-infinity' FROM rollup_state"), "the old one"
        await slow.commit()
        counting = asyncio.create_task(tick.Counter().advance(leader, at(END)))
        await asyncio.wait([counting], timeout=0.3)
        assert not counting.done(), "the writer is waited for, whatever its transaction's id"
        await held.commit()
        await counting
        assert sum(seconds for _, seconds in (await network(leader)).values()) == 3 * HOLD


async def test_transactions_that_write_elsewhere_are_not_waited_for(database: Database) -> None:
    async with connecting(database, 2) as (stranger, leader):
        await write(leader, R("a", START, 6.0))
        held = stranger.transaction()
        await held.start()
        await stranger.execute("CREATE TABLE elsewhere (n integer)")
        assert await stranger.fetchval("SELECT pg_current_xact_id()::text")
        await asyncio.wait_for(tick.Counter().advance(leader, at(END)), 10)
        assert await network(leader)
        await held.rollback()


async def _insert(connection: Connection, ven_id: str) -> None:
    await connection.execute(
        "INSERT INTO ven_telemetry (ven_id, ts, used_power_kw, shed_power_kw, payload, received_at)"
        " VALUES ($1, to_timestamp($2), 6, 0, '{}', now())",
        ven_id,
        START,
    )


async def test_late_is_what_came_when_its_time_was_counted(connection: Connection) -> None:
    await write(connection, R("a", START, 6.0))
    await count(connection, START + 600)
    await write(connection, R("a", START + 300, 12.0), R("a", START + 601, 6.0))
    assert [row["ts"] for row in await connection.fetch("SELECT ts FROM late_readings")] == [at(START + 300)]
    assert await late.redo(connection) == 1
    assert (await network(connection))[300] == (1.0, 300.0)


@pytest.mark.parametrize(("table", "waits"), [("ven_telemetry", True), ("vens", False)])
async def test_a_prepared_transaction_that_writes_is_waited_for(
    database: Database,
    capsys: pytest.CaptureFixture[str],
    table: str,
    waits: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writers, "_SAY_AFTER_SECONDS", 0.1)
    async with connecting(database, 2) as (writer, leader):
        if await writer.fetchval("SHOW max_prepared_transactions") == "0":
            pytest.skip("the server prepares no transactions")
        await write(writer, R("a", START, 6.0))
        await writer.execute("BEGIN")
        if table == "ven_telemetry":
            await _insert(writer, "b")
        else:
            await writer.execute("INSERT INTO vens (ven_id, first_seen_at) VALUES ('b', now())")
        await writer.execute("PREPARE TRANSACTION 'left behind'")
        counting = asyncio.create_task(tick.Counter().advance(leader, at(END)))
        await asyncio.wait([counting], timeout=1.0)
        assert counting.done() is not waits
        assert ("prepared transaction" in capsys.readouterr().out) is waits, "it is named"
        await writer.execute("COMMIT PREPARED 'left behind'")
        await counting
        assert sum(seconds for _, seconds in (await network(leader)).values()) == (2 if waits else 1) * HOLD
