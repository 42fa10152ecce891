"""The contract as schemathesis reads it: the short form of `python -m tests.torture.api`."""

from pathlib import Path

from shared.config import Database
from tests.support.api_process import running_api
from tests.torture.api import attack, fill

EXAMPLES = 25


def test_every_answer_is_described_and_none_is_a_5xx(tmp_path: Path, database: Database) -> None:
    fill(database)
    with running_api(tmp_path, database) as api:
        done = attack(api.url, tmp_path, EXAMPLES, seed=None)
    assert done.returncode == 0, done.stdout
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅  {phase}" in done.stdout, done.stdout
