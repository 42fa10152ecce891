"""Child processes: started in a session of their own, gone with their parent, stopped with a signal."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from shared.errors import EcsError

_PR_SET_PDEATHSIG = 1


class Child(NamedTuple):
    """A running program, and where a person finds what it said."""

    name: str
    process: subprocess.Popen[bytes]
    log: str = "its lines above"

    def require_alive(self) -> None:
        """EcsError that says how it ended, if it did."""
        code = self.process.poll()
        if code is not None:
            how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
            raise EcsError(f"{self.name} ended ({how}), so the rest is stopped too: see {self.log}")


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    farewell: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start `command`, away from the terminal's Ctrl-C; its output goes to the end of `log`, or to ours.

    On Linux it gets the signal `farewell` when this process dies, even by kill -9. Call it from the main
    thread: for Linux, the parent is the thread that started it. `user` (only for root):
    the user that it runs as. Raises OSError.
    """
    output = log.open("ab") if log else None
    try:
        return _popen(command, output, env, cwd, user, farewell)
    finally:
        if output:
            output.close()


def _popen(
    command: Sequence[str | Path],
    output: IO[bytes] | None,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    user: str | None,
    farewell: signal.Signals,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=env,
        cwd=cwd,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        start_new_session=True,
        preexec_fn=_die_with_parent(farewell),  # noqa: PLW1509 it only makes system calls
    )


def _die_with_parent(farewell: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def hook() -> None:
        prctl(_PR_SET_PDEATHSIG, int(farewell), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return hook


def stop(process: subprocess.Popen[bytes], how: signal.Signals, timeout: float) -> None:
    """Send `how` and wait; kill it after `timeout` seconds. Fine if it has already ended."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_line(log: Path) -> str:
    """The last line of a log file, to say why a program ended; "no output" for an empty one."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "no output"
