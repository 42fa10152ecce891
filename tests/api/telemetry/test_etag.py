"""Answers that say what the last one said: 304, for stats and histories in every format."""

from collections.abc import AsyncIterator

import pytest

from shared.config import Database
from tests.support.api_client import Client, serving
from tests.support.api_data import store
from tests.support.model import R

# 2026-07-10T12:00:00Z
NOON = 1_783_684_800
HISTORIES = ("/api/stats/network/history", "/api/vens/a/history", "/api/vens/a/loads/l/history")
PATHS = (
    "/api/stats/network",
    "/api/stats/loads",
    *(f"{path}{query}" for path in HISTORIES for query in ("", "?format=csv")),
)


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Client]:
    store(database, [R("a", NOON, 1, loads=(("l", 1, 0),))])
    async with serving(database) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
async def test_an_answer_that_did_not_change_is_not_sent_again(api: Client, path: str) -> None:
    first = await api.get(path)
    tag = first.headers["etag"]
    for named in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        again = await api.get(path, headers={"If-None-Match": named})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in again.headers
        assert "content-length" not in again.headers
        for name in ("x-granularity", "vary"):
            assert again.headers.get(name) == first.headers.get(name)
    assert (await api.head(path, headers={"If-None-Match": tag})).status_code == 304
    other = await api.get(path, headers={"If-None-Match": '"x"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("path", HISTORIES)
async def test_an_answer_that_changed_is_sent(api: Client, database: Database, path: str) -> None:
    tag = (await api.get(path)).headers["etag"]
    store(database, [R("a", NOON + 100, 2, loads=(("l", 2, 0),))])
    changed = await api.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_json_and_csv_have_tags_of_their_own(api: Client) -> None:
    json, csv = [await api.get(HISTORIES[0], headers={"Accept": kind}) for kind in ("*/*", "text/csv")]
    assert json.headers["etag"] != csv.headers["etag"]
    unchanged = {"Accept": "text/csv", "If-None-Match": json.headers["etag"]}
    assert (await api.get(HISTORIES[0], headers=unchanged)).status_code == 200


async def test_errors_have_no_tag(api: Client) -> None:
    answer = await api.get("/api/vens/b/history", headers={"If-None-Match": "*"})
    assert answer.status_code == 404
    assert "etag" not in answer.headers


async def test_a_page_of_another_origin_may_read_the_tag(api: Client) -> None:
    answer = await api.get(HISTORIES[0], headers={"Origin": "http://ui"})
    assert "ETag" in answer.headers["access-control-expose-headers"]
