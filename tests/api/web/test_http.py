"""What holds for every path: slashes, methods, keys, CORS, sizes, errors, metrics."""

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from api.web.resource import resource
from shared.config import Api
from tests.support.api_client import Client, serving

HISTORIES = ("/api/stats/network/history", "/api/vens/v/history", "/api/vens/v/loads/l/history")


@pytest.fixture
async def api() -> AsyncIterator[Client]:
    async with serving() as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/api/vens", "/api/vens/summary", "/api/events/current", "/api/vens/ven-101", "/health", "/docs"]
)
async def test_a_path_answers_the_same_with_a_trailing_slash(api: Client, path: str) -> None:
    plain, slashed = await api.get(path), await api.get(f"{path}/")
    assert plain.status_code == slashed.status_code == 200
    assert plain.content == slashed.content


async def test_a_body_is_taken_with_a_trailing_slash_too(api: Client) -> None:
    answer = await api.post("/api/vens/", json={"name": "x", "location": {"lat": 0, "lon": 0}})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/page",
        "/api",
        "/api/",
        "/api/nothing",
        "/api/vens//",
        "/vens",
        "/docs/secret.js",
        "/api/vens/a/b",
    ],
)
async def test_an_unknown_path_is_not_found(api: Client, path: str) -> None:
    assert await api.detail(404, path)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/api/vens", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/api/vens/summary", "GET, HEAD, OPTIONS"),
        ("POST", "/api/vens/ven-101", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("GET", "/api/events/evt-1/stop", "OPTIONS, POST"),
        ("DELETE", "/api/stats/network", "GET, HEAD, OPTIONS"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
        ("BREW", "/api/events", "GET, HEAD, OPTIONS, POST"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(api: Client, method: str, path: str, allow: str) -> None:
    assert method in await api.detail(405, path, method)
    assert (await api.request(method, path)).headers["allow"] == allow
    assert (await api.request("OPTIONS", path)).headers["allow"] == allow


async def test_head_answers_as_get_does_without_the_body(api: Client) -> None:
    got, head = await api.get("/api/vens"), await api.head("/api/vens")
    assert head.status_code == 200
    assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize(
    "path", ["/api/vens", "/api/stats/network", "/api/events/current", "/api/vens/v/loads", *HISTORIES]
)
async def test_an_unknown_query_parameter_is_refused(api: Client, path: str) -> None:
    assert (await api.detail(400, f"{path}?gran=5m")).startswith("gran: unknown query parameter")


@pytest.mark.parametrize("path", HISTORIES)
async def test_a_repeated_query_parameter_is_refused(api: Client, path: str) -> None:
    assert (await api.detail(400, f"{path}?fill=none&fill=null")).startswith("fill: given more than once")


@pytest.mark.parametrize("path", HISTORIES)
async def test_a_bad_query_parameter_never_reaches_the_database(api: Client, path: str) -> None:
    assert (await api.detail(400, f"{path}?granularity=5x")).startswith("granularity: ")


async def test_a_query_on_a_change_is_refused(api: Client) -> None:
    assert (await api.detail(400, "/api/events/evt-1/stop?now=1", "POST")).startswith("now: ")


@pytest.mark.parametrize(
    "path", ["/api/stats/network", "/api/stats/loads", "/api/vens/v/loads", "/health/db-check", *HISTORIES]
)
async def test_without_a_database_the_answer_is_503(api: Client, path: str) -> None:
    detail = await api.detail(503, path)
    assert "unreachable" in detail
    assert "nowhere" not in detail


async def test_without_a_database_the_rest_goes_on(api: Client) -> None:
    assert (await api.get("/health")).json() == {"status": "ok"}
    assert (await api.get("/api/vens")).status_code == 200


async def test_a_body_over_64_kib_is_too_large(api: Client) -> None:
    assert "64 KiB" in await api.detail(413, "/api/vens", "POST", content=b"x" * (64 * 1024 + 1))
    assert await api.detail(422, "/api/vens", "POST", content=b"x" * (64 * 1024))


async def test_a_body_without_a_length_is_counted_while_it_comes(api: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(65):
            yield b"x" * 1024

    assert "64 KiB" in await api.detail(413, "/api/vens", "POST", content=chunks())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/vens", 200),
        ("GET", "/api/nothing", 404),
        ("PUT", "/api/vens", 405),
        ("GET", "/api/vens?x=1", 400),
        ("POST", "/api/vens", 422),
        ("GET", "/api/stats/network", 503),
        ("GET", "/health", 200),
    ],
)
async def test_every_answer_may_be_read_from_another_origin(
    api: Client, method: str, path: str, status: int
) -> None:
    answer = await api.request(method, path, headers={"Origin": "https://ui.example"})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_too_large_and_unforeseen_errors_may_be_read_too(api: Client) -> None:
    origin = {"Origin": "https://ui.example"}
    large = await api.post("/api/vens", content=b"x" * 70_000, headers=origin)
    assert (large.status_code, large.headers["access-control-allow-origin"]) == (413, "*")


async def test_a_preflight_needs_no_key_and_allows_what_there_is() -> None:
    async with serving(api=Api(keys="secret")) as api:
        headers = {
            "Origin": "https://ui.example",
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "content-type, x-api-key",
        }
        answer = await api.request("OPTIONS", "/api/vens/ven-101", headers=headers)
        assert answer.status_code == 200
        assert "PATCH" in answer.headers["access-control-allow-methods"]
        assert "x-api-key" in answer.headers["access-control-allow-headers"]


async def test_only_the_origins_of_the_setting_are_allowed() -> None:
    async with serving(api=Api(cors_origins="https://a.example, https://b.example")) as api:
        for origin, allowed in (("https://b.example", "https://b.example"), ("https://c.example", None)):
            answer = await api.get("/api/vens", headers={"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-API-Key": "wrong"}, 401),
        ({"X-API-Key": ""}, 401),
        ({"X-API-Key": "first"}, 200),
        ({"X-API-Key": "zweiter-schlüssel".encode()}, 200),
        ({"Authorization": "Bearer first"}, 200),
        ({"Authorization": "bearer first"}, 200),
        ({"Authorization": "Basic first"}, 401),
        ({"Authorization": "first"}, 401),
        ({"Authorization": "Bearer first, second"}, 401),
        ({"Authorization": "Bearer wrong", "X-API-Key": "first"}, 200),
    ],
)
async def test_with_keys_set_the_api_needs_one(headers: dict[str, str], status: int) -> None:
    async with serving(api=Api(keys="first, zweiter-schlüssel")) as api:
        answer = await api.get("/api/vens", headers=headers)
        assert answer.status_code == status
        if status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/vens/"])
async def test_without_a_key_nothing_is_said_of_the_api(path: str) -> None:
    async with serving(api=Api(keys="first")) as api:
        assert "API key" in await api.detail(401, path, headers={"Origin": "https://ui.example"})


async def test_the_service_paths_need_no_key() -> None:
    async with serving(api=Api(keys="first")) as api:
        for path in ("/health", "/metrics", "/openapi.json", "/docs"):
            assert (await api.get(path)).status_code == 200
        assert (await api.get("/health/db-check")).status_code == 503


async def test_an_unforeseen_error_says_nothing_but_a_reference(
    api: Client, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: Request) -> Response:
        raise ZeroDivisionError("the secret")

    api.app.router.routes.append(resource("/broken", GET=broken))
    with caplog.at_level(logging.ERROR):
        answer = await httpx.AsyncClient.request(
            api, "GET", "/broken", headers={"Origin": "https://ui.example"}
        )
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "secret" not in answer.text
    assert "reference" in answer.json()["detail"]


async def test_requests_are_measured_by_the_template_of_their_route(api: Client) -> None:
    await api.get("/api/vens/ven-101/")
    await api.get("/api/vens/ven-9")
    await api.get("/nothing/ven-77")
    await api.request("BREW", "/api/vens")
    text = (await api.get("/metrics")).text
    for labels in (
        'method="GET",route="/api/vens/{venId}",status="200"',
        'method="GET",route="/api/vens/{venId}",status="404"',
        'method="GET",route="unmatched",status="404"',
        'method="other",route="/api/vens",status="405"',
    ):
        assert f"ecs_api_request_seconds_count{{{labels}}} 1.0" in text
    assert "ecs_api_pool_in_use 0.0" in text
    assert "ven-" not in text
