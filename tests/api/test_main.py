"""`python -m api` as a process of its own."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.config import Api, Database
from shared.ports import accepts
from tests.support.api_client import NOWHERE, check
from tests.support.servers import Process, as_environment, free_port, wait_until


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def process(tmp_path: Path, port: int, database: Database) -> Iterator[Process]:
    with Process(tmp_path, "api", env=as_environment(database, Api(port=port))) as running:
        # It listens before it has its signal handlers; once it answers it has both.
        wait_until(lambda: _answers(port), 20, running.output)
        yield running


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_it_serves_and_ends_in_order(process: Process, port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for path in (
            "/health/",
            "/health/db-check",
            "/api/vens/",
            "/api/stats/network",
            "/api/stats/network/history/",
        ):
            answer = client.get(path)
            assert answer.status_code == 200
            check(answer)
        head = client.head("/api/vens")
        assert (head.status_code, head.content) == (200, b"")
        assert client.get("/api/vens/a%2Fb").status_code == 404
        check(client.post("/api/events", content=b"{", headers={"Origin": "http://x"}))
    assert process.stop() == 0
    assert "started" in process.output()


def test_a_large_body_is_refused_with_or_without_its_length(process: Process, port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.post("/api/vens", content=b"x" * 100_000).status_code == 413
        assert client.post("/api/vens", content=iter([b"x" * 1024] * 100)).status_code == 413
        assert client.get("/health").status_code == 200


def test_ctrl_c_ends_it_in_order_too(process: Process) -> None:
    process.send_signal(signal.SIGINT)
    assert process.wait() == 0
    assert "Traceback" not in process.output()


def test_it_starts_without_its_database(tmp_path: Path, port: int) -> None:
    with Process(tmp_path, "api", env=as_environment(NOWHERE, Api(port=port))) as running:
        wait_until(lambda: accepts("127.0.0.1", port), 20, running.output)
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/api/stats/network").status_code == 503


def test_a_port_in_use_is_one_line_that_names_it_and_its_setting(tmp_path: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        code, lines = ended(tmp_path, as_environment(NOWHERE, Api(port=port)))
    assert code == 1
    assert re.fullmatch(rf"api: cannot listen on port {port} of 127\.0\.0\.1 .*API_PORT.*\n", lines)


@pytest.mark.parametrize(
    ("name", "value"),
    [("DB_HOST", ""), ("API_PORT", "eighty"), ("API_STATEMENT_TIMEOUT", "0"), ("DASHBOARD_TIMEZONE", "X")],
)
def test_a_wrong_setting_is_one_line_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    code, lines = ended(tmp_path, {**as_environment(NOWHERE), name: value})
    assert code == 2
    assert re.fullmatch(rf"api: {name}.*\n", lines)


def test_uvicorn_can_make_the_app_itself(tmp_path: Path, port: int) -> None:
    arguments = ("--factory", "api.app:create_app", "--port", str(port))
    with Process(tmp_path, "uvicorn", *arguments, env=as_environment(NOWHERE)) as running:
        wait_until(lambda: accepts("127.0.0.1", port), 20, running.output)
        assert httpx.get(f"http://127.0.0.1:{port}/health").json() == {"status": "ok"}


def ended(directory: Path, env: dict[str, str]) -> tuple[int, str]:
    """The exit code and the stderr of an api that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "api"], cwd=directory, env=env, capture_output=True, text=True, timeout=30
    )
    return done.returncode, done.stderr
