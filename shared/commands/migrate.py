"""Bring the database's schema to this version (or back), with yoyo."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

import psycopg
import yoyo

from shared import advisory_locks, installation
from shared.config import Database
from shared.db import libpq_arguments
from shared.errors import StartupError
from shared.logs import get_logger

log = get_logger(__name__)

DIRECTORY = installation.data("migrations")
_RETRY_SECONDS = 0.5


def migration_ids() -> list[str]:
    """Names of the migrations of this version, in the order they apply."""
    return sorted(path.stem for path in DIRECTORY.glob("*.sql") if not path.stem.endswith(".rollback"))


def migrate(settings: Database, rollback: int = 0) -> list[str]:
    """Apply what is missing, or roll back the newest `rollback` migrations; returns their names.

    Waits for a server that is still starting, for DB_TIMEOUT at most, then raises StartupError.
    Two at once take turns by an advisory lock, which PostgreSQL releases if its holder dies. Under that lock,
    yoyo's own lock row is cleared: a killed process leaves it behind.
    """
    _wait_until_reachable(settings)
    with _alone(settings), yoyo.get_backend(_yoyo_uri(settings)) as backend:
        backend.break_lock()
        known = yoyo.read_migrations(str(DIRECTORY))
        if rollback:
            chosen = backend.to_rollback(known)[:rollback]
            backend.rollback_migrations(chosen)
        else:
            chosen = backend.to_apply(known)
            backend.apply_migrations(chosen)
        names = [migration.id for migration in chosen]
    log.info("migrated", rolled_back=bool(rollback), migrations=names)
    return names


def _yoyo_uri(settings: Database) -> str:
    return f"postgresql+psycopg:///?{urlencode(libpq_arguments(settings))}"


def _wait_until_reachable(settings: Database) -> None:
    deadline = time.monotonic() + settings.timeout
    said = False
    while True:
        try:
            psycopg.connect(**libpq_arguments(settings)).close()
        except psycopg.OperationalError as exc:
            if time.monotonic() >= deadline:
                raise StartupError(
                    f"no database at DB_HOST={settings.host} DB_PORT={settings.port} within "
                    f"DB_TIMEOUT={settings.timeout:g} s: {str(exc).strip().splitlines()[-1]}"
                ) from exc
            if not said:
                log.warning("waiting_for_database", host=settings.host, port=settings.port)
                said = True
            time.sleep(_RETRY_SECONDS)
        else:
            return


@contextmanager
def _alone(settings: Database) -> Iterator[None]:
    with psycopg.connect(**libpq_arguments(settings), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [advisory_locks.MIGRATE])
        yield
