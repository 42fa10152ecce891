"""The answer to a request after an error from the database."""

import asyncpg

from api.web.errors import UnavailableError
from shared.db_errors import MIGRATE, meaning


def unavailable(error: BaseException) -> UnavailableError | None:
    """The UnavailableError for an error of a query; None if the query is wrong, which is our mistake."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return UnavailableError("the query took longer than API_STATEMENT_TIMEOUT: ask for a shorter range")
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        # The api never writes, so the query is wrong.
        return None
    why = meaning(error)
    if why is None:
        return None
    return UnavailableError(why if ":" in why else f"{why}: try again shortly")


def cannot_connect(error: BaseException, role: str) -> UnavailableError:
    """The UnavailableError for an error while connecting, which is never the request's fault. `role`: DB_API_ROLE."""
    if isinstance(error, asyncpg.InvalidParameterValueError):
        # The role or a setting the connection asks for does not exist yet.
        return UnavailableError(MIGRATE)
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return UnavailableError(f"DB_USER may not act as DB_API_ROLE: run `GRANT {role} TO` it")
    return unavailable(error) or UnavailableError("the database refuses the connection: the log says why")
