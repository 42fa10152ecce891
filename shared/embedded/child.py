"""Child processes: started in a session of their own, ended with their parent, stopped by a signal."""

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
    """A running program, and where a person finds its output."""

    name: str
    process: subprocess.Popen[bytes]
    log: str = "its lines above"

    def require_alive(self) -> None:
        """Raise EcsError if the program has ended, which says how."""
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
    """Start `command` so that the terminal's Ctrl-C does not reach it. Its output is appended to `log`, or to ours.

    On Linux, the child gets the signal `farewell` when this process dies, even by kill -9. Call this from the main
    thread, because for Linux the parent is the thread that started the child. `user` (only as root): the user that
    the child runs as. Raises OSError.
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
    """Send the signal `how` and wait; after `timeout` s, kill the process. It may have ended already."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_line(log: Path) -> str:
    """The last line of a log file, which says why a program ended; "no output" if the file is empty."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "no output"
