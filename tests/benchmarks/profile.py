"""Where the time goes while a scenario runs: of the whole machine with Linux's perf, of ingest's Python with py-spy.

Neither is among the requirements (Debian's linux-perf; pip install py-spy): a profiler that is not on PATH is left out.
Both slow down what they watch.
"""

import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LEAST_PERCENT = 0.8


@contextmanager
def profiled(directory: Path, ingest_pid: int) -> Iterator[None]:
    """Watch while the block runs, then print the shares."""
    perf, stacks = directory / "perf.data", directory / "stacks.txt"
    commands = {
        "perf": f"perf record -a -q -e cpu-clock -F 999 -o {perf}".split(),
        "py-spy": f"py-spy record -r 250 -d unlimited -f raw -o {stacks} -p {ingest_pid}".split(),
    }
    watching = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name, command in commands.items()
        if shutil.which(name)
    ]
    try:
        yield
    finally:
        for watcher in watching:
            watcher.send_signal(signal.SIGINT)
            watcher.wait(60)
    if perf.exists():
        _show("machine, by process and where it is", _perf(perf, "comm,dso"))
        _show("PostgreSQL, by function", _perf(perf, "symbol", "--comm=postgres"))
    if stacks.exists():
        _show("ingest's Python, by the innermost file of ingest", _by_file(stacks.read_text()))


def _perf(data: Path, sort: str, *options: str) -> list[tuple[str, float]]:
    command = ["perf", "report", "-i", str(data), "--stdio", "-g", "none", "--sort", sort, *options]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [line.strip().split("%", 1) for line in text.splitlines() if "%" in line and line[0] != "#"]
    return [(" ".join(what.replace(" -", "").split()), float(percent)) for percent, what in rows]


def _by_file(text: str) -> list[tuple[str, float]]:
    """Of py-spy's stacks (`outer;…;inner count`), those of a thread that works."""
    times: Counter[str] = Counter()
    for line in text.splitlines():
        stack, count = line.rsplit(" ", 1)
        if "_worker (concurrent" not in stack:
            files = re.findall(r"\((ingest/[\w/]+\.py)", stack)
            times[files[-1].replace("ingest/__main__.py", "event loop")] += int(count)
    whole = sum(times.values())
    return [(name, 100 * count / whole) for name, count in times.most_common()]


def _show(title: str, rows: list[tuple[str, float]]) -> None:
    print(f"\n{title}, %:")
    for what, percent in rows:
        if percent >= _LEAST_PERCENT:
            print(f"{percent:6.1f}  {what}")
