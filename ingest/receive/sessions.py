"""Remembers in the database which filters a session is subscribed to, because MQTT cannot tell.

When a filter is taken out of the settings, the session is still subscribed to it, and the broker would go on queueing
messages for it. So each start compares the remembered filters with the settings, and unsubscribes the others.
"""

from collections.abc import Sequence
from pathlib import Path

from ingest.database import probe_connection
from shared.config import Database
from shared.sql import load_blocks

SQL = load_blocks(Path(__file__).with_name("sessions.sql"))


class Sessions:
    """The filters of one session, by its client id. Methods raise what asyncpg raises, or one of db.UNREACHABLE."""

    def __init__(self, settings: Database, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id

    async def begin(self, filters: Sequence[str]) -> list[str]:
        """Note that the session is subscribed to `filters` too; returns the other filters that it may have."""
        connection = await probe_connection(self._settings)
        try:
            before: list[str] = await connection.fetchval(SQL["read_filters"], self._client_id) or []
            left = [each for each in before if each not in filters]
            await connection.execute(SQL["write_filters"], self._client_id, [*filters, *left])
            return left
        finally:
            connection.terminate()

    async def settle(self, filters: Sequence[str]) -> None:
        """Note that the session is subscribed to exactly `filters`; an empty list: the session has ended."""
        connection = await probe_connection(self._settings)
        try:
            if filters:
                await connection.execute(SQL["write_filters"], self._client_id, list(filters))
            else:
                await connection.execute(SQL["forget_session"], self._client_id)
        finally:
            connection.terminate()
