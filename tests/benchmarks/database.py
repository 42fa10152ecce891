"""A server of its own for a benchmark."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.commands.migrate import migrate
from shared.config import Database
from shared.embedded.postgres import EmbeddedPostgres
from tests.support.servers import new_database, running, temporary_directory


@contextmanager
def migrated_database() -> Iterator[Database]:
    """A database with this version's schema in a new server, which is stopped at the end."""
    with (
        temporary_directory() as directory,
        running(EmbeddedPostgres(directory / "pg")) as server,
        new_database(server.settings()) as db,
    ):
        migrate(db)
        yield db
