"""`ecs-backend rollup --rebuild`: recompute rollups from raw rows, beside live ingest."""

import argparse
import asyncio
import sys
from datetime import UTC, datetime

import asyncpg
from rich.progress import Progress

from ingest.database import rebuild_connection
from ingest.db_errors import explain
from ingest.upkeep import history
from shared import config, db, logs
from shared.commands import program
from shared.errors import StartupError


def main() -> int:
    """Rebuild the range that the command line names; exit code 0, 1 if that fails, 2 for wrong usage or settings."""
    parser = argparse.ArgumentParser(
        prog="ecs-backend rollup",
        description="Recompute rollups from raw rows, as far as raw rows reach. May run beside live ingest.",
    )
    parser.add_argument("--rebuild", action="store_true", required=True, help="required: confirms it")
    parser.add_argument("--from", dest="start", type=_moment, help="ISO 8601 (default: where raw rows begin)")
    parser.add_argument("--to", dest="end", type=_moment, help="ISO 8601 (default: where rollups end)")
    options = parser.parse_args()
    return program.run("ecs-backend", lambda: _rebuild_between(options.start, options.end))


def _rebuild_between(start: datetime | None, end: datetime | None) -> int:
    env = config.environment()
    logs.configure(config.read(config.Log, env), "rollup")
    return asyncio.run(_rebuild(config.read(config.Database, env), start, end))


async def _rebuild(settings: config.Database, start: datetime | None, end: datetime | None) -> int:
    try:
        connection = await rebuild_connection(settings)
        try:
            with Progress() as progress:
                task = progress.add_task("rebuilding rollups", total=1.0)
                done = await history.rebuild(
                    connection, start, end, lambda part: progress.update(task, completed=part)
                )
        finally:
            await connection.close(timeout=5)
    except (asyncpg.PostgresError, *db.UNREACHABLE) as exc:
        raise StartupError(explain(exc)) from exc
    if done is None:
        print("nothing to rebuild: no raw rows, or no rollups, in that time")  # noqa: T201
    else:
        print(f"rebuilt {done[0]:%Y-%m-%dT%H:%MZ} to {done[1]:%Y-%m-%dT%H:%MZ}")  # noqa: T201
    return 0


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO 8601 time") from exc
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


if __name__ == "__main__":
    sys.exit(main())
