"""The project's SQL files."""

from collections import Counter
from pathlib import Path

import pytest

from shared.sql import load_blocks

_ROOT = Path(__file__).parents[2]
_FOLDERS = ("api", "fixtures", "ingest", "migrations", "shared", "tests")


def test_every_sql_file_is_ascii() -> None:
    # psycopg sends migrations in the database's encoding, so that one letter in a comment may fail there.
    files = [path for folder in _FOLDERS for path in (_ROOT / folder).rglob("*.sql")]
    assert len(files) > 20
    assert [path for path in files if not path.read_bytes().isascii()] == []


@pytest.mark.parametrize("package", ["api", "ingest", "shared"])
def test_a_block_name_stands_once_in_a_package(package: str) -> None:
    blocks = Counter(name for path in (_ROOT / package).rglob("*.sql") for name in load_blocks(path))
    assert len(blocks) > 10
    assert [name for name, times in blocks.items() if times > 1] == []
