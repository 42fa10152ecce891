"""Times as the api gets them from PostgreSQL: aware, in UTC.

asyncpg spends more on decoding a time than on all the sums beside it. Histories of all VENs have the same buckets, so
here a time that has come before is looked up instead.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from shared.db import Connection

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
# Of five minutes, a month has 8,928.
_REMEMBERED = 16_384
# What PostgreSQL sends for -infinity and infinity, and what asyncpg makes of it.
_INFINITE = {
    -(2**63): datetime.min.replace(tzinfo=UTC),
    2**63 - 1: datetime.max.replace(tzinfo=UTC),
}


async def remember_times(connection: Connection) -> None:
    """Make `connection` remember the times that it decodes."""
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_encoded, decoder=_decoded, format="tuple"
    )


def _encoded(moment: datetime) -> tuple[int]:
    return ((moment - _EPOCH) // _US,)


@lru_cache(_REMEMBERED)
def _decoded(since_2000: tuple[int]) -> datetime:
    """The time so many us after the year 2000 began."""
    (us,) = since_2000
    return _INFINITE.get(us) or _EPOCH + us * _US
