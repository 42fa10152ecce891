"""Checks everything that the promises of ECS Backend depend on. Prints a line for each check: good, or bad and what to
do. To try the broker's queue, it publishes messages on a topic of its own, ecs-doctor/..., to a session of its own.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator

from ingest.doctor import broker, database
from ingest.doctor.finding import Finding
from ingest.settings import Settings, read
from shared.commands import program, running


def main() -> int:
    """Run all checks. Exit code: 0 if all are good, 1 if any is bad, 2 for wrong settings."""
    parser = argparse.ArgumentParser(prog="ecs-backend doctor", description=__doc__)
    parser.add_argument(
        "--messages",
        type=int,
        default=broker.MESSAGES,
        help="how many messages to try the broker's queue with (default: %(default)s)",
    )
    options = parser.parse_args()
    return program.run("ecs-backend doctor", lambda: _doctor(options.messages))


def _doctor(messages: int) -> int:
    settings = read(running.environment())
    return asyncio.run(_show(settings, messages))


async def _show(settings: Settings, messages: int) -> int:
    bad = 0
    async for finding in _findings(settings, messages):
        bad += not finding.good
        mark = "good" if finding.good else "BAD "
        sys.stdout.write(f"{mark}  {finding.what:<14} {finding.says}\n")
        sys.stdout.flush()
    return 1 if bad else 0


async def _findings(settings: Settings, messages: int) -> AsyncIterator[Finding]:
    async for finding in database.look(settings.db):
        yield finding
    async for finding in broker.look(settings.mqtt, messages):
        yield finding


if __name__ == "__main__":
    sys.exit(main())
