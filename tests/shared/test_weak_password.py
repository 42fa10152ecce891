"""A password of the database that anybody would guess is said."""

import pytest

from shared.config import Database
from shared.weak_password import warn_of_weak_password


@pytest.mark.parametrize(
    ("host", "password", "said"),
    [
        ("db", "ecs", True),
        ("db", "house", True),
        ("db", "Zm9vYmFy", False),
        ("/run/postgresql", "ecs", False),
    ],
)
def test_it_is_said_where_others_may_reach_the_server(
    host: str, password: str, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_of_weak_password(Database(host=host, user="house", password=password, name="n"))
    assert ("weak_password" in capsys.readouterr().out) is said
