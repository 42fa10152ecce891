"""Lists of loads as rows for COPY, read back by PostgreSQL."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import copy_format
from ingest.receive.decode import describe
from ingest.receive.payloads import WireLoad
from shared.config import Database
from tests.support.servers import connect, new_database

_NOW = 1_790_000_000_000_000

powers = st.one_of(st.none(), st.floats(-1e6, 1e6))
texts = st.one_of(st.none(), st.sampled_from(("", "hvac", "Wärmepumpe")))
loads_by_id = st.dictionaries(
    st.sampled_from("abcdö"),
    st.tuples(texts, texts, st.floats(-1e6, 1e6), powers, powers, powers),
    max_size=4,
)


@pytest.fixture(scope="module")
def connection(postgres: Database, template: str) -> Iterator[psycopg.Connection]:
    with new_database(postgres, template) as database, connect(database) as made:
        made.execute("CREATE TEMPORARY TABLE lists (LIKE ven_load_lists)")
        yield made


def stored(connection: psycopg.Connection, lists: Sequence[Sequence[WireLoad]]) -> list[tuple[object, ...]]:
    """The lists as PostgreSQL has them, a load a row."""
    connection.execute("TRUNCATE lists")
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY lists ({', '.join(copy_format.LIST_COLUMNS)}) FROM STDIN BINARY") as copy:
            copy.write(copy_format.HEADER)
            for n, loads in enumerate(lists):
                key = copy_format.key(f"v{n:02}", _NOW)
                copy.write(copy_format.load_list(key, loads, describe(loads) if loads else None))
            copy.write(copy_format.TRAILER)
        return cursor.execute(
            "SELECT ven_id, s.* FROM lists LEFT JOIN LATERAL unnest(load_ids, load_types, names, used_power_kw,"
            " shed_power_kw, shed_capability_kw, capacity_kw) WITH ORDINALITY AS s ON true ORDER BY ven_id, ordinality"
        ).fetchall()


@settings(max_examples=100, deadline=None)
@given(st.lists(loads_by_id, min_size=1, max_size=8))
def test_lists_come_back_as_they_are(
    connection: psycopg.Connection, given_lists: list[dict[str, tuple[Any, ...]]]
) -> None:
    lists: list[list[WireLoad]] = []
    wanted: list[tuple[Any, ...]] = []
    for n, given_loads in enumerate(given_lists):
        loads = []
        for place, (load_id, (kind, name, used, shed, can, capacity)) in enumerate(given_loads.items(), 1):
            loads.append(
                WireLoad(
                    used,
                    load_id,
                    None,
                    name,
                    kind,
                    capacity_kw=capacity,
                    shed_capability_kw=can,
                    shed_power_kw=shed,
                )
            )
            wanted.append((f"v{n:02}", load_id, kind, name, used, shed, can, capacity, place))
        lists.append(loads)
        if not loads:
            wanted.append((f"v{n:02}", *[None] * 8))
    assert stored(connection, lists) == wanted


@pytest.mark.parametrize("count", [64, 65, 300])
def test_long_lists_come_back_as_they_are(connection: psycopg.Connection, count: int) -> None:
    loads = [WireLoad(n / 7, f"load-{n}", capacity_kw=n / 3 if n else None) for n in range(count)]
    assert [(row[1], row[4], row[7]) for row in stored(connection, [loads])] == [
        (f"load-{n}", n / 7, n / 3 if n else None) for n in range(count)
    ]


def test_descriptions_are_kept_up_to_so_many_bytes(
    connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_format, "_DESCRIPTIONS_BYTES", 2000)
    monkeypatch.setattr(copy_format, "_descriptions", kept := copy_format._Descriptions())
    lists = [[WireLoad(float(n), f"load-{n}", capacity_kw=float(n))] for n in range(100)]
    for _ in range(2):
        assert [row[1] for row in stored(connection, lists)] == [f"load-{n}" for n in range(100)]
        assert 0 < sum(map(len, kept.values())) <= 2000
