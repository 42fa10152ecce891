import re

from shared import advisory_locks
from shared.commands.migrate import DIRECTORY

LISTED = {value for name, value in vars(advisory_locks).items() if name.isupper()}


def test_every_lock_has_a_number_of_its_own() -> None:
    assert len(LISTED) == len([name for name in vars(advisory_locks) if name.isupper()])


def test_every_lock_in_sql_is_in_the_list() -> None:
    folders = [DIRECTORY.parent / name for name in ("api", "ingest", "migrations", "shared")]
    sql = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.sql"))
    taken = {int(number) for number in re.findall(r"advisory\w*lock\w*\((\d+)\)", sql)}
    assert taken
    assert taken <= LISTED
