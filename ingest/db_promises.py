"""Checks the settings and the clock of the database that the promises of ingest depend on."""

import time
from collections.abc import Iterator
from pathlib import Path

from shared.db import Connection
from shared.sql import load_blocks

_SQL = load_blocks(Path(__file__).with_name("db_promises.sql"))
# Counting goes by the database's clock, and bounds of timestamps by ingest's. If the clocks differ by more, ingest may
# refuse recent readings.
_CLOCK_SECONDS = 2.0


async def doubts(connection: Connection) -> list[str]:
    """Why committed data may be lost, refused or counted late; empty if all is well. Raises what asyncpg raises."""
    asked = time.time()
    row = await connection.fetchrow(_SQL["promises"])
    answered = time.time()
    if row is None:
        return []
    slack = (answered - asked) / 2
    ahead = row["clock"] - (asked + slack)
    return list(_doubts(row["fsync"], row["synchronous_commit"], row["read_only"], ahead, slack))


def _doubts(fsync: str, commit: str, read_only: str, ahead: float, slack: float) -> Iterator[str]:
    if fsync != "on":
        yield "fsync is off: a crash of the database's machine may lose or damage everything; set it to on"
    if commit == "off":
        yield "synchronous_commit is off: a crash of the database loses what was acknowledged; set it to on"
    if read_only == "on":
        yield "the database is read-only: point DB_HOST to the primary"
    if abs(ahead) - slack > _CLOCK_SECONDS:
        which = "ahead of" if ahead > 0 else "behind"
        yield f"the database's clock is {abs(ahead):.1f} s {which} this machine's: let NTP set both"
