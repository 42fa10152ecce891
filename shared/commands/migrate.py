"""Brings the database's schema to this version, or back, with yoyo."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import yoyo

from shared import advisory_locks, installation
from shared.commands import api_role
from shared.commands.libpq import one_line
from shared.config import Database
from shared.db import UTF8, WrongEncodingError, libpq_arguments
from shared.errors import StartupError
from shared.logs import get_logger
from shared.sql import load_blocks

log = get_logger(__name__)

DIRECTORY = installation.data("migrations")
_SQL = load_blocks(Path(__file__).with_name("migrate.sql"))
_RETRY_SECONDS = 0.5


def migration_ids() -> list[str]:
    """The names of this version's migrations, in the order in which they are applied."""
    return sorted(path.stem for path in DIRECTORY.glob("*.sql") if not path.stem.endswith(".rollback"))


def migrate(settings: Database, rollback: int = 0) -> list[str]:
    """Apply the missing migrations, or roll back the newest `rollback` migrations; returns their names.

    Waits at most DB_TIMEOUT for a server that is still starting. Raises StartupError after that, or if the login lacks
    a right. An advisory lock lets only one process migrate at a time; PostgreSQL releases it if the process dies. Under
    that lock, yoyo's own lock row is deleted, because a killed process leaves it behind.
    """
    _wait_until_reachable(settings)
    try:
        with _alone(settings) as connection:
            check_ground(connection, settings)
            if settings.api_role and not rollback:
                api_role.make(connection, settings.api_role)
            names = _run(settings, rollback)
            api_role.grant_tables(connection, settings.api_role)
    except psycopg.Error as exc:
        raise StartupError(f"the database refuses the migrations: {one_line(exc)}") from exc
    log.info("migrated", rolled_back=bool(rollback), migrations=names)
    return names


def _run(settings: Database, rollback: int) -> list[str]:
    with yoyo.get_backend(_yoyo_uri(settings)) as backend:
        backend.break_lock()
        known = yoyo.read_migrations(str(DIRECTORY))
        if rollback:
            chosen = backend.to_rollback(known)[:rollback]
            backend.rollback_migrations(chosen)
        else:
            chosen = backend.to_apply(known)
            backend.apply_migrations(chosen)
        return [migration.id for migration in chosen]


def check_ground(connection: psycopg.Connection[Any], settings: Database) -> None:
    """Raise EcsError with one line if migrations cannot run in this database, or with this login."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != UTF8:
        raise WrongEncodingError(encoding)
    may_create, owner = connection.execute(_SQL["rights"]).fetchone() or (False, None)
    if owner is not None:
        raise StartupError(
            f"the tables in DB_NAME={settings.name} belong to {owner}, and DB_USER={settings.user} may not change "
            f"them: run migrate as {owner}"
        )
    if not may_create:
        raise StartupError(
            f"DB_USER={settings.user} may not make tables in DB_NAME={settings.name}: ask an administrator to make "
            f"it the database's owner: ALTER DATABASE {settings.name} OWNER TO {settings.user}"
        )


def _yoyo_uri(settings: Database) -> str:
    return f"postgresql+psycopg:///?{urlencode(libpq_arguments(settings))}"


def _wait_until_reachable(settings: Database) -> None:
    deadline = time.monotonic() + settings.timeout
    said = None
    while True:
        try:
            psycopg.connect(**libpq_arguments(settings)).close()
        except psycopg.OperationalError as exc:
            why = one_line(exc)
            if time.monotonic() >= deadline:
                raise StartupError(
                    f"no database at DB_HOST={settings.host} DB_PORT={settings.port} within "
                    f"DB_TIMEOUT={settings.timeout:g} s: {why}"
                ) from exc
            if why != said:
                log.warning("waiting_for_database", why=why, host=settings.host, port=settings.port)
                said = why
            time.sleep(_RETRY_SECONDS)
        else:
            return


@contextmanager
def _alone(settings: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**libpq_arguments(settings), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [advisory_locks.MIGRATE])
        yield connection
