"""What an error from the database means for the batch in hand."""

from enum import Enum, auto

import asyncpg

from shared.db import UNREACHABLE


class Fault(Enum):
    """What to do about an error."""

    WAIT = auto()  # the database is away, full, read-only, locked or not migrated: keep the batch, try later
    AGAIN = auto()  # chance: try at once
    PARTITION = auto()  # a partition is missing: make it, try at once
    STORED_BEFORE = auto()  # some readings are stored already: leave them out
    ROW = auto()  # one message is to blame: find it


_OF_THE_ROW = ("22", "54")


def classify(error: BaseException) -> Fault:
    """The Fault of an error that a write raised. Whatever is not known to speak of a row waits: that loses
    nothing."""
    match error:
        case asyncpg.DeadlockDetectedError() | asyncpg.SerializationError():
            return Fault.AGAIN
        case asyncpg.CheckViolationError():
            # A missing partition has the same SQLSTATE as a broken check, but names no constraint.
            return Fault.ROW if error.constraint_name else Fault.PARTITION
        case asyncpg.UniqueViolationError():
            table = error.table_name or ""
            return Fault.STORED_BEFORE if table.startswith("ven_telemetry") else Fault.AGAIN
        case asyncpg.PostgresError() if (error.sqlstate or "")[:2] in _OF_THE_ROW:
            return Fault.ROW
        case asyncpg.InterfaceError() if isinstance(error, ValueError):
            # asyncpg itself could not encode a value.
            return Fault.ROW
        case _:
            return Fault.WAIT


_EXPLANATIONS: tuple[tuple[type[BaseException], str], ...] = (
    (asyncpg.UndefinedTableError, "the schema is missing or old: run `ecs-backend migrate`"),
    (asyncpg.UndefinedFunctionError, "the schema is missing or old: run `ecs-backend migrate`"),
    (asyncpg.UndefinedColumnError, "the schema is missing or old: run `ecs-backend migrate`"),
    (asyncpg.DiskFullError, "the database's disk is full"),
    (asyncpg.ReadOnlySQLTransactionError, "the database is read-only"),
    (asyncpg.LockNotAvailableError, "a table is locked"),
    (asyncpg.QueryCanceledError, "a statement was cancelled"),
    (asyncpg.InvalidPasswordError, "the database refuses the login: check DB_USER and DB_PASSWORD"),
    (asyncpg.InvalidAuthorizationSpecificationError, "the database refuses the login: check DB_USER"),
    (asyncpg.InvalidCatalogNameError, "there is no such database: check DB_NAME"),
    (asyncpg.InsufficientPrivilegeError, "the database's user may not write here"),
    (asyncpg.CannotConnectNowError, "the database is starting or stopping"),
    (TimeoutError, "the database does not answer"),
    *((kind, "the database is unreachable") for kind in UNREACHABLE),
)


def blame(error: BaseException) -> str:
    """Why the database refuses one message, for its dead letter; none of the database's own text, which may
    repeat the whole row."""
    if isinstance(error, RecursionError):
        # It was just decodable where the stack was less deep.
        return "the message is nested too deeply"
    constraint = getattr(error, "constraint_name", None)
    if constraint:
        return f"the database cannot hold it: constraint {constraint}"
    state = getattr(error, "sqlstate", None)
    if state:
        return f"the database cannot hold it: SQLSTATE {state}, see PostgreSQL's list of error codes"
    return "the database cannot hold it: the log of ingest says why, at storing_failed"


def explain(error: BaseException) -> str:
    """Why ingest waits, in words for the log and /health; no text of the database's own."""
    for kind, why in _EXPLANATIONS:
        if isinstance(error, kind):
            return why
    return f"the database reports {type(error).__name__}"
