import asyncpg
import pytest

from shared.db_errors import MIGRATE, meaning


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (asyncpg.UndefinedTableError("x"), MIGRATE),
        (asyncpg.InvalidPasswordError("x"), "the database refuses the login: check DB_USER and DB_PASSWORD"),
        (asyncpg.DiskFullError("x"), "the database's disk is full"),
        (asyncpg.OutOfMemoryError("x"), "the database is out of memory or disk"),
        (asyncpg.QueryCanceledError("x"), "a statement was cancelled"),
        (asyncpg.AdminShutdownError("x"), "the database is stopping"),
        (TimeoutError(), "the database does not answer"),
        (ConnectionRefusedError(), "the database is unreachable"),
    ],
)
def test_the_nearest_meaning_counts(error: BaseException, means: str) -> None:
    assert meaning(error) == means


def test_an_error_of_a_row_says_nothing_of_the_database() -> None:
    assert meaning(asyncpg.UniqueViolationError("x")) is None
