"""Does the leader's counting at once."""

from datetime import datetime

from ingest.upkeep import late, loads, tick
from shared.db import Connection


async def count(connection: Connection, until: datetime) -> None:
    """Count everything before `until`, also late readings and loads."""
    await tick.Counter().advance(connection, until)
    counter = loads.LoadCounter()
    while await late.redo(connection) or await counter.step(connection) or await loads.redo(connection):
        pass
