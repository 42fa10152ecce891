"""What an error from the database means for the batch in hand."""

import asyncpg
import pytest

from ingest.db_errors import Fault, blame, classify, explain


def error(kind: type[asyncpg.PostgresError], **fields: str) -> asyncpg.PostgresError:
    made = kind("secret text of the database")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("raised", "fault"),
    [
        (error(asyncpg.DeadlockDetectedError), Fault.AGAIN),
        (error(asyncpg.SerializationError), Fault.AGAIN),
        (error(asyncpg.CheckViolationError), Fault.PARTITION),
        (error(asyncpg.CheckViolationError, constraint_name="c"), Fault.ROW),
        (error(asyncpg.UniqueViolationError, table_name="ven_telemetry_20261123"), Fault.STORED_BEFORE),
        (error(asyncpg.UniqueViolationError, table_name="ven_statuses"), Fault.AGAIN),
        (error(asyncpg.InvalidTextRepresentationError), Fault.ROW),
        (error(asyncpg.StatementTooComplexError), Fault.ROW),
        (error(asyncpg.DiskFullError), Fault.WAIT),
        (error(asyncpg.ReadOnlySQLTransactionError), Fault.WAIT),
        (error(asyncpg.LockNotAvailableError), Fault.WAIT),
        (error(asyncpg.AdminShutdownError), Fault.WAIT),
        (error(asyncpg.UndefinedTableError), Fault.WAIT),
        (error(asyncpg.OutOfMemoryError), Fault.WAIT),
        (ConnectionRefusedError(), Fault.WAIT),
        (TimeoutError(), Fault.WAIT),
        (asyncpg.InterfaceError("closed"), Fault.WAIT),
    ],
)
def test_each_error_has_its_treatment(raised: BaseException, fault: Fault) -> None:
    assert classify(raised) is fault


def test_a_value_that_cannot_be_encoded_is_the_messages_fault() -> None:
    class UnencodableError(asyncpg.InterfaceError, ValueError):
        pass

    assert classify(UnencodableError("invalid input")) is Fault.ROW


def test_a_refused_message_is_blamed_by_constraint_or_sqlstate() -> None:
    refused = error(asyncpg.CheckViolationError, constraint_name="positive")
    assert blame(refused) == "the database cannot hold it: constraint positive"
    assert blame(error(asyncpg.UntranslatableCharacterError)).startswith(
        "the database cannot hold it: SQLSTATE 22P05"
    )


def test_the_reason_of_a_wait_says_what_to_do() -> None:
    assert explain(error(asyncpg.UndefinedTableError)).endswith("run `ecs-backend migrate`")
    assert explain(ConnectionRefusedError()) == "the database is unreachable"


def test_no_blame_names_a_class_of_python() -> None:
    assert "Error" not in blame(ValueError("secret"))


@pytest.mark.parametrize(
    "said",
    [
        blame(ValueError("secret")),
        explain(error(asyncpg.DiskFullError)),
        explain(error(asyncpg.UndefinedTableError)),
        explain(error(asyncpg.InvalidPasswordError)),
        explain(error(asyncpg.PostgresError)),
    ],
)
def test_no_explanation_repeats_what_the_database_said(said: str) -> None:
    assert "secret" not in said


def test_nesting_too_deep_for_the_writer_is_called_that() -> None:
    assert blame(RecursionError()) == "the message is nested too deeply"
