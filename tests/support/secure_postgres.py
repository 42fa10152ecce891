"""A PostgreSQL that takes TLS and passwords only, with an authority of its own. It is Debian's: the embedded one has no
TLS."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg

from shared.config import Database
from shared.embedded.child import spawn, stop
from tests.support.servers import free_port, temporary_directory, wait_until

_HOST = "localhost"
_SUPERUSER, _PASSWORD = "postgres", "a secret word"
# This user logs in with a certificate, and has no password.
CERTIFIED = "certified"
_RULES = f"""\
hostssl all {CERTIFIED} all cert
hostssl all all all scram-sha-256
"""


class SecurePostgres:
    """The server, its `authority`, `another` that has signed nothing, and `client`, the certificate of CERTIFIED."""

    def __init__(self, directory: Path, programs: Path, options: Mapping[str, str]) -> None:
        self.port = free_port()
        self.authority, self.another = directory / "authority.pem", directory / "another.pem"
        self.client, self.client_key = directory / "client.pem", directory / "client-key.pem"
        self._directory, self._programs, self._options = directory, programs, options
        self._user = "postgres" if os.geteuid() == 0 else None
        self._make_certificates()
        self._initialize()
        self.process = spawn(
            [programs / "postgres", "-D", directory / "data"],
            log=directory / "log",
            cwd=directory,
            user=self._user,
            farewell=signal.SIGINT,
        )

    def settings(self, sslmode: str = "verify-full", **changes: object) -> Database:
        """How to reach it as the superuser, trusting its authority."""
        base = Database(
            host=_HOST, port=self.port, user=_SUPERUSER, password=_PASSWORD, name="postgres", timeout=1
        )
        return msgspec.structs.replace(base, sslmode=sslmode, **{"ca_cert": str(self.authority), **changes})

    def answers(self) -> bool:
        try:
            psycopg.connect(
                host=_HOST, port=self.port, user=_SUPERUSER, password=_PASSWORD, dbname="postgres"
            ).close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_certificates(self) -> None:
        for name in ("authority", "another"):
            self._openssl("req", "-x509", *_new_key(name), "-out", f"{name}.pem", "-subj", f"/CN={name}")
        (self._directory / "names").write_text(f"subjectAltName=DNS:{_HOST}")
        for name, subject in (("server", _HOST), ("client", CERTIFIED)):
            self._openssl("req", *_new_key(name), "-out", f"{name}.csr", "-subj", f"/CN={subject}")
            authority = ("-CA", "authority.pem", "-CAkey", "authority-key.pem", "-CAcreateserial")
            extensions = ("-extfile", "names") if name == "server" else ()
            self._openssl(
                "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *authority, *extensions
            )

    def _initialize(self) -> None:
        password = self._directory / "password"
        password.write_text(_PASSWORD)
        if self._user is not None:
            for path in (self._directory, *self._directory.iterdir()):
                shutil.chown(path, self._user, self._user)
        command: list[str | Path] = [
            self._programs / "initdb",
            "-D",
            "data",
            "-U",
            _SUPERUSER,
            "--pwfile",
            password,
            "-N",
        ]
        options = ["-E", "UTF8", "--locale", "C", "-A", "scram-sha-256"]
        subprocess.run(
            [*command, *options],
            cwd=self._directory,
            user=self._user,
            group=self._user,
            check=True,
            capture_output=True,
        )
        data = self._directory / "data"
        (data / "pg_hba.conf").write_text(_RULES)
        with (data / "postgresql.conf").open("a") as config:
            config.write(
                f"port = {self.port}\nlisten_addresses = '{_HOST}, 127.0.0.1'\nunix_socket_directories = ''\n"
                f"fsync = off\nssl = on\nssl_ca_file = '{self.authority}'\n"
                f"ssl_cert_file = '{self._directory}/server.pem'\n"
                f"ssl_key_file = '{self._directory}/server-key.pem'\n"
            )
            config.writelines(f"{name} = {value}\n" for name, value in self._options.items())

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._directory, check=True, capture_output=True)


def _new_key(name: str) -> tuple[str, ...]:
    return "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}-key.pem"


def programs() -> Path | None:
    """Where a PostgreSQL with TLS and its initdb are, if openssl is there too."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return found[-1] if found and shutil.which("openssl") else None


@contextmanager
def secure_postgres(where: Path, options: Mapping[str, str] | None = None) -> Iterator[SecurePostgres]:
    """A running server, with its programs from `where` and `options` of postgresql.conf."""
    with temporary_directory() as directory:
        server = SecurePostgres(directory, where, options or {})
        try:
            wait_until(server.answers, 30, (directory / "log").read_text)
            yield server
        finally:
            stop(server.process, signal.SIGINT, timeout=30)
