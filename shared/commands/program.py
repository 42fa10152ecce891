"""What `python -m ingest` and `python -m api` do alike: their usage, and their exit codes."""

import sys
from collections.abc import Callable

from shared.errors import EcsError, SettingsError


def run(name: str, usage: str | None, serve: Callable[[], int]) -> int:
    """What `serve` returns; 1 with one line when it cannot start, 2 when a setting is wrong or it is asked too much."""
    if len(sys.argv) > 1:
        print(usage, "Settings come from the environment and .env.")  # noqa: T201
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    try:
        return serve()
    except EcsError as exc:
        print(f"{name}: {exc}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(exc, SettingsError) else 1
