"""Services search seldom for objects that refer only to each other."""

import subprocess
import sys

import pytest

_COLLECTS = """
import gc
from {module} import collect_seldom
collect_seldom()
assert gc.get_threshold()[0] == 50_000, gc.get_threshold()
assert gc.get_freeze_count() > 1000, gc.get_freeze_count()
"""


@pytest.mark.parametrize("module", ["api.__main__", "ingest.__main__"])
def test_a_service_searches_seldom_and_not_what_it_loaded(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COLLECTS.format(module=module)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
