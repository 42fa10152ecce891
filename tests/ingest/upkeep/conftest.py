from collections.abc import AsyncIterator

import pytest

from shared.config import Database
from shared.db import Connection
from tests.ingest.upkeep.support import connecting


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with connecting(database) as (made,):
        yield made
