"""What an error from the database means for the request in hand."""

import asyncpg

from api.web.errors import UnavailableError
from shared.db import UNREACHABLE

_MIGRATE = "the database's schema is missing or old: run `ecs-backend migrate`"

# First match wins. Errors that are not here speak of a mistake of ours.
_EXPLANATIONS: tuple[tuple[type[BaseException], str], ...] = (
    (asyncpg.UndefinedTableError, _MIGRATE),
    (asyncpg.UndefinedColumnError, _MIGRATE),
    (asyncpg.UndefinedFunctionError, _MIGRATE),
    (asyncpg.InsufficientPrivilegeError, "the database's user may not read this: run `ecs-backend migrate`"),
    (asyncpg.InvalidPasswordError, "the database refuses the login: check DB_USER and DB_PASSWORD"),
    (asyncpg.InvalidAuthorizationSpecificationError, "the database refuses the login: check DB_USER"),
    (asyncpg.InvalidCatalogNameError, "there is no such database: check DB_NAME"),
    (asyncpg.TooManyConnectionsError, "the database has no connection left: try again shortly"),
    (asyncpg.CannotConnectNowError, "the database is starting or stopping: try again shortly"),
    (asyncpg.QueryCanceledError, "the query took longer than API_STATEMENT_TIMEOUT: ask for a shorter range"),
    (asyncpg.InsufficientResourcesError, "the database is out of memory or disk"),
    (asyncpg.OperatorInterventionError, "the database is stopping: try again shortly"),
    (asyncpg.SerializationError, "the database cancelled the query: try again"),
    (asyncpg.LockNotAvailableError, "a table is locked: try again shortly"),
    *(
        (kind, "the database is unreachable: check DB_HOST and DB_PORT, or try again later")
        for kind in UNREACHABLE
    ),
)


def unavailable(error: BaseException) -> UnavailableError | None:
    """The UnavailableError to raise from an error of a query; None if the error is none of the database's state."""
    for kind, why in _EXPLANATIONS:
        if isinstance(error, kind):
            return UnavailableError(why)
    return None


def cannot_connect(error: BaseException) -> UnavailableError:
    """The UnavailableError to raise from an error while connecting, which never is the request's fault."""
    if isinstance(error, asyncpg.InvalidParameterValueError):
        # The role or a setting the connection asks for does not exist yet.
        return UnavailableError(_MIGRATE)
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return UnavailableError("the database's user may not act as ecs_api: run `GRANT ecs_api TO` it")
    return unavailable(error) or UnavailableError("the database refuses the connection: the log says why")
