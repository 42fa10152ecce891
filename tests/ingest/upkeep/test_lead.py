"""Who leads, and what is said when that does not go on."""

import asyncio
from types import SimpleNamespace

import pytest

from ingest.database import leader_connection
from ingest.health import State
from ingest.metrics import value
from ingest.upkeep import late, loads
from ingest.upkeep import leader as upkeep
from ingest.upkeep.lead import Lead
from ingest.upkeep.leader import Leader
from ingest.upkeep.tick import NotMigratedError
from shared import db
from shared.config import Dashboard, Database, Retention
from shared.db import Connection
from tests.support.servers import eventually

LOCK = 4711


async def test_one_leads_and_another_takes_over(database: Database) -> None:
    turns: dict[str, list[Connection]] = {"one": [], "other": []}

    def lead(name: str) -> Lead:
        async def work(connection: Connection) -> float:
            turns[name].append(connection)
            return 0.01

        return Lead("test", LOCK, database, State().database, work)

    def leading(name: str) -> bool:
        return len(turns[name]) > 2

    first = asyncio.create_task(lead("one").run())
    await eventually(lambda: leading("one"))
    second = asyncio.create_task(lead("other").run())
    await asyncio.wait([second], timeout=0.2)
    assert not turns["other"]
    first.cancel()
    await asyncio.wait([first])
    await eventually(lambda: leading("other"))
    second.cancel()
    await asyncio.wait([second])


async def test_what_fails_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(_: Connection) -> float:
        return 0.0

    settings = Database(host="h", user="u", password="p", name="n")
    state = State()
    state.database._troubles.clear()
    lead = Lead("test", LOCK, settings, state.database, work)
    for _ in range(2):
        lead._stumble(TimeoutError())
    assert capsys.readouterr().out.count("leader_waits") == 1


async def test_a_database_that_lost_its_state_is_waited_for(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work(_: Connection) -> float:
        raise NotMigratedError("rollup_state is empty: run `ecs-backend migrate`")

    state = State()
    running = asyncio.create_task(Lead("test", LOCK, database, state.database, work).run())
    said: list[str] = []

    def waits() -> bool:
        said.append(capsys.readouterr().out)
        return any("leader_waits" in part for part in said)

    await eventually(waits)
    assert not running.done()
    assert "run `ecs-backend migrate`" in "".join(said)
    running.cancel()
    await asyncio.wait([running])


async def test_every_process_knows_how_many_vens_are_online(database: Database) -> None:
    state = State()
    leader = Leader(database, Retention(), Dashboard(ven_offline_after=960), state)
    connection = await db.connect(database, application="test")
    await connection.execute(
        "INSERT INTO vens (ven_id, first_seen_at, last_seen_at) "
        "SELECT 'v' || n, now(), now() - n * interval '5 minutes' FROM generate_series(0, 9) AS n"
    )
    await leader._look(connection)
    await connection.close()
    assert (value(state.metrics.vens_known), value(state.metrics.vens_online)) == (10, 4)


@pytest.mark.parametrize(("flooded", "steps"), [(False, 4), (True, 1)])
async def test_late_readings_get_a_step_a_turn_in_a_flood(
    monkeypatch: pytest.MonkeyPatch, database: Database, flooded: bool, steps: int
) -> None:
    clock = [100.0]

    async def redo(_: Connection) -> int:
        clock[0] += 0.3
        return 1

    monkeypatch.setattr(late, "redo", redo)
    monkeypatch.setattr(loads, "redo", redo)
    monkeypatch.setattr(upkeep, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    leader = Leader(database, Retention(), Dashboard(), State(), flooded=lambda: flooded)
    connection = await leader_connection(database)
    for turn in (leader._turn, leader._loads_turn):
        began = clock[0]
        await turn(connection)
        assert clock[0] - began == pytest.approx(steps * 0.3)
    await connection.close()


async def test_the_leader_of_loads_reads_new_lists(database: Database) -> None:
    leader = Leader(database, Retention(), Dashboard(), State())
    connection = await leader_connection(database)
    await connection.execute("SELECT make_raw_day(date_bin('1 day', now(), 'epoch'))")
    await leader._loads_turn(connection)
    await connection.execute(
        "INSERT INTO ven_load_lists (ven_id, ts, load_ids, used_power_kw) "
        "SELECT 'v' || n, now(), '{l}', '{1}' FROM generate_series(1, 1000) AS n"
    )
    await leader._loads_turn(connection)
    assert leader._new_lists._pages > 5
    await connection.close()
