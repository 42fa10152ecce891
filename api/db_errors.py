"""Which answer a request gets after an error from the database."""

import asyncpg

from api.web.errors import UnavailableError
from shared.db_errors import MIGRATE, meaning


def unavailable(error: BaseException) -> UnavailableError | None:
    """The UnavailableError for an error of a query; None if it says nothing of the database's state: our mistake."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return UnavailableError("the query took longer than API_STATEMENT_TIMEOUT: ask for a shorter range")
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        # The api never writes, so this is a query of ours that is wrong.
        return None
    why = meaning(error)
    if why is None:
        return None
    return UnavailableError(why if ":" in why else f"{why}: try again shortly")


def cannot_connect(error: BaseException, role: str) -> UnavailableError:
    """The UnavailableError to raise from an error while connecting, which never is the request's fault. `role`: that
    of DB_API_ROLE."""
    if isinstance(error, asyncpg.InvalidParameterValueError):
        # The role or a setting the connection asks for does not exist yet.
        return UnavailableError(MIGRATE)
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return UnavailableError(f"DB_USER may not act as DB_API_ROLE: run `GRANT {role} TO` it")
    return unavailable(error) or UnavailableError("the database refuses the connection: the log says why")
