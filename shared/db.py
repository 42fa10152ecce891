"""Connections to PostgreSQL with the settings' login."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import asyncpg

from shared.certificates import as_file, system_authorities
from shared.config import Database
from shared.errors import EcsError

if TYPE_CHECKING:
    # asyncpg's classes are generic in its stubs only.
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

UTF8 = "UTF8"


class WrongEncodingError(EcsError):
    """The database is not UTF-8, so it cannot hold every text that VENs send."""

    def __init__(self, encoding: str | None) -> None:
        super().__init__(
            f"the database's encoding is {encoding}: make one with ENCODING 'UTF8' TEMPLATE template0 and set DB_NAME"
        )


# Errors that may pass by themselves: the server is away, starting, has no connection left, or fails over.
UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    WrongEncodingError,
)


def cancelled() -> bool:
    """True if this task was cancelled. A failed rollback can replace CancelledError by its own error, so a handler
    that continues must check."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def connect_arguments(settings: Database) -> dict[str, Any]:
    """The arguments with which asyncpg.connect and asyncpg.create_pool reach the database of `settings`."""
    return {
        "host": settings.host,
        "port": settings.port,
        "user": settings.user,
        "password": settings.password,
        "database": settings.name,
        "ssl": settings.sslmode,
        # asyncpg takes the files of certificates from a DSN only.
        "dsn": f"postgresql:///?{urlencode(_certificates(settings))}",
        "timeout": settings.timeout,
    }


async def connect(
    settings: Database, *, application: str, server_settings: Mapping[str, str] | None = None, **options: Any
) -> Connection:
    """One connection, named `application` in pg_stat_activity; raises one of UNREACHABLE or a login error."""
    connection: Connection = await asyncpg.connect(
        **connect_arguments(settings),
        server_settings={"application_name": application, **(server_settings or {})},
        **options,
    )
    encoding = connection.get_settings().server_encoding
    if encoding != UTF8:
        connection.terminate()
        raise WrongEncodingError(encoding)
    return connection


def libpq_arguments(settings: Database) -> dict[str, Any]:
    """The arguments with which psycopg.connect (migrations, `status`) reaches the database of `settings`."""
    return {
        "host": settings.host,
        "port": str(settings.port),
        "user": settings.user,
        "password": settings.password,
        "dbname": settings.name,
        "sslmode": settings.sslmode,
        **_certificates(settings),
        "connect_timeout": str(max(2, round(settings.timeout))),
    }


def _certificates(settings: Database) -> dict[str, str]:
    """The TLS files, by libpq's names. Without a key in the settings, the certificate's file has the key."""
    authorities = settings.ca_cert
    if authorities is None and settings.sslmode in ("verify-ca", "verify-full"):
        authorities = system_authorities()
    key = settings.client_key or settings.client_cert
    given = {"sslrootcert": authorities, "sslcert": settings.client_cert, "sslkey": key}
    return {name: as_file(value) for name, value in given.items() if value}
