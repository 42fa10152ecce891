"""Errors of PostgreSQL and libpq in one line."""

import psycopg


def one_line(error: psycopg.Error) -> str:
    """The reason of the error, without details, which may repeat rows, and without libpq's hints.

    If a host has several addresses, it is the reason of the last one.
    """
    # Hints, such as "Is the server running locally …?", are lines that begin with a tab.
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("\t")]
    return error.diag.message_primary or (lines[-1] if lines else type(error).__name__)
