"""The role the api reads as, DB_API_ROLE: made where it is missing, and given SELECT on every table.

Not a migration: roles belong to the whole server, and a dump that is restored on another one comes without them. Every
run of `migrate` puts right what is missing, and changes nothing where nothing is.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from shared.errors import StartupError
from shared.sql import load_blocks

_SQL = load_blocks(Path(__file__).with_name("api_role.sql"))
# Another database's migrations made it at this moment.
_MADE_MEANWHILE = (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation)

Connection = psycopg.Connection[Any]


def make(connection: Connection, role: str) -> None:
    """Create `role` if it is missing, and let the login act as it; StartupError says what an administrator must do.

    `connection` commits by itself. Existence is looked at first: PostgreSQL checks rights before existence.
    """
    known, joined = state(connection, role)
    try:
        if not known:
            _run(connection, "create", role)
            joined = state(connection, role)[1]
        if not joined:
            _run(connection, "join", role)
    except psycopg.errors.InsufficientPrivilege as exc:
        raise StartupError(request(connection, role)) from exc


def grant_tables(connection: Connection, role: str) -> None:
    """Let `role` read every table and view of the login; nothing if there is no such role."""
    for (table,) in connection.execute(_SQL["unreadable"], {"role": role}).fetchall():
        connection.execute(SQL(_SQL["grant"]).format(table=Identifier(table), role=Identifier(role)))


def state(connection: Connection, role: str) -> tuple[bool, bool]:
    """Whether the role is there, and whether the login may act as it."""
    known, joined = connection.execute(_SQL["state"], {"role": role}).fetchone() or (False, False)
    return known, joined


def _run(connection: Connection, block: str, role: str) -> None:
    with suppress(*_MADE_MEANWHILE):
        connection.execute(SQL(_SQL[block]).format(role=Identifier(role)))


def request(connection: Connection, role: str) -> str:
    """What to ask an administrator for, in one line."""
    known, joined = state(connection, role)
    names = {"role": Identifier(role), "login": Identifier(connection.info.user)}
    create = [] if known else [SQL("CREATE ROLE {role} NOLOGIN")]
    join = [] if joined else [SQL("GRANT {role} TO {login}")]
    statements = SQL("; ").join(each.format(**names) for each in create + join).as_string(connection)
    return (
        f"DB_USER may not make DB_API_ROLE={role}, the role the api reads as: "
        f"ask an administrator of the server to run: {statements}; or set DB_API_ROLE to nothing"
    )
