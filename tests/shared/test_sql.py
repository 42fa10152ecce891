"""The project's SQL files."""

from pathlib import Path

_ROOT = Path(__file__).parents[2]
_FOLDERS = ("api", "fixtures", "ingest", "migrations", "shared", "tests")


def test_every_sql_file_is_ascii() -> None:
    # psycopg sends migrations in the database's encoding, so that one letter in a comment may fail there.
    files = [path for folder in _FOLDERS for path in (_ROOT / folder).rglob("*.sql")]
    assert len(files) > 20
    assert [path for path in files if not path.read_bytes().isascii()] == []
