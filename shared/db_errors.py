"""The meaning of PostgreSQL's errors, and of connection errors, in words for a person: one table for both programs.

The database's own text is not repeated, because it may contain rows.
"""

import ssl

import asyncpg

from shared.db import UNREACHABLE, WrongEncodingError

MIGRATE = "the database's schema is missing or old: run `ecs-backend migrate`"

# The first that matches counts. The text behind a colon says what to do; without a colon, waiting helps.
_MEANINGS: tuple[tuple[type[BaseException], str], ...] = (
    (asyncpg.UndefinedTableError, MIGRATE),
    (asyncpg.UndefinedColumnError, MIGRATE),
    (asyncpg.UndefinedFunctionError, MIGRATE),
    (asyncpg.InsufficientPrivilegeError, "the database's user lacks a right: run `ecs-backend migrate`"),
    (asyncpg.InvalidPasswordError, "the database refuses the login: check DB_USER and DB_PASSWORD"),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "the database refuses the login: check DB_USER, and DB_CLIENT_CERT if it wants one",
    ),
    (asyncpg.InvalidCatalogNameError, "there is no such database: check DB_NAME"),
    (asyncpg.DiskFullError, "the database's disk is full"),
    (asyncpg.TooManyConnectionsError, "the database has no connection left"),
    (asyncpg.InsufficientResourcesError, "the database is out of memory or disk"),
    (asyncpg.ReadOnlySQLTransactionError, "the database is read-only"),
    (asyncpg.LockNotAvailableError, "a table is locked"),
    (asyncpg.QueryCanceledError, "a statement was cancelled"),
    (asyncpg.CannotConnectNowError, "the database is starting or stopping"),
    (asyncpg.OperatorInterventionError, "the database is stopping"),
    (asyncpg.SerializationError, "the database cancelled the transaction"),
    (TimeoutError, "the database does not answer"),
    *((kind, "the database is unreachable") for kind in UNREACHABLE),
)


# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_WRONG_NAME = (62, 64)
# asyncpg raises a ConnectionError with this text.
_NO_TLS = "rejected SSL upgrade"


def meaning(error: BaseException) -> str | None:
    """What `error` says about the state of the database; None if it says nothing about that."""
    match error:
        case WrongEncodingError():
            return str(error)
        case ssl.SSLCertVerificationError(verify_code=code) if code in _WRONG_NAME:
            return f"the database's certificate is for another name than DB_HOST: {error.verify_message}"
        case ssl.SSLCertVerificationError():
            return f"the database's certificate is not signed by DB_CA_CERT: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS to the database fails: {error.reason}; check DB_SSLMODE and DB_CLIENT_CERT"
        case ConnectionError() if _NO_TLS in str(error):
            return "the database does not speak TLS: check DB_PORT and DB_SSLMODE"
        case _:
            return next((why for kind, why in _MEANINGS if isinstance(error, kind)), None)
