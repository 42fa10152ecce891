"""`ecs-backend status`: the state of every part on one screen; as JSON with --json, repeated with --watch."""

import sys
import time
from collections.abc import Mapping

import msgspec
import psycopg
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from shared.commands.libpq import one_line
from shared.commands.status_report import Report, Reporter, Settings, read
from shared.commands.status_screen import screen, services_alone
from shared.db_errors import MIGRATE
from shared.errors import StartupError
from shared.tables import console_for, print_to


def show(env: Mapping[str, str], *, as_json: bool, every: float | None) -> None:
    """Print the status once, or every `every` s until Ctrl-C. Without a database, the first raises StartupError, and a
    watch goes on."""
    settings = read(env)
    reporter = Reporter(settings)
    if every is None:
        _show_once(reporter, settings, as_json=as_json)
        return
    try:
        _watch(reporter, settings, every, as_json=as_json)
    except KeyboardInterrupt:
        return


def _show_once(reporter: Reporter, settings: Settings, *, as_json: bool) -> None:
    try:
        found = reporter.report()
    except psycopg.Error as exc:
        why = _why(exc, settings)
        if as_json:
            _write({"health": reporter.services(), "error": why})
        else:
            print_to(sys.stdout, services_alone(reporter.services(), why))
        raise StartupError(why) from exc
    if as_json:
        _write(found)
    else:
        print_to(sys.stdout, screen(found))


def _watch(reporter: Reporter, settings: Settings, every: float, *, as_json: bool) -> None:
    if as_json:
        while True:
            _write(_report_or_error(reporter, settings))
            time.sleep(every)
    console = console_for(sys.stdout)
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            live.update(_framed(_report_or_error(reporter, settings), every), refresh=True)
            time.sleep(every)


def _report_or_error(reporter: Reporter, settings: Settings) -> Report:
    try:
        return reporter.report()
    except psycopg.Error as exc:
        return {"health": reporter.services(), "error": _why(exc, settings)}


def _framed(found: Report, every: float) -> RenderableType:
    head = Text(f"{time.strftime('%H:%M:%SZ', time.gmtime())}, every {every:g} s; Ctrl-C ends it", "dim")
    return Group(head, services_alone(found["health"], found["error"]) if "error" in found else screen(found))


def _why(error: psycopg.Error, settings: Settings) -> str:
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return MIGRATE
    db = settings.db
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "the database does not answer in time"
    return f"no database at DB_HOST={db.host} DB_PORT={db.port}: {one_line(error)}"


def _write(found: Report) -> None:
    sys.stdout.write(f"{msgspec.json.encode(found).decode()}\n")
    sys.stdout.flush()
