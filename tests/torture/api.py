"""Anything that docs/backend-api.yaml allows or forbids, in any order, sent to a real api by schemathesis.

    python -m tests.torture.api --examples 1000

No answer may be a 5xx or one that the contract does not describe; a valid request must be accepted, any other refused.
"""

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path

from api.service.contract import FILE
from shared.commands.migrate import migrate
from shared.config import Database
from shared.embedded.postgres import EmbeddedPostgres
from tests.support.api_data import store
from tests.support.api_process import running_api
from tests.support.model import R
from tests.support.servers import running, temporary_directory

_CONFIG = Path(__file__).with_name("schemathesis.toml")
_HOUR = 3600


def fill(database: Database) -> None:
    """Store telemetry of two VENs that the fixtures list too, of the last hour and of a day ago."""
    now = int(time.time())
    store(
        database,
        [
            R(ven, now - ago, 5.0, 0.5, 2.0, "evt-1", ((f"ld-{ven[4:]}-a", 1.5, 0.5),))
            for ven in ("ven-101", "ven-102")
            for ago in (*range(0, _HOUR, 60), 24 * _HOUR)
        ],
    )


def attack(url: str, directory: Path, examples: int, seed: int | None) -> subprocess.CompletedProcess[str]:
    """Run all checks and phases of schemathesis, also links between operations; seed=None: always the same requests."""
    choice = (
        ["--generation-deterministic"]
        if seed is None
        else ["--generation-database", "none", "--seed", str(seed)]
    )
    command = ["schemathesis.cli", "--config-file", str(_CONFIG), "run", str(FILE), "--url", url]
    options = ["--max-examples", str(examples), "--continue-on-failure", "--no-color"]
    return subprocess.run(
        [sys.executable, "-m", *command, *options, *choice],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def main() -> int:
    """Run what the command line asks for, against servers of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=1000, help="of each operation, and sequences of them")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    with temporary_directory() as directory, running(EmbeddedPostgres(directory / "pg")) as server:
        migrate(server.settings())
        fill(server.settings())
        with running_api(directory, server.settings()) as api:
            done = attack(api.url, directory, options.examples, options.seed)
            print(done.stdout)
            print(f"seed {options.seed}; the api holds {api.rss_mb():.0f} MB")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
