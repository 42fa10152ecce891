"""`ecs-backend status`: what the database holds and how far it is counted, for a person."""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from shared.clocks import OFF_SECONDS, clock_fault
from shared.commands.ingest_figures import figures
from shared.commands.libpq import one_line
from shared.config import Dashboard, Database, Ingest
from shared.db import libpq_arguments
from shared.db_errors import MIGRATE
from shared.errors import StartupError
from shared.sql import load_blocks
from shared.tables import console_for

_SQL = load_blocks(Path(__file__).with_name("status.sql"))
# A reading should speak a little longer than the VEN's next takes to come.
_SLACK_SECONDS = 60
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def show(settings: Database, dashboard: Dashboard, ingest: Ingest) -> None:
    """Print it; StartupError when the database cannot be asked."""
    console = console_for(sys.stdout)
    try:
        with psycopg.connect(**libpq_arguments(settings)) as connection:
            _show(console, connection, dashboard, figures(ingest))
    except psycopg.errors.UndefinedTable as exc:
        raise StartupError(MIGRATE) from exc
    except psycopg.OperationalError as exc:
        raise StartupError(
            f"no database at DB_HOST={settings.host} DB_PORT={settings.port}: {one_line(exc)}"
        ) from exc


def _show(
    console: Console,
    connection: psycopg.Connection[Any],
    dashboard: Dashboard,
    of_ingest: Mapping[str, float],
) -> None:
    connection.execute("SET TIME ZONE 'UTC'")
    silent = {"silent": dashboard.ven_offline_after}
    online, vens = connection.execute(_SQL["vens"], silent).fetchone() or (0, 0)
    watermark, lag, raw_from, late = connection.execute(_SQL["rollups"]).fetchone() or (None, None, None, 0)
    console.print(f"VENs           {online} online, {vens - online} offline, {vens} in all")
    console.print(f"counted up to  {_time(watermark)}" + (f" ({lag} ago)" if lag else ""))
    console.print(f"a tick takes   {_tick(of_ingest)}")
    console.print(f"late readings  {late} wait to be counted")
    console.print(f"raw rows from  {_time(raw_from) if raw_from else 'the first on'}")
    for line in _slow_reporters(connection):
        console.print(f"slow reporters {line}")
    console.print(_tables(connection))
    console.print(_dead_letters(connection))
    for table in (_flaws(connection), _clocks(connection)):
        if table.rows:
            console.print(table)


def _tick(of_ingest: Mapping[str, float]) -> str:
    """What a tick costs, of the ingest that runs here."""
    ticks = of_ingest.get("ecs_rollup_tick_seconds_count", 0)
    if not ticks:
        return "unknown: no ingest that counts answers on INGEST_HTTP_HOST and INGEST_HTTP_PORT"
    return f"{1000 * of_ingest['ecs_rollup_tick_seconds_sum'] / ticks:.0f} ms (mean of {ticks:,.0f})"


def _slow_reporters(connection: psycopg.Connection[Any]) -> list[str]:
    """A line if VENs usually report less often than a reading speaks: they are offline, and not counted, in between."""
    vens, every, longest = connection.execute(_SQL["slow_reporters"]).fetchone() or (0, None, None)
    if every is None or longest is None:
        return []
    needed = math.ceil(longest.total_seconds()) + _SLACK_SECONDS
    minutes = round(every.total_seconds() / 60)
    return [f"{vens} VENs report every {minutes} min; raise VEN_OFFLINE_AFTER to {needed}"]


def _tables(connection: psycopg.Connection[Any]) -> Table:
    table = Table("table", "rows (about)", "size", "partitions", "from", "to", title="Tables")
    for name, rows, size, partitions, first, last in connection.execute(_SQL["tables"]):
        span = (str(partitions), _time(first), _time(last)) if partitions else ("", "", "")
        table.add_row(name, f"{rows:,}", _bytes(size), *span)
    return table


def _dead_letters(connection: psycopg.Connection[Any]) -> Table:
    table = Table("reason", "messages", "different", "latest", title="Dead letters")
    for reason, messages, letters, latest in connection.execute(_SQL["dead_letters"]):
        table.add_row(reason, f"{messages:,}", f"{letters:,}", _time(latest))
    return table


def _flaws(connection: psycopg.Connection[Any]) -> Table:
    table = Table("VEN", "what", "messages", "latest", "topic", "reason", title="Flaws and conflicts")
    for ven_id, kind, times, latest, topic, reason in connection.execute(_SQL["flaws"]):
        table.add_row(ven_id, kind, f"{times:,}", _time(latest), topic, reason)
    return table


def _clocks(connection: psycopg.Connection[Any]) -> Table:
    table = Table("VEN", "fault", "off by", "last seen", title="Clocks of VENs that are off")
    for ven_id, offset, seen in connection.execute(_SQL["clocks"], {"least": OFF_SECONDS}):
        table.add_row(ven_id, clock_fault(offset), f"{abs(offset):,.0f} s", _time(seen))
    return table


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else "not yet"


def _bytes(size: float) -> str:
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size} B"
