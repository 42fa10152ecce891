"""What all commands have in common: the exit code, and one line that says why the command failed."""

import sys
from collections.abc import Callable

from shared.errors import EcsError, SettingsError

FAILED, WRONG_USAGE = 1, 2


def run(name: str, command: Callable[[], int]) -> int:
    """Run `command` and return its exit code. After an EcsError, write one line on stderr and return 1, or 2 if a
    setting is wrong."""
    try:
        return command()
    except EcsError as exc:
        sys.stderr.write(f"{name}: {exc}\n")
        return WRONG_USAGE if isinstance(exc, SettingsError) else FAILED


def run_service(name: str, usage: str | None, serve: Callable[[], int]) -> int:
    """Run `serve` as `run` does, for `python -m ingest` and `python -m api`, which take no arguments but --help."""
    if len(sys.argv) > 1:
        sys.stdout.write(f"{usage} Settings come from the environment and .env.\n")
        return 0 if sys.argv[1] in ("-h", "--help") else WRONG_USAGE
    return run(name, serve)
