"""What the page at / costs while a fleet reports: headless Chromium looks at it for some minutes.

`python -m tests.benchmarks.page`: 10,000 VENs of 8 loads report every 5 s, after a day at a reading in five minutes,
which is in the database from the beginning. Needs Debian's chromium and chromium-driver.
"""

import argparse
import asyncio
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from ingest.database import COUNTING_PLANNER
from shared import db
from shared.config import Database
from shared.sql import load_blocks
from tests.benchmarks import under_load
from tests.benchmarks.machine import machine
from tests.support.browser import Browser, browsing
from tests.support.leader import count

_SQL = load_blocks(Path(__file__).with_suffix(".sql"))
_EVERY_SECONDS = 5
# After so many s, the network's figures are those of the whole fleet.
_WARM_SECONDS = 60
_SETTLED_SECONDS = 2
_DAY = timedelta(hours=25)
_VEN, _LOADS = "bench-00007", 8


class Transfer(NamedTuple):
    """One answer: its bytes on the line (`sent`), and its bytes when decompressed (`size`)."""

    path: str
    sent: int
    size: int


async def fill(settings: Database, vens: int) -> None:
    """Store the readings of the day before, and count them as the leader does."""
    connection = await db.connect(
        settings, application="fill", server_settings={"timezone": "UTC", "jit": "off", **COUNTING_PLANNER}
    )
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    start = now - _DAY
    for day in (start, now):
        await connection.execute("SELECT make_raw_day($1)", day.replace(hour=0, minute=0))
    await connection.execute(_SQL["telemetry"], start, now, vens)
    await connection.execute(_SQL["lists"], start, now, _VEN, _LOADS)
    await connection.execute("VACUUM (ANALYZE, FREEZE)")
    await count(connection, now)
    await connection.close()


def transfers(browser: Browser) -> list[Transfer]:
    """The answers since the last call."""
    paths: dict[str, str] = {}
    sizes: Counter[str] = Counter()
    found = []
    for event in browser.events():
        what: dict[str, Any] = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            paths[what["requestId"]] = urllib.parse.urlsplit(what["request"]["url"]).path
        elif event["method"] == "Network.dataReceived":
            sizes[what["requestId"]] += what["dataLength"]
        elif event["method"] == "Network.loadingFinished":
            number = what["requestId"]
            found.append(Transfer(paths.get(number, "?"), round(what["encodedDataLength"]), sizes[number]))
    return found


def heap_mb(browser: Browser) -> float:
    """Memory of the tab's scripts after collecting garbage, in MB."""
    browser.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    return float(browser.run("return performance.memory.usedJSHeapSize")) / 2**20


def look(browser: Browser, url: str, minutes: float) -> None:
    """Open the page, look at it for so long, and print what that cost."""
    browser.open(url)
    browser.waiting(
        lambda: browser.all('[data-part="chart"] canvas') and browser.all('[data-part="vens"] tr')
    )
    paint = browser.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    shift = """
        window.shifts = 0;
        new PerformanceObserver((list) => { for (const each of list.getEntries()) window.shifts += each.value; })
            .observe({ type: "layout-shift", buffered: false });
    """
    figures = browser.run(
        "return Math.max(...performance.getEntriesByType('resource').map((each) => each.responseEnd))"
    )
    first = transfers(browser)
    # The page is complete when its first figures are drawn; what moves after that moves with an update.
    time.sleep(_SETTLED_SECONDS)
    browser.run(shift)
    heaps, later, until = [heap_mb(browser)], list[Transfer](), time.monotonic() + minutes * 60
    while time.monotonic() < until:
        time.sleep(min(30.0, max(0.0, until - time.monotonic())))
        heaps.append(heap_mb(browser))
        later += transfers(browser)
    shifts = browser.run("return window.shifts")
    browser.run(f"location.hash = '#/ven/{_VEN}'")
    browser.waiting(lambda: browser.all('[data-part="loads-chart"] canvas'))
    own = transfers(browser)
    answers = [each for each in [*first, *later, *own] if each.path.startswith("/api")]
    largest = max(answers, key=lambda each: each.size)
    memory = ", ".join(f"{heaps[at]:.1f}" for at in (0, len(heaps) // 2, -1))
    table = Table(title=f"The page, looked at for {minutes:g} min. {machine()}")
    table.add_column("what")
    table.add_column("measured", justify="right")
    asked = Counter(each.path for each in later if each.path.startswith("/"))
    rows = {
        "first contentful paint, ms": f"{paint:.0f}",
        "all figures shown, ms": f"{figures:.0f}",
        "transferred until complete, KB": f"{sum(each.sent for each in first) / 1024:.0f}",
        f"largest answer of the API, KB ({largest.path})": f"{largest.size / 1024:.1f}",
        "transferred for a VEN's page, KB": f"{sum(each.sent for each in own) / 1024:.0f}",
        "KB a minute afterwards": f"{sum(each.sent for each in later) / 1024 / minutes:.0f}",
        "layout shift while updating": f"{shifts:.4f}",
        "memory of scripts, first, middle and last, MB": memory,
        **{f"requests a minute, {path}": f"{count / minutes:.1f}" for path, count in sorted(asked.items())},
    }
    for what, measured in rows.items():
        table.add_row(what, measured)
    Console(width=120).print(table)


def run(vens: int, minutes: float) -> None:
    """Start everything, look at the page, print."""
    with ExitStack() as stack:
        system = under_load.start(stack, lambda settings: asyncio.run(fill(settings, vens)))
        browser = stack.enter_context(browsing())
        rate = vens // _EVERY_SECONDS
        seconds = _WARM_SECONDS + minutes * 60 + 30
        command = [sys.executable, "-m", "tests.benchmarks.generator", "--port", str(system.broker.port)]
        command += ["--count", str(round(rate * seconds)), "--vens", str(vens), "--rate", str(rate)]
        generator = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        stack.callback(generator.kill)
        time.sleep(_WARM_SECONDS)
        browser.size(1280, 1000)
        look(browser, f"http://127.0.0.1:{system.api_port}/", minutes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vens", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=10, help="of looking at it (default: %(default)g)")
    options = parser.parse_args()
    run(options.vens, options.minutes)
