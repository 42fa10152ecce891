"""A tier more is a row of shared/tiers.py and a migration: counting, histories and retention follow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.database import leader_connection
from shared.config import Database
from tests.support.counting import Counting
from tests.support.servers import connect
from tests.whole.one_more_tier import HAPPENED

ROOT = Path(__file__).resolve().parents[2]
WITH_IT = (
    "tests/whole/one_more_tier.py",
    # Midnight of Kathmandu is not at an hour's end.
    "tests/api/telemetry/test_stats.py::test_the_energy_of_today_begins_at_local_midnight[Asia/Kathmandu]",
)


@pytest.mark.slow
def test_a_tier_more_is_a_row_and_a_migration(postgres: Database) -> None:
    given = {
        name: getattr(postgres, name) for name in ("host", "port", "user", "password", "name", "sslmode")
    }
    server = {f"TEST_DB_{name.upper()}": str(value) for name, value in given.items()}
    if postgres.ca_cert:
        server["TEST_DB_CA_CERT"] = postgres.ca_cert
    pytest_with_it = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.support.hour_tier",
    )
    done = subprocess.run(
        [*pytest_with_it, *WITH_IT],
        cwd=ROOT,
        env={**os.environ, **server},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_a_table_without_its_row_is_left_alone(database: Database) -> None:
    with connect(database) as admin:
        admin.execute((ROOT / "tests/support/hour_tier.sql").read_bytes())
    connection = await leader_connection(database)
    its = Counting(connection)
    await its.empty()
    for what, how in HAPPENED:
        await its.happen(what, how)
    await its.check()
    assert await connection.fetchval("SELECT count(*) FROM network_power_60m") == 0
    await connection.close()
