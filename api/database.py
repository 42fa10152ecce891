"""The api's connections: read-only by role and by setting, bounded in number and in time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import asyncpg

from api.db_errors import cannot_connect, unavailable
from api.timestamps import remember_times
from api.web.errors import UnavailableError
from shared.config import Database as DatabaseSettings
from shared.db import UNREACHABLE, Connection, connect_arguments

if TYPE_CHECKING:
    # asyncpg's classes are generic in its stubs only.
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool

_CONNECT_SECONDS = 3.0
# The time to wait for a free connection, and to open one if there is room in the pool.
_ACQUIRE_SECONDS = 4.0
# If a query takes so much longer than statement_timeout, the connection counts as dead.
_GRACE_SECONDS = 3.0
_CLOSE_SECONDS = 5.0
# The client finds out that the server closed a connection only when it uses the connection. If that fails within this
# time, the query is repeated on another connection.
_FOUND_CLOSED_SECONDS = 0.5
_CLOSED = (
    *(asyncpg.ConnectionDoesNotExistError, asyncpg.AdminShutdownError, asyncpg.InternalClientError),
    ConnectionError,
)
# Parameters that the server reports for each session without a question: the session is read-only, and its role is not
# a superuser (without DB_API_ROLE, the login may be one).
_READ_ONLY = (("default_transaction_read_only", "on"),)
_AS_ROLE = (*_READ_ONLY, ("is_superuser", "off"))


class Database:
    """A pool that opens connections when they are needed, so it starts without the database and recovers from its loss.

    If the database cannot be reached or does not answer, methods raise UnavailableError, after `statement_timeout`
    (in s) and 7 s at the latest.
    """

    def __init__(self, settings: DatabaseSettings, statement_timeout: float) -> None:
        self._settings = settings
        self._statement_timeout = statement_timeout
        self._as_opened = _AS_ROLE if settings.api_role else _READ_ONLY
        self._pool: Pool | None = None

    async def open(self) -> None:
        """Make the pool, without connecting yet."""
        server_settings = {
            "application_name": "ecs-api",
            **({"role": self._settings.api_role} if self._settings.api_role else {}),
            "default_transaction_read_only": "on",
            "statement_timeout": str(max(1, round(self._statement_timeout * 1000))),
            "timezone": "UTC",
            "jit": "off",
            # A statement is planned once per connection; partitions are pruned at each execution.
            "plan_cache_mode": "force_generic_plan",
        }
        arguments = connect_arguments(self._settings) | {
            "timeout": min(_CONNECT_SECONDS, self._settings.timeout)
        }
        self._pool = await asyncpg.create_pool(
            **arguments,
            min_size=0,
            max_size=self._settings.pool_max,
            max_inactive_connection_lifetime=0,
            max_cached_statement_lifetime=0,
            server_settings=server_settings,
            reset=_as_it_is,
            init=remember_times,
        )

    async def close(self) -> None:
        """Wait 5 s for the queries under way, then end the connections."""
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._pool.close(), _CLOSE_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    @property
    def in_use(self) -> int:
        """How many connections are in use by requests now."""
        return self._pool.get_size() - self._pool.get_idle_size() if self._pool else 0

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """The rows of a query; raises UnavailableError. If the server had closed the connection, tries another one."""
        began = time.monotonic()
        try:
            return await self._fetch(query, *values)
        except UnavailableError as exc:
            found_closed = isinstance(exc.__cause__, _CLOSED)
            if not found_closed or time.monotonic() - began > _FOUND_CLOSED_SECONDS:
                raise
        return await self._fetch(query, *values)

    async def _fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        async with self._connection() as connection:
            rows: list[asyncpg.Record] = await self._bounded(connection, connection.fetch(query, *values))
            return rows

    async def fetchrow(self, query: str, *values: Any) -> asyncpg.Record | None:
        """The first row of a query, or None; raises UnavailableError."""
        rows = await self.fetch(query, *values)
        return rows[0] if rows else None

    async def _bounded(self, connection: Connection, query: Any) -> Any:
        try:
            async with asyncio.timeout(self._statement_timeout + _GRACE_SECONDS):
                return await query
        except TimeoutError:
            # Otherwise the pool would wait for the query when the connection is returned.
            connection.terminate()
            raise

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        connection = await self._acquire()
        try:
            yield connection
        except (asyncpg.PostgresError, *UNREACHABLE) as exc:
            explained = unavailable(exc)
            if explained is None:
                raise
            raise explained from exc
        finally:
            await self._release(connection)

    async def _acquire(self) -> Any:
        if self._pool is None:
            raise UnavailableError("the api is starting or stopping: try again shortly")
        try:
            return await self._pool.acquire(timeout=_ACQUIRE_SECONDS)
        except TimeoutError as exc:
            if self._pool.get_size() >= self._settings.pool_max and self._pool.get_idle_size() == 0:
                raise UnavailableError("every connection of DB_POOL_MAX is busy: try again shortly") from exc
            raise cannot_connect(exc, self._settings.api_role) from exc
        except (asyncpg.PostgresError, *UNREACHABLE) as exc:
            raise cannot_connect(exc, self._settings.api_role) from exc

    async def _release(self, connection: Any) -> None:
        assert self._pool is not None  # noqa: S101 it was acquired from there
        # A connection that is closed by now raises InterfaceError.
        with suppress(asyncpg.InterfaceError):
            if not _is_as_opened(connection, self._as_opened):
                connection.terminate()
        # If the connection broke after its answer, the pool drops it and opens another.
        with suppress(asyncpg.PostgresError, *UNREACHABLE):
            await self._pool.release(connection, timeout=_GRACE_SECONDS)


def _is_as_opened(connection: Connection, as_opened: tuple[tuple[str, str], ...]) -> bool:
    """Whether the session is still read-only and of the api's role. None of our statements change that, so this only
    guards against a mistake. It replaces asyncpg's reset, which is a second round trip with every request."""
    reported = connection.get_settings()
    return all(getattr(reported, name, value) == value for name, value in as_opened)


async def _as_it_is(_: Connection) -> None:
    """Replaces asyncpg's own reset with nothing: see _is_as_opened."""
