"""TLS to PostgreSQL, for migrate, ingest and the api alike."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from ingest.database import probe_connection
from shared.commands.migrate import migrate
from shared.config import Database
from shared.db import UNREACHABLE
from shared.db_errors import meaning
from shared.errors import StartupError
from tests.support.api_client import serving
from tests.support.secure_postgres import CERTIFIED, SecurePostgres, programs, secure_postgres
from tests.support.servers import execute


@pytest.fixture(scope="module")
def server() -> Iterator[SecurePostgres]:
    where = programs()
    if where is None:
        pytest.skip("needs openssl and a PostgreSQL with TLS: Debian's package postgresql")
    with secure_postgres(where) as running:
        yield running


async def everything_connects(settings: Database) -> None:
    """migrate, ingest and the api reach it, over TLS."""
    await asyncio.to_thread(migrate, settings)
    connection = await probe_connection(settings)
    try:
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    finally:
        await connection.close()
    async with serving(settings) as api:
        assert (await api.get("/health/db-check")).status_code == 200


async def nothing_connects(settings: Database, says: str) -> None:
    """migrate, ingest and the api say why not, in one line."""
    with pytest.raises(StartupError) as failed:
        await asyncio.to_thread(migrate, settings)
    assert "\n" not in str(failed.value)
    with pytest.raises((asyncpg.PostgresError, *UNREACHABLE)) as caught:
        await probe_connection(settings)
    assert says in str(meaning(caught.value))
    async with serving(settings) as api:
        assert says in await api.detail(503, "/health/db-check")


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
async def test_a_server_that_the_authority_signed_is_trusted(server: SecurePostgres, sslmode: str) -> None:
    await everything_connects(server.settings(sslmode))


async def test_an_authority_may_be_given_as_text(server: SecurePostgres) -> None:
    await everything_connects(server.settings(ca_cert=server.authority.read_text()))
    one_line = server.authority.read_text().replace("\n", "\\n")
    await everything_connects(server.settings(ca_cert=one_line))


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
async def test_a_server_of_another_authority_is_refused(server: SecurePostgres, sslmode: str) -> None:
    await nothing_connects(server.settings(sslmode, ca_cert=str(server.another)), "not signed by DB_CA_CERT")


async def test_without_an_authority_the_systems_count(server: SecurePostgres) -> None:
    await nothing_connects(server.settings(ca_cert=None), "not signed by DB_CA_CERT")


async def test_only_verify_full_looks_at_the_name(server: SecurePostgres) -> None:
    await nothing_connects(server.settings("verify-full", host="127.0.0.1"), "127.0.0.1")
    await everything_connects(server.settings("verify-ca", host="127.0.0.1"))


async def test_a_server_without_tls_is_called_that() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"N")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        away = Database(
            host="127.0.0.1", port=port, user="u", password="p", name="n", sslmode="require", timeout=1
        )
        await nothing_connects(away, "does not speak TLS")


def test_a_wrong_password_is_said_at_once(server: SecurePostgres, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StartupError, match="password authentication failed"):
        migrate(server.settings(password="wrong"))
    first = capsys.readouterr().out.splitlines()[0]
    assert "waiting_for_database" in first
    assert "password authentication failed" in first


@pytest.mark.parametrize("form", ["files", "text", "one file"])
async def test_a_client_certificate_is_shown(server: SecurePostgres, form: str, tmp_path: Path) -> None:
    certificate, key = server.client.read_text(), server.client_key.read_text()
    both = tmp_path / "both.pem"
    both.write_text(certificate + key)
    both.chmod(0o600)
    given = {
        "files": {"client_cert": str(server.client), "client_key": str(server.client_key)},
        "text": {"client_cert": certificate, "client_key": key},
        "one file": {"client_cert": str(both)},
    }[form]
    execute_as_superuser(server, f"CREATE ROLE {CERTIFIED} LOGIN SUPERUSER")
    try:
        await everything_connects(server.settings(user=CERTIFIED, password="none", **given))
    finally:
        execute_as_superuser(server, f"DROP ROLE {CERTIFIED}")


def execute_as_superuser(server: SecurePostgres, statement: str) -> None:
    # The helper of tests leaves the settings of TLS out.
    execute(server.settings("require"), statement)


async def test_a_missing_client_certificate_is_said(server: SecurePostgres) -> None:
    await nothing_connects(server.settings(user=CERTIFIED), "DB_CLIENT_CERT")
