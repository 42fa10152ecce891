"""Clients that are slow, endless or broken are answered or closed in bounded time and memory; others do not wait."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing, suppress

import psutil
import pytest
import uvicorn

from api.app import create_app
from api.web.bounded_connection import (
    HEADER_BYTES,
    IDLE_SECONDS,
    REQUEST_SECONDS,
    STALL_SECONDS,
    Connection,
)
from shared.ports import listen
from tests.support.api_client import NOWHERE, settings
from tests.support.api_process import HOST, ApiProcess, running_api
from tests.support.servers import eventually

MB = 2**20
CROWD = 300
GRACE_SECONDS = 5.0
POST = b"POST /api/vens HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """An api without a database, which these requests do not need."""
    with running_api(tmp_path_factory.mktemp("api"), NOWHERE) as running:
        yield running


async def ended(api: ApiProcess, pieces: Iterable[bytes], gap: float) -> tuple[bytes, float]:
    """What a client that sends `pieces`, `gap` seconds apart, is answered until it is closed, and when that is."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(HOST, api.port)

    async def send() -> None:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(gap)

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(REQUEST_SECONDS * 2 + GRACE_SECONDS):
            return await everything(reader), time.monotonic() - began
    finally:
        sending.cancel()
        writer.close()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """All bytes until the connection ends, by a close or a reset."""
    found = b""
    with suppress(ConnectionError):
        while piece := await reader.read(MB):
            found += piece
    return found


def drip(head: bytes, count: int = 1000) -> list[bytes]:
    return [head, *[b"x"] * count]


SLOW = {
    "headers": (drip(GET + b"A: "), 408),
    "body": (drip(POST + b"Content-Length: 1000\r\n\r\n"), 408),
    "chunks": ([POST + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 1000], 408),
    "half a request line": ([b"GE"], 408),
    "nothing": ([], None),
    "blank lines": ([b"\r\n"] * 1000, None),
    "blank lines after an answer": ([GET + b"\r\n", *[b"\r\n"] * 1000], 200),
    "the rest of a body that was refused": (drip(POST + b"Content-Length: 9999999\r\n\r\n"), 413),
    "half a second request": (drip(GET + b"\r\n" + GET + b"A: "), 200),
}


async def test_what_does_not_arrive_in_time_is_closed(api: ApiProcess) -> None:
    found = await asyncio.gather(*(ended(api, pieces, 0.3) for pieces, _ in SLOW.values()))
    for (kind, (_, status)), (answer, seconds) in zip(SLOW.items(), found, strict=True):
        assert seconds < REQUEST_SECONDS * 2 + 1, kind
        assert answer.startswith(b"" if status is None else b"HTTP/1.1 %d " % status), (kind, answer)
        assert status is not None or not answer, kind
        assert status in (None, 200, 413) or b"application/problem+json" in answer, kind
    second = found[list(SLOW).index("half a second request")][0]
    assert second.count(b"HTTP/1.1") == 2
    assert b"HTTP/1.1 408 " in second


async def test_a_client_may_pause_longer_than_a_page_polls(api: ApiProcess) -> None:
    """The page asks every 5 s: at a bound of 5 s, which is uvicorn's, some of its requests met a closing connection."""
    reader, writer = await asyncio.open_connection(HOST, api.port)
    with closing(writer):
        for pause in (6, 0):
            writer.write(GET + b"\r\n")
            assert (await reader.readuntil(b'"ok"}')).startswith(b"HTTP/1.1 200 ")
            with suppress(TimeoutError):
                assert await asyncio.wait_for(reader.read(1), pause), "the api has closed the connection"
    assert IDLE_SECONDS > 60, "proxies usually keep a connection for 60 s, and must be the first to close"


async def test_a_client_that_has_no_more_to_ask_is_closed() -> None:
    class Hurried(Connection):
        idle_seconds = 0.5

    config = uvicorn.Config(create_app(settings()), http=Hurried, log_config=None, ws="none")
    server = uvicorn.Server(config)
    with listen(HOST, 0, "free a port") as listener:
        serving = asyncio.create_task(server.serve([listener]))
        try:
            await eventually(lambda: server.started)
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            with closing(writer):
                writer.write(GET + b"\r\n")
                async with asyncio.timeout(GRACE_SECONDS):
                    assert (await everything(reader)).startswith(b"HTTP/1.1 200 ")
        finally:
            server.should_exit = True
            await serving


LINE = b"A: " + b"x" * 1000 + b"\r\n"
# The last piece is the one too much: a client that sent on might lose the answer to it.
LINES = [LINE] * (HEADER_BYTES // len(LINE) + 1)
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = {
    "one header": ([GET + b"A: ", b"x" * (HEADER_BYTES + 1)], 431),
    "many headers": ([GET, *LINES], 431),
    "request line": ([b"GET /" + b"x" * HEADER_BYTES], 431),
    "trailers": ([CHUNKED, b"0\r\n", *LINES], 431),
    "no HTTP": ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 nonsense\r\n\r\n"], 400),
    "two lengths": ([POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"], 400),
    "a path that is none": ([b"GET \xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n"], 400),
}


@pytest.mark.parametrize(("pieces", "status"), REFUSED.values(), ids=REFUSED)
async def test_what_must_not_be_read_is_refused_at_once(
    api: ApiProcess, pieces: list[bytes], status: int
) -> None:
    answer, seconds = await ended(api, pieces, 0)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"application/problem+json" in answer
    assert seconds < 5


async def test_endless_headers_are_not_kept(api: ApiProcess) -> None:
    before = api.rss_mb()
    endless = [b"x" * 65_536] * 500
    heads = (GET + b"A: ", b"GET /", CHUNKED + b"0\r\nA: ", CHUNKED + b"1;")
    found = await asyncio.gather(*(ended(api, [head, *endless], 0) for head in heads * 3))
    assert max(seconds for _, seconds in found) < 5
    assert api.rss_mb() - before < 10


async def test_a_body_of_10_mb_is_refused_without_keeping_it(api: ApiProcess) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"x" * 65_536

    before = api.rss_mb()
    async with api.client() as client:
        for path, method in (("/api/vens", "POST"), ("/api/vens/ven-101", "PATCH"), ("/api/events", "POST")):
            for _ in range(5):
                for content in (b"x" * 10 * MB, chunks()):
                    answer = await client.request(method, path, content=content)
                    assert answer.status_code == 413
                    assert answer.headers["content-type"] == "application/problem+json"
        assert api.rss_mb() - before < 10
        assert (await client.get("/health")).status_code == 200


@asynccontextmanager
async def crowd(api: ApiProcess, pieces: list[bytes], gap: float) -> AsyncIterator[None]:
    """Many clients at once that send `pieces` slowly and start again whenever they are closed."""

    async def insist() -> None:
        while True:
            await ended(api, pieces, gap)

    tasks = [asyncio.create_task(insist()) for _ in range(CROWD)]
    try:
        await eventually(lambda: connections(api) >= CROWD, explain=lambda: str(connections(api)))
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("kind", ["headers", "body"])
async def test_a_crowd_of_slow_clients_keeps_nobody_else_waiting(api: ApiProcess, kind: str) -> None:
    before = api.rss_mb()
    async with crowd(api, SLOW[kind][0], 0.2), api.client() as client:
        times = []
        for _ in range(100):
            began = time.monotonic()
            answer = await client.get("/api/vens", headers={"Connection": "close"})
            assert answer.status_code == 200
            times.append(time.monotonic() - began)
        assert statistics.median(times) < 0.5
        assert max(times) < 3
        assert api.rss_mb() - before < 40


async def test_clients_that_do_not_read_their_answers_are_cut_off(api: ApiProcess) -> None:
    sockets = [api.connect() for _ in range(20)]
    for one in sockets:
        one.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
    async with api.client() as client:
        assert (await client.get("/health")).status_code == 200
        await eventually(lambda: connections(api) < 20, STALL_SECONDS + 10, lambda: str(connections(api)))
        await eventually(lambda: connections(api) <= 1, GRACE_SECONDS, lambda: str(connections(api)))
    for one in sockets:
        one.close()


def connections(api: ApiProcess) -> int:
    """How many clients the api holds."""
    found = psutil.Process(api.process.pid).net_connections("tcp")
    return sum(1 for one in found if one.status == psutil.CONN_ESTABLISHED)


async def test_clients_that_go_away_are_not_errors(api: ApiProcess) -> None:
    for _ in range(20):
        for request in (
            POST + b"Content-Length: 100\r\n\r\nhalf",
            GET + b"A:",
            GET + b"\r\n" + GET + b"\r\n",
        ):
            with api.connect() as one:
                one.sendall(request)
    async with api.client() as client:
        assert (await client.get("/health")).status_code == 200
