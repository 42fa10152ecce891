"""SQL in every place that a client fills in: an answer of ours, no text of the database's, and nothing changed."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from shared.config import Database
from tests.support.api_client import document
from tests.support.api_process import ApiProcess, running_api
from tests.support.servers import execute
from tests.torture.api import fill

ATTACKS = (
    "' OR '1'='1",
    "'; DROP TABLE vens; --",
    "'; UPDATE vens SET used_power_kw = 0; COMMIT; --",
    "ven-101' UNION SELECT rolname, rolpassword FROM pg_authid --",
    "ven-101'||pg_sleep(30)||'",
    "1; SELECT pg_sleep(30)",
    "$1",
    "$$; DELETE FROM vens; $$",
    '"; DELETE FROM vens; --',
    "ven-101'/**/OR/**/1=1#",
    "\\'; DROP TABLE vens; --",
    "E'\\x27'",
    "%27%20OR%201=1",
    "ven-101\0' OR '1'='1",
    "\0",
    "ʼ OR 1=1 --",  # noqa: RUF001 a quote to those who fold letters
    "＇ OR 1＝1 －－",  # noqa: RUF001
    "\u202e'--\ufeff\U0001f4a9",
    "a" * 5000 + "'",
    "{}'\"`;--/*",
    "COPY vens TO PROGRAM 'id'",
)
# Lone surrogates and overlong forms: what no decoder should make a quote of.
BROKEN = ("%ff%fe", "%c0%a7", "%ed%a0%80", "%27%00", "%e0%80%a7OR1", "%")
_DATABASE_TEXT = re.compile(
    r"syntax error|unterminated|invalid (input|byte)|asyncpg|SQLSTATE|PostgresError|does not exist|rolpassword:"
    r"|Traceback|server closed|null character"
)
_TABLES = ("vens", "ven_loads", "ven_telemetry", "ven_load_lists", "rollup_state", "holds", "late_readings")


@pytest.fixture
def api(tmp_path: Path, database: Database) -> Iterator[ApiProcess]:
    fill(database)
    with running_api(tmp_path, database, statement_timeout=5) as running:
        yield running


def contents(database: Database) -> list[tuple[Any, ...]]:
    """A digest of all rows, the tables and the roles there are."""
    digest = "SELECT count(*), md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) FROM {} AS t"
    found = [execute(database, digest.format(table))[0] for table in _TABLES]
    found += execute(
        database, "SELECT relname, relkind FROM pg_class WHERE relkind IN ('r', 'p', 'v') ORDER BY 1"
    )
    return found + execute(database, "SELECT rolname FROM pg_roles ORDER BY 1")


def requests(attack: str) -> Iterator[tuple[str, str, Any]]:
    """Method, path and body of `attack` in each parameter and each field of the contract in turn."""
    for path, item in document()["paths"].items():
        for method in sorted(item.keys() & {"get", "post", "patch", "delete"}):
            names = re.findall(r"\{(\w+)\}", path)
            for name in names:
                filled = path.replace(f"{{{name}}}", quote(attack, safe=""))
                yield method, with_ids(filled), body_of(method)
            for name in (*query_of(item[method]), attack):
                yield method, f"{with_ids(path)}?{urlencode({name: attack})}", body_of(method)
            if method in ("post", "patch"):
                yield from ((method, with_ids(path), body) for body in bodies(attack))


def query_of(operation: Any) -> list[str]:
    """The query parameters of an operation."""
    found = (one.get("$ref", "").rpartition("/")[2] or one["name"] for one in operation.get("parameters", []))
    return [name for name in found if not name.endswith("Id") and name != "file"]


def with_ids(path: str) -> str:
    ids = {"{venId}": "ven-101", "{loadId}": "ld-101-a", "{eventId}": "evt-1", "{file}": "swagger-ui.css"}
    return re.sub(r"\{\w+\}", lambda name: ids[name[0]], path)


def body_of(method: str) -> Any:
    return {"name": "x"} if method in ("post", "patch") else None


def bodies(attack: str) -> Iterator[Any]:
    place = {"lat": 1, "lon": 2}
    yield from ({"name": attack, "location": place}, {"name": attack}, {"type": attack}, {"status": attack})
    yield from (
        {attack: 1},
        {"name": "x", "location": {"lat": attack, "lon": 2}},
        {"amountKw": attack},
        attack,
    )
    yield {"startTime": attack, "endTime": attack, "requestedReductionKw": attack}


async def sent(client: httpx.AsyncClient, method: str, path: str, body: Any) -> None:
    """Send one request and judge the answer."""
    began = time.monotonic()
    content = None if body is None else json.dumps(body).encode()
    answer = await client.request(method, path, content=content)
    where = (method, path[:200], body, answer.status_code, answer.text[:300])
    assert answer.status_code < 500, where
    assert time.monotonic() - began < 10, where
    if answer.is_error:
        assert not _DATABASE_TEXT.search(answer.text), where


async def test_no_statement_gets_in_by_any_parameter_or_field(api: ApiProcess, database: Database) -> None:
    before = contents(database)
    seen = 0
    async with api.client(timeout=30) as client:
        for attack in ATTACKS:
            batch = list(requests(attack))
            seen += len(batch)
            for start in range(0, len(batch), 50):
                await asyncio.gather(*(sent(client, *request) for request in batch[start : start + 50]))
        for broken in BROKEN:
            for path in document()["paths"]:
                await sent(client, "get", re.sub(r"\{\w+\}", broken, path), None)
                await sent(client, "get", f"{with_ids(path)}?start={broken}&{broken}={broken}", None)
        for text in (b"\xff\xfe'", b'{"name": "\xc0\xa7"}', b'{"name": "\\ud800"}', b"[" * 60_000):
            answer = await client.post("/api/vens", content=text)
            assert answer.status_code == 422, (text[:20], answer.text)
    assert seen > 1000
    assert contents(database) == before


async def test_what_looks_like_sql_is_a_name_like_any_other(api: ApiProcess) -> None:
    async with api.client() as client:
        for attack in (text for text in ATTACKS if len(text) <= 128):
            made = await client.post("/api/vens", json={"name": attack, "location": {"lat": 1, "lon": 2}})
            if made.status_code == 201:
                assert (await client.get(made.headers["location"])).json()["name"] == attack
            for path in ("loads", "history", "loads/x/history"):
                assert (await client.get(f"/api/vens/{quote(attack, safe='')}/{path}")).status_code == 404
