"""Partitions of the raw tables, by UTC day: made ahead, and on demand for any day the contract accepts."""

from collections.abc import Iterable
from pathlib import Path

from shared.db import Connection
from shared.sql import load_blocks

SQL = load_blocks(Path(__file__).with_name("partitions.sql"))

DAY_US = 86_400_000_000


class TooOldError(Exception):
    """Readings are older than `raw_from` (µs since the epoch): the partitions of their days are counted and dropped."""

    def __init__(self, raw_from: int) -> None:
        super().__init__(raw_from)
        self.raw_from = raw_from


class Partitions:
    """Remembers which days have partitions."""

    def __init__(self) -> None:
        self._made: set[int] = set()

    def forget(self) -> None:
        """Forget which days have partitions, because another process may have dropped some."""
        self._made.clear()

    async def ensure(self, connection: Connection, times: Iterable[int]) -> None:
        """Make the missing partitions of the days of `times` (µs since the epoch), outside a transaction.

        Raises TooOldError for a day whose raw rows are no longer taken.
        """
        for day in sorted({ts // DAY_US for ts in times} - self._made):
            if not await connection.fetchval(SQL["make_raw_day"], day * DAY_US):
                raise TooOldError(await connection.fetchval(SQL["raw_from"]))
            self._made.add(day)
