"""What the leader says when it cannot go on; what it does is tests/ingest/upkeep/test_rollup.py's subject."""

import pytest

from ingest.health import Asker, DatabaseHealth, State
from ingest.upkeep.leader import Leader
from shared.config import Database, Retention


async def test_a_slow_statement_is_said_once_if_the_database_is_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = State(database=DatabaseHealth({}))
    leader = Leader(Database(host="h", user="u", password="p", name="n"), Retention(), state)
    for _ in range(2):
        await leader._stumble(TimeoutError())
    assert capsys.readouterr().out.count("leader_waits") == 1
    state.database.failed(Asker.PROBE, OSError())
    capsys.readouterr()
    await leader._stumble(ConnectionRefusedError())
    assert "leader_waits" not in capsys.readouterr().out
