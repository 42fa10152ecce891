"""Makes the role that the api reads as (DB_API_ROLE), and grants it SELECT on every table.

This is not a migration, because roles belong to the whole server, and a dump restored on another server comes without
them. Every run of `migrate` adds what is missing, and changes nothing else.
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
    """Create `role` if it is missing, and let the login act as it. Raises StartupError that says what an administrator
    must do.

    `connection` is in autocommit mode. Existence is checked first, because PostgreSQL's CREATE ROLE checks the right to
    create before it checks whether the role exists.
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
    """Let `role` read every table and view of the login; does nothing if there is no such role."""
    for (table,) in connection.execute(_SQL["unreadable"], {"role": role}).fetchall():
        connection.execute(SQL(_SQL["grant"]).format(table=Identifier(table), role=Identifier(role)))


def state(connection: Connection, role: str) -> tuple[bool, bool]:
    """Whether the role exists, and whether the login may act as it."""
    known, joined = connection.execute(_SQL["state"], {"role": role}).fetchone() or (False, False)
    return known, joined


def _run(connection: Connection, block: str, role: str) -> None:
    with suppress(*_MADE_MEANWHILE):
        connection.execute(SQL(_SQL[block]).format(role=Identifier(role)))


def request(connection: Connection, role: str) -> str:
    """One line that says what to ask an administrator for."""
    known, joined = state(connection, role)
    names = {"role": Identifier(role), "login": Identifier(connection.info.user)}
    create = [] if known else [SQL("CREATE ROLE {role} NOLOGIN")]
    join = [] if joined else [SQL("GRANT {role} TO {login}")]
    statements = SQL("; ").join(each.format(**names) for each in create + join).as_string(connection)
    return (
        f"DB_USER may not make DB_API_ROLE={role}, the role the api reads as: "
        f"ask an administrator of the server to run: {statements}; or leave DB_API_ROLE empty"
    )
