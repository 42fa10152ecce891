"""A wheel, built and installed outside the checkout, is the whole program."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import urllib.request
import venv
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.config import Database
from tests.support.servers import as_environment, connect, free_port, new_database, wait_until

ROOT = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NOT_BUILT = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests")


class Installation:
    """`ecs-backend` in an environment of its own, run from a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / "venv" / "bin"

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.bin / "ecs-backend", *arguments],
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "HOME": str(self.directory), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **env: str) -> str:
        process = self.start(*arguments, **env)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        return output


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    directory = tmp_path_factory.mktemp("wheel")
    source = shutil.copytree(ROOT, directory / "source", ignore=NOT_BUILT)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory), str(source)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = directory.glob("*.whl")
    venv.create(directory / "venv", with_pip=False)
    site = "import sysconfig; print(sysconfig.get_path('purelib'))"
    python = directory / "venv" / "bin" / "python"
    purelib = Path(
        subprocess.run([python, "-c", site], check=True, capture_output=True, text=True).stdout.strip()
    )
    subprocess.run([*pip, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    # What it depends on is that of these tests; a path in a .pth file does not bring the checkout along.
    (purelib / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    shutil.rmtree(source)
    return Installation(directory)


def get(port: int, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return json.loads(answer.read())
    except OSError:
        return None


def test_pyproject_and_the_contract_have_one_version() -> None:
    assert yaml.safe_load((ROOT / "docs" / "backend-api.yaml").read_text())["info"]["version"] == VERSION


def test_a_wheel_says_its_version(installation: Installation) -> None:
    assert installation.run("--version") == f"ecs-backend {VERSION}\n"


def test_a_wheel_has_migrations_contract_and_fixtures(installation: Installation, postgres: Database) -> None:
    with new_database(postgres) as empty:
        port = free_port()
        env = {**as_environment(empty), "API_PORT": str(port)}
        installation.run("migrate", **env)
        with connect(empty) as connection:
            assert connection.execute("SELECT count(*) FROM vens").fetchone() == (0,)
        # Another project's package in the working directory.
        (installation.directory / "api").mkdir()
        (installation.directory / "api" / "__init__.py").write_text("raise SystemExit('not ours')")
        api = installation.start("api", **env)
        try:
            wait_until(lambda: get(port, "/health"), 20)
            assert get(port, "/openapi.json")["info"]["version"] == VERSION
            assert [ven["id"] for ven in get(port, "/api/vens")][:1] == ["ven-101"]
            assert get(port, "/health/db-check") == {"status": "ok"}
        finally:
            api.terminate()
            api.communicate(timeout=20)


def test_a_wheel_brings_everything_up(installation: Installation) -> None:
    port, broker, ingest = free_port(), free_port(), free_port()
    arguments = (
        "up",
        "--vens",
        "3",
        "--interval",
        "1",
        "--history",
        "0",
        "--port",
        str(port),
        "--broker-port",
        str(broker),
    )
    up = installation.start(*arguments, INGEST_HTTP_PORT=str(ingest))
    online = loads = None
    with suppress(AssertionError):
        online = wait_until(lambda: (get(port, "/api/stats/network") or {}).get("onlineVens") == 3, 90)
        loads = get(port, "/api/vens/ven-101/loads")
    up.terminate()
    output, _ = up.communicate(timeout=60)
    assert online, output
    assert loads is not None
    assert len(loads) >= 2
    assert up.returncode == 0, output


def test_a_package_of_another_project_is_named(installation: Installation) -> None:
    other = installation.directory / "other"
    (other / "ingest").mkdir(parents=True)
    (other / "ingest" / "__init__.py").touch()
    process = installation.start("status", PYTHONPATH=str(other))
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert output.startswith(f"ecs-backend: the package 'ingest' is also {other / 'ingest'}: ")
