"""What to do with a batch after an error from the database."""

from enum import Enum, auto

import asyncpg

from shared.db_errors import meaning
from shared.errors import EcsError


class StaleMemoryError(EcsError):
    """What this process remembers of the database is no longer true, because another program changed the database."""


class RefusesEverythingError(EcsError):
    """The database refuses every message, even a known good one."""

    def __init__(self, refusal: Exception) -> None:
        super().__init__(
            f"the database refuses every message ({type(refusal).__name__}): compare its tables with a database "
            "that `ecs-backend migrate` made"
        )


class Fault(Enum):
    """What to do about an error."""

    WAIT = auto()  # the database is away, full, read-only, locked or not migrated: keep the batch, try later
    AGAIN = auto()  # a deadlock or the like, or stale memory: try again at once
    PARTITION = auto()  # a partition is missing: make it, try again at once
    STORED_BEFORE = auto()  # some readings are stored already: leave them out, try again at once
    ROW = auto()  # one message causes it (unless the database refuses every message): find that message


_OF_THE_ROW = ("22", "54")


def classify(error: BaseException) -> Fault:
    """The Fault of an error that a write raised. Unknown errors mean WAIT, because waiting loses nothing."""
    match error:
        case asyncpg.DeadlockDetectedError() | asyncpg.SerializationError() | StaleMemoryError():
            return Fault.AGAIN
        case asyncpg.CheckViolationError():
            # PostgreSQL reports a missing partition with the SQLSTATE of a violated CHECK, but names no constraint.
            return Fault.ROW if error.constraint_name else Fault.PARTITION
        case asyncpg.UniqueViolationError():
            table = error.table_name or ""
            return Fault.STORED_BEFORE if table.startswith("ven_telemetry") else Fault.AGAIN
        case asyncpg.PostgresError() if (error.sqlstate or "")[:2] in _OF_THE_ROW:
            return Fault.ROW
        case asyncpg.InterfaceError() if isinstance(error, ValueError):
            # Raised by asyncpg when it cannot encode a value.
            return Fault.ROW
        case _:
            return Fault.WAIT


def blame(error: BaseException) -> str:
    """Why the database refuses one message, for its dead letter. The database's own text is left out, because it may
    repeat the whole row."""
    if isinstance(error, RecursionError):
        # The message could be decoded where the stack was less deep, but not here.
        return "the message is nested too deeply"
    constraint = getattr(error, "constraint_name", None)
    if constraint:
        return f"the database cannot hold it: constraint {constraint}"
    state = getattr(error, "sqlstate", None)
    if state:
        return f"the database cannot hold it: SQLSTATE {state}, see PostgreSQL's list of error codes"
    return "the database cannot hold it: the log of ingest says why, at storing_failed"


def explain(error: BaseException) -> str:
    """Why ingest waits for the database, in words for the log and /health, without the database's own text."""
    if isinstance(error, EcsError):
        return str(error)
    return meaning(error) or f"the database reports {type(error).__name__}"
