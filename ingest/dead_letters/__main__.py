"""`ecs-backend dead-letters`: show messages that could not be stored, try again to store them, or delete them."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from ingest.database import writer_connection
from ingest.db_errors import explain
from ingest.dead_letters.chosen import SQL, Chosen
from ingest.dead_letters.retry import Result, retry
from ingest.dead_letters.shown import pointed_at
from ingest.log_lines import LINES
from ingest.settings import Settings, read
from shared import db, logs
from shared.arguments import parse_duration
from shared.commands import program
from shared.commands.running import environment
from shared.db import Connection
from shared.errors import StartupError
from shared.tables import console_for, print_to
from shared.terminal import counted, printable

_PROGRAM = "ecs-backend dead-letters"
Work = Callable[[Connection, Settings], Awaitable[None]]


def main() -> int:
    """Do what the command line says. Exit code: 0; 1 when that cannot be done; 2 for wrong usage or settings."""
    parser = _parser()
    options = parser.parse_args()
    chosen = Chosen(*(getattr(options, name, None) for name in ("reason", "ven", "since")))
    if options.command in ("retry", "purge") and chosen == Chosen() and not options.all:
        parser.error(f"{options.command}: say which, with --reason, --ven or --since, or --all")
    return program.run(_PROGRAM, lambda: _run(options, chosen))


def _run(options: argparse.Namespace, chosen: Chosen) -> int:
    # The command needs MQTT_TOPIC_*, but no broker.
    settings = read({"MQTT_HOST": "none", **environment()})
    logs.configure(settings.log, "dead-letters", LINES)
    try:
        asyncio.run(_connected(settings, _work(options, chosen)))
    except KeyboardInterrupt:
        sys.stderr.write(f"{_PROGRAM}: interrupted; run it again to go on\n")
        return program.FAILED
    return 0


def _work(options: argparse.Namespace, chosen: Chosen) -> Work:
    match options.command:
        case "list":
            return lambda connection, _: _list(connection, chosen, options.limit)
        case "show":
            return lambda connection, _: _show(connection, options.id)
        case "purge":
            return lambda connection, _: _purge(connection, chosen, dry_run=options.dry_run)
        case _:
            return lambda connection, settings: _retry(connection, settings, chosen, dry_run=options.dry_run)


async def _connected(settings: Settings, work: Work) -> None:
    try:
        connection = await writer_connection(settings.db)
        try:
            await work(connection, settings)
        finally:
            await connection.close(timeout=5)
    except (asyncpg.PostgresError, *db.UNREACHABLE) as exc:
        raise StartupError(explain(exc)) from exc


async def _list(connection: Connection, chosen: Chosen, limit: int) -> None:
    letters, _ = await chosen.count(connection)
    table = Table("id", "last seen", "times", "VEN", "topic", "reason", box=None, header_style="dim")
    for row in await chosen.newest(connection, limit):
        seen = f"{row['received_at']:%Y-%m-%dT%H:%M:%SZ}"
        texts = (
            str(row["id"]),
            seen,
            f"{row['times_seen']:,}",
            row["ven_id"] or "-",
            row["topic"],
            row["error"],
        )
        table.add_row(*(Text(printable(text)) for text in texts))
    if letters:
        print_to(sys.stdout, table)
    shown = f"{min(limit, letters):,} of {counted(letters, 'dead letter')}"
    _say(Text(shown if letters else "no dead letters"))


async def _show(connection: Connection, letter: int) -> None:
    row = await connection.fetchrow(SQL["get"], letter)
    if row is None:
        raise StartupError(f"there is no dead letter {letter}: see {_PROGRAM} list")
    kept = len(row["payload"])
    cut = f", of which the first {kept:,} are kept" if kept < row["payload_bytes"] else ""
    for name, value in (
        ("id", row["id"]),
        ("last seen", f"{row['received_at']:%Y-%m-%dT%H:%M:%S.%fZ}, {row['times_seen']:,} times"),
        ("VEN", row["ven_id"] or "not known"),
        ("topic", row["topic"]),
        ("reason", row["error"]),
        ("payload", f"{row['payload_bytes']:,} bytes{cut}"),
    ):
        _say(Text.assemble((f"{name:<11}", "dim"), printable(str(value))))
    _say(Text(f"\n{pointed_at(row['payload'], row['error'])}"))


async def _retry(connection: Connection, settings: Settings, chosen: Chosen, *, dry_run: bool) -> None:
    letters, _ = await chosen.count(connection)
    with _progress() as progress:
        task = progress.add_task("retrying", total=letters)
        result = await retry(
            connection,
            settings,
            chosen,
            dry_run=dry_run,
            progress=lambda done: progress.advance(task, done),
        )
    _say(Text(_told(result, dry_run=dry_run)))


def _told(result: Result, *, dry_run: bool) -> str:
    """A line with the result, and a line for each reason of those that are left."""
    left = result.left.total()
    if dry_run:
        first = f"could be stored: {result.stored:,}, would be left: {left:,}"
    else:
        first = f"stored now: {result.stored:,}, stored before: {result.duplicate:,}, left: {left:,}"
    return "\n".join([first, *(f"{n:>8,}  {reason}" for reason, n in result.left.most_common(20))])


async def _purge(connection: Connection, chosen: Chosen, *, dry_run: bool) -> None:
    letters, last = await chosen.count(connection)
    if dry_run:
        _say(Text(f"{letters:,} would be deleted"))
        return
    with _progress() as progress:
        task = progress.add_task("deleting", total=letters)
        async for rows in chosen.by_id(connection, last):
            await connection.execute(SQL["delete"], [row["id"] for row in rows])
            progress.advance(task, len(rows))
    _say(Text(f"{letters:,} deleted"))


def _progress() -> Progress:
    """A progress bar on standard error, removed at the end; in a pipe, none."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _say(text: Text) -> None:
    console_for(sys.stdout).print(text, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description=f"{__doc__.partition(': ')[2]} Needs DB_*.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="the newest, with the reason of each")
    listing.add_argument("--limit", type=int, default=50, help="how many (default: %(default)s)")
    _add_filters(listing)
    show = commands.add_parser("show", help="one of them: its payload, with the defect pointed at")
    show.add_argument("id", type=int, help="as in list")
    for name, what in (
        ("retry", "try to store them, as the settings and this version read them"),
        ("purge", "delete them"),
    ):
        changing = commands.add_parser(name, help=what)
        _add_filters(changing)
        changing.add_argument("--all", action="store_true", help="really all")
        changing.add_argument("--dry-run", action="store_true", help="change nothing, say what would happen")
    return parser


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", help="those whose reason holds this text")
    parser.add_argument("--ven", help="those of this VEN")
    parser.add_argument("--since", type=_moment, help="those seen since: ISO 8601, or 90s, 30m, 6h, 2d ago")


def _moment(text: str) -> datetime:
    """A time, or how long ago it was."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _ago(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _ago(text: str) -> datetime:
    try:
        return datetime.now(UTC) - timedelta(seconds=parse_duration(text))
    except (argparse.ArgumentTypeError, OverflowError) as exc:
        right = "write 2026-11-25T02:00Z, or 90s, 30m, 6h or 2d"
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither ISO 8601 nor a length of time: {right}"
        ) from exc


if __name__ == "__main__":
    sys.exit(main())
