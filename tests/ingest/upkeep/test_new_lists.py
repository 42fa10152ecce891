"""New lists of loads are read once, while their pages are in memory, so that counting them changes no page."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from ingest.upkeep import new_lists
from ingest.upkeep.new_lists import NewLists
from shared.db import Connection
from tests.ingest.upkeep.support import explained

NOW = datetime(2026, 7, 10, 12, tzinfo=UTC)
_seconds = count()


async def store(connection: Connection, lists: int, day: datetime = NOW) -> None:
    await connection.execute("SELECT make_raw_day(date_bin('1 day', $1, 'epoch'))", day)
    await connection.execute(
        "INSERT INTO ven_load_lists (ven_id, ts, load_ids, used_power_kw) "
        "SELECT 'v' || n, $1::timestamptz + $2::integer * interval '1 s', '{l}', '{1}' "
        "FROM generate_series(1, $3) AS n",
        day,
        next(_seconds),
        lists,
    )


async def changed_pages(connection: Connection) -> int:
    """How many pages the next reader of all lists changes, once a checkpoint has written what was stored."""
    await connection.execute("CHECKPOINT")
    plan = await explained(connection, "SELECT count(*) FROM ven_load_lists")
    return int(plan[0]["Shared Dirtied Blocks"])


async def test_each_list_is_read_once(connection: Connection) -> None:
    new = NewLists()
    assert await new.read(connection, NOW) == 0
    await store(connection, 1000)
    assert await new.read(connection, NOW) == 0
    for _ in range(2):
        await store(connection, 1000)
        # With what was on the last page before.
        assert 1000 <= await new.read(connection, NOW) < 1200
    assert await new.read(connection, NOW) < 200


@pytest.mark.usefixtures("superuser")
async def test_who_comes_later_changes_no_page(connection: Connection) -> None:
    new = NewLists()
    await store(connection, 0)
    await new.read(connection, NOW)
    await store(connection, 1000)
    await new.read(connection, NOW)
    assert await changed_pages(connection) == 0
    await store(connection, 1000)
    assert await changed_pages(connection) > 5


async def test_the_next_day_is_read_from_its_first_page(connection: Connection) -> None:
    new, tomorrow = NewLists(), NOW + timedelta(days=1)
    await store(connection, 1000)
    await new.read(connection, NOW)
    await store(connection, 0, tomorrow)
    assert await new.read(connection, tomorrow) == 0
    await store(connection, 100, tomorrow)
    assert await new.read(connection, tomorrow) == 100


async def test_after_a_long_pause_the_last_pages_are_read(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = NewLists()
    await store(connection, 0)
    await new.read(connection, NOW)
    await store(connection, 1000)
    monkeypatch.setattr(new_lists, "_MOST_PAGES", 2)
    assert 0 < await new.read(connection, NOW) < 300
