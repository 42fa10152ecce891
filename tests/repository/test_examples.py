"""docs/examples.md and docs/client.py: complete, and what the api answers today."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from shared.config import Database
from tests import examples
from tests.support.api_client import document
from tests.support.api_data import store
from tests.support.api_process import running_api
from tests.support.model import R

# Pages and documents for a browser, and what they load.
_FOR_BROWSERS = {"GET /", "GET /page/{file}", "GET /docs", "GET /docs/{file}", "GET /openapi.json"}
_CLIENT = "docs/client.py"
_HOUR = 1_783_684_800


def test_every_operation_has_an_example() -> None:
    operations = {
        f"{method.upper()} {path}"
        for path, each in document()["paths"].items()
        for method in each
        if method != "parameters"
    }
    assert operations - _FOR_BROWSERS == {each.operation for each in examples.EXAMPLES}


def _shape(value: Any) -> Any:
    """Names and kinds, whatever the figures are; of a list its first entry."""
    if isinstance(value, dict):
        return {name: _shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shape(each) for each in value[:1]]
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )


def _names(text: str) -> set[str]:
    return set(re.findall(r'"(\w+)":', text))


def test_the_page_shows_what_is_answered_today(postgres: Database, tmp_path: Path) -> None:
    written = examples.PAGE.read_text(encoding="utf-8")
    found = re.findall(r"```sh\n(.*?)\n```\n\n```\n(.*?)\n```\n", written, re.DOTALL)
    pairs = list(examples.answers(postgres, tmp_path))
    assert [line for line, _ in found] == [examples.curl(example) for example, _ in pairs]
    for (line, then), (_, answer) in zip(found, pairs, strict=True):
        now = examples.shown(answer)
        assert then.splitlines()[0] == now.splitlines()[0], line
        if "json" in answer.headers.get("content-type", ""):
            assert _names(then) == _names(now), line
        if not then.endswith("…") and then.count("\n") and then.splitlines()[1][0] in "{[":
            assert _shape(json.loads(then.partition("\n")[2])) == _shape(answer.json()), line


def _client(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, _CLIENT, *words], capture_output=True, text=True, check=False)


def test_the_client_reads_each_vens_history(database: Database, tmp_path: Path) -> None:
    store(database, [R("a", _HOUR + ago, 3.0) for ago in (0, 60)] + [R("b/c", _HOUR, 1.0)])
    with running_api(tmp_path, database, keys="the-key") as api:
        points = httpx.get(
            f"{api.url}/api/vens/a/history", params={"granularity": "1h"}, headers={"X-API-Key": "the-key"}
        ).json()["points"]
        done = _client(api.url, "the-key")
        refused = _client(api.url)
    assert done.returncode == 0, done.stderr
    energy = sum(point["usedEnergyKwh"] for point in points)
    assert energy > 0
    assert done.stdout.splitlines()[0] == f"a: {energy:.3f} kWh"
    assert done.stdout.splitlines()[1].startswith("b/c: ")
    assert refused.returncode != 0


def test_the_client_is_short() -> None:
    assert len(Path(_CLIENT).read_text(encoding="utf-8").splitlines()) <= 40


def test_the_client_is_typed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path}", _CLIENT],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
