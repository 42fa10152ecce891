"""Times go to the database and come back as asyncpg's own, although the api decodes them itself."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from api.database import Database as Pool
from shared import db
from shared.config import Database

TIMES = (
    "epoch",
    "2000-01-01 00:00+00",
    "1999-12-31 23:59:59.999999+00",
    "2026-03-29 03:00:00.000001+02",
    "0001-01-01 00:00+00",
    "9999-12-31 23:59:59.999999+00",
)
MOMENT = datetime(2026, 7, 10, 12, 0, 0, 1, timezone(timedelta(hours=5, minutes=45)))


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    made = Pool(database, 5)
    await made.open()
    yield made
    await made.close()


async def test_times_are_decoded_as_asyncpg_does(pool: Pool, database: Database) -> None:
    query = "SELECT at::timestamptz, NULL::timestamptz FROM unnest($1::text[]) WITH ORDINALITY AS t (at, n) ORDER BY n"
    plain = await db.connect(database, application="plain")
    try:
        assert await pool.fetch(query, TIMES) == await plain.fetch(query, TIMES)
    finally:
        await plain.close()


async def test_infinite_times_are_the_ends_of_the_calendar(pool: Pool) -> None:
    (row,) = await pool.fetch("SELECT '-infinity'::timestamptz, 'infinity'::timestamptz")
    assert tuple(row) == (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


async def test_times_of_any_zone_are_sent_whole(pool: Pool) -> None:
    (row,) = await pool.fetch(
        "SELECT $1::timestamptz, $2::timestamptz[], $3::timestamptz", MOMENT, [MOMENT, MOMENT], None
    )
    assert tuple(row) == (MOMENT, [MOMENT, MOMENT], None)
    assert row[0].tzinfo is UTC
