"""`make test-matrix`: the suite on every kind of PostgreSQL that this machine has.

    python -m tests.matrix [--only NAME] [arguments of pytest]

embedded: the wheel's. containers: postgres:18 and eclipse-mosquitto:2, where Docker answers. superuser, owner: Debian's
PostgreSQL, with TLS whose certificate is checked, and passwords; as a superuser, and as a login that may make databases
and nothing else, with the api's role granted before. Tests that need a superuser are left out there.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from shared.config import Database
from tests.support import secure_postgres, servers

_NO_DOCKER = {"TEST_DOCKER": "no"}
_OWNER, _PASSWORD = "house", "another secret word"
_OWNERS = (
    f"CREATE ROLE {_OWNER} LOGIN CREATEDB PASSWORD '{_PASSWORD}'",
    "CREATE ROLE ecs_api NOLOGIN",
    f"GRANT ecs_api TO {_OWNER}",
    f"CREATE DATABASE {_OWNER} OWNER {_OWNER}",
)


@contextmanager
def _embedded() -> Iterator[Mapping[str, str] | str]:
    yield _NO_DOCKER


@contextmanager
def _containers() -> Iterator[Mapping[str, str] | str]:
    yield {} if servers.docker_answers() else "no Docker answers"


@contextmanager
def _superuser() -> Iterator[Mapping[str, str] | str]:
    with _secured() as server:
        yield server if isinstance(server, str) else _environment(server.settings())


@contextmanager
def _owner() -> Iterator[Mapping[str, str] | str]:
    with _secured() as server:
        if isinstance(server, str):
            yield server
            return
        for statement in _OWNERS:
            servers.execute(server.settings(), statement)
        yield _environment(server.settings(user=_OWNER, password=_PASSWORD, name=_OWNER))


@contextmanager
def _secured() -> Iterator["secure_postgres.SecurePostgres | str"]:
    where = secure_postgres.programs()
    if where is None:
        yield "needs openssl and Debian's package postgresql"
        return
    with secure_postgres.secure_postgres(where, servers.QUICK) as server:
        yield server


def _environment(settings: Database) -> dict[str, str]:
    given = servers.as_environment(settings)
    names = ("HOST", "PORT", "USER", "PASSWORD", "NAME", "SSLMODE", "CA_CERT")
    return {**_NO_DOCKER, **{f"TEST_DB_{name}": given[f"DB_{name}"] for name in names}}


_PLACES = {"embedded": _embedded, "containers": _containers, "superuser": _superuser, "owner": _owner}


def main() -> int:
    """0 if every place passed, or is not here; 1 otherwise."""
    parser = argparse.ArgumentParser(prog="make test-matrix", description=__doc__)
    parser.add_argument("--only", choices=_PLACES, action="append", help="this place (may be given again)")
    options, rest = parser.parse_known_args()
    table, failed = Table("PostgreSQL", "result", "s", title="make test-matrix"), False
    for name in options.only or _PLACES:
        began = time.monotonic()
        with _PLACES[name]() as environment:
            if isinstance(environment, str):
                table.add_row(name, f"not run: {environment}", "")
                continue
            command = [sys.executable, "-m", "pytest", *rest]
            code = subprocess.run(command, env={**os.environ, **environment}).returncode
        failed |= code != 0
        table.add_row(name, "passed" if code == 0 else f"failed ({code})", f"{time.monotonic() - began:.0f}")
    Console().print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
