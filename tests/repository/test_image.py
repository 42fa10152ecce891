"""What the image runs: its default command and its health check."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from shared.commands.healthcheck import healthy
from tests.support.servers import free_port, wait_until

SERVE = Path(__file__).resolve().parents[2] / "shared" / "serve.sh"


def serve(directory: Path, script: str) -> subprocess.Popen[str]:
    """serve.sh with an `ecs-backend` that notes its command in `called` and then does `script`."""
    program = directory / "ecs-backend"
    program.write_text(f'#!/bin/sh\necho "$1" >> {directory}/called\n{script}\n')
    program.chmod(0o755)
    env = {"PATH": f"{directory}:{os.environ['PATH']}"}
    return subprocess.Popen(["sh", SERVE], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def called(directory: Path) -> list[str]:
    path = directory / "called"
    return path.read_text().split() if path.exists() else []


def test_it_migrates_until_that_succeeds_then_becomes_the_api(tmp_path: Path) -> None:
    script = f'[ "$1" = migrate ] && [ $(grep -c migrate {tmp_path}/called) -lt 2 ] && exit 1; echo "$1 $$"; exit 0'
    with serve(tmp_path, script) as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert called(tmp_path) == ["migrate", "migrate", "api"]
    assert output.splitlines()[-1] == f"api {process.pid}"


def test_a_wrong_setting_ends_it(tmp_path: Path) -> None:
    with serve(tmp_path, "exit 2") as process:
        assert process.wait(20) == 2
    assert called(tmp_path) == ["migrate"]


def test_it_stops_while_it_waits_for_the_database(tmp_path: Path) -> None:
    with serve(tmp_path, "exec sleep 30") as process:
        wait_until(lambda: called(tmp_path) == ["migrate"])
        process.terminate()
        assert process.wait(5) == 143


def test_it_stops_between_two_tries_without_a_complaint(tmp_path: Path) -> None:
    with serve(tmp_path, "exit 1") as process:
        wait_until(lambda: sleeps(process.pid))
        process.terminate()
        _, complaints = process.communicate(timeout=5)
    assert process.returncode == 143
    assert complaints == ""


def sleeps(pid: int) -> bool:
    """Whether the shell waits in its `sleep`, and none of its programs runs."""
    return [child.name() for child in psutil.Process(pid).children()] == ["sleep"]


@pytest.mark.parametrize(("status", "expected"), [(200, True), (503, False)])
def test_only_200_is_healthy(status: int, expected: bool) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert healthy(server.server_address[1]) is expected
        thread.join()


def test_silence_is_not_healthy() -> None:
    command = [sys.executable, "-m", "shared.commands.healthcheck", str(free_port())]
    assert subprocess.run(command).returncode == 1
