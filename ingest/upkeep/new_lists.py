"""Reads new lists of loads once, soon after they are stored.

The first reader of a row marks it as committed, which changes its page. If the first reader is who counts the loads,
minutes later, then PostgreSQL writes each page a second time, and after a checkpoint its image into the WAL as well.
Right after the rows are stored, their page is in memory and has to be written anyway. It changes no result.
docs/decisions/0019-read-samples-while-they-are-in-memory.md has the reasons.
"""

from datetime import datetime
from pathlib import Path

from shared.db import Connection
from shared.sql import compose, load_blocks

SQL = load_blocks(Path(__file__).with_name("new_lists.sql"))

# 512 MiB. After a long pause, for instance while another process led, what is older is hardly in memory any more.
_MOST_PAGES = 65_536


class NewLists:
    """Remembers how far today's lists have been read."""

    def __init__(self) -> None:
        self._partition = ""
        self._pages = 0

    async def read(self, connection: Connection, now: datetime) -> int:
        """Read the lists that were stored since the last call into the partition of `now`, the last _MOST_PAGES at
        most; returns how many. At the first call, none: when they were stored is not known."""
        partition = f"ven_load_lists_{now:%Y%m%d}"
        pages = await connection.fetchval(SQL["pages"], partition)
        if pages is None:
            return 0
        first, known = max(self._pages, pages - _MOST_PAGES), partition == self._partition
        # The last page may still take rows: it is read again.
        self._partition, self._pages = partition, max(0, pages - 1)
        if not known or first >= pages:
            return 0
        read: int = await connection.fetchval(compose(SQL["read"], {"partition": partition}), first, pages)
        return read
