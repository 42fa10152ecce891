"""A report of `ecs-backend status` as a screenful for a person."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shared.commands.status_report import Report
from shared.terminal import duration, printable

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_OLDEST_SECONDS, _LAG_SECONDS, _DAYS_LEFT = 60, 900, 14
# So many of the largest tables are shown; --json has all.
_TABLES = 8


def screen(report: Report) -> RenderableType:
    """The whole report, without tables that are empty."""
    vens, counting = report["vens"], report["counting"]
    tables = [
        _worst("Clocks of VENs that are off", vens["clocks"], _CLOCK),
        _worst("Slow reporters", vens["slow_reporters"]["worst"], _SLOW),
        _worst("Conflicts", vens["conflicting"], _FLAW),
        _worst("Flaws", vens["flawed"], _FLAW),
        _worst("Offline, heard last", vens["longest_offline"], _OFFLINE),
        _worst("Dead letters", report["dead_letters"], _DEAD),
        _worst("Waiting for a lock", report["waiting"], _WAITING),
        _worst("Tables", report["tables"][:_TABLES], _TABLE),
    ]
    facts = Table.grid(padding=(0, 2))
    for name, text in (
        *_of_services(report),
        *_of_vens(vens),
        *_of_counting(counting, report),
        *_of_disk(report),
    ):
        facts.add_row(Text(name, "dim"), text)
    facts.add_row(Text("settings", "dim"), Text(" ".join(f"{k}={v}" for k, v in report["settings"].items())))
    return Group(facts, *(table for table in tables if table.rows))


def services_alone(services: Report, why: str) -> RenderableType:
    """The state of the services, and why the database does not answer."""
    facts = Table.grid(padding=(0, 2))
    for name, text in _of_health(services):
        facts.add_row(Text(name, "dim"), text)
    facts.add_row(Text("database", "dim"), Text(why, "bold red"))
    return facts


def _of_services(report: Report) -> Iterable[tuple[str, Text]]:
    yield from _of_health(report["health"])
    database = report["database"]
    good = database["fsync"] == "on" and database["synchronous_commit"] != "off" and not database["read_only"]
    words = [
        f"PostgreSQL {database['version']}, {database['encoding']}, fsync {database['fsync']},",
        f"synchronous_commit {database['synchronous_commit']}, migrated to {database['migration']}",
        *(["READ-ONLY"] if database["read_only"] else []),
    ]
    yield "database", Text(" ".join(words), "" if good else "bold red")
    yield "rates", _rates(report["rates"])


def _of_health(services: Report) -> Iterable[tuple[str, Text]]:
    for name, health in services.items():
        why = "; ".join(f"{server}: {why}" for server, why in health["why"].items())
        text = health["status"] + (f" ({why})" if why else "")
        yield name, Text(text, "green" if health["status"] == "ok" else "bold red")


def _rates(rates: Report | None) -> Text:
    if rates is None:
        return Text("unknown: no ingest answers on INGEST_HTTP_HOST and INGEST_HTTP_PORT", "yellow")
    each = rates["per_second"]
    batch = "" if rates["batch_ms"] is None else f", {rates['batch_ms']:,.0f} ms a batch"
    text = (
        f"{each['messages']:,.0f} messages/s, {each['rows']:,.0f} rows/s{batch}, {rates['in_hand']:,} in hand, "
        f"the oldest for {duration(rates['oldest_seconds'])}"
    )
    return Text(text, "bold red" if rates["oldest_seconds"] > _OLDEST_SECONDS else "")


def _of_vens(vens: Report) -> Iterable[tuple[str, Text]]:
    offline = vens["known"] - vens["online"]
    yield "VENs", Text(f"{vens['online']:,} online, {offline:,} offline, {vens['known']:,} in all")
    slow = vens["slow_reporters"]
    if slow["vens"]:
        every = f"{slow['vens']:,} VENs report every {round(slow['every_seconds'] / 60)} min"
        text = f"{every}; raise VEN_OFFLINE_AFTER to {slow['needed_seconds']}"
        yield "slow reporters", Text(text, "yellow")


def _of_counting(counting: Report | None, report: Report) -> Iterable[tuple[str, Text]]:
    if counting is None:
        return
    lag = counting["lag_seconds"]
    text = _time(counting["watermark"]) + (f" ({duration(lag)} ago)" if lag is not None else "")
    yield "counted up to", Text(text, "bold red" if lag is not None and lag > _LAG_SECONDS else "")
    rates = report["rates"]
    if rates and rates["tick_ms"] is not None:
        yield "a tick takes", Text(f"{rates['tick_ms']:.0f} ms (mean of {rates['ticks']:,})")
    yield "late readings", Text(f"{counting['late_readings']:,} wait to be counted")
    yield "raw rows from", Text(_time(counting["raw_from"]) if counting["raw_from"] else "the first on")


def _of_disk(report: Report) -> Iterable[tuple[str, Text]]:
    disk = report["disk"]
    free = (
        "free unknown, as it is another machine's" if disk["free"] is None else f"{_bytes(disk['free'])} free"
    )
    grows, style = "", ""
    if disk["a_day"]:
        grows = f"; raw rows grow by {_bytes(disk['a_day'])} a day, {_bytes(disk['raw_at_retention'])} at retention"
    if disk["days_left"] is not None:
        grows += f"; {disk['days_left']:,.0f} days left at today's growth"
        style = "bold red" if disk["days_left"] < _DAYS_LEFT else ""
    yield "disk", Text(f"{_bytes(disk['used'])} in tables, {free}{grows}", style)


# The columns of each table: the head, and the function that makes a cell from a row.
_Columns = dict[str, Any]
_CLOCK: _Columns = {
    "VEN": lambda r: r["ven"],
    "fault": lambda r: r["fault"],
    "off by": lambda r: duration(abs(r["behind_seconds"])),
    "last seen": lambda r: _time(r["last_seen"]),
}
_SLOW: _Columns = {"VEN": lambda r: r["ven"], "reports every": lambda r: duration(r["every_seconds"])}
_FLAW: _Columns = {
    "VEN": lambda r: r["ven"],
    "messages": lambda r: f"{r['times']:,}",
    "latest": lambda r: _time(r["latest"]),
    "topic": lambda r: r["topic"],
    "reason": lambda r: r["reason"],
}
_OFFLINE: _Columns = {
    "VEN": lambda r: r["ven"],
    "last seen": lambda r: _time(r["last_seen"]),
    "status": lambda r: r["status"] or "",
}
_DEAD: _Columns = {
    "messages": lambda r: f"{r['messages']:,}",
    "different": lambda r: f"{r['letters']:,}",
    "latest": lambda r: _time(r["latest"]),
    "VEN": lambda r: r["ven"] or "-",
    "topic": lambda r: r["topic"],
    "reason": lambda r: r["reason"],
}
_WAITING: _Columns = {
    "session": lambda r: f"{r['application']} (pid {r['pid']})",
    "waits for": lambda r: f"{r['holder_application'] or 'somebody'} (pid {r['holder']})",
    "which began": lambda r: f"{duration(r['held_seconds'])} ago",
}
_TABLE: _Columns = {
    "table": lambda r: r["table"],
    "rows (about)": lambda r: f"{r['rows']:,}",
    "size": lambda r: _bytes(r["bytes"]),
    "partitions": lambda r: str(r["partitions"]) if r["partitions"] else "",
    "from": lambda r: _day(r["first"]),
    "to": lambda r: _day(r["last"]),
}


def _worst(title: str, rows: list[Report], columns: _Columns) -> Table:
    table = Table(
        *columns,
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        header_style="dim",
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*(Text(printable(cell(row))) for cell in columns.values()))
    return table


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else "not yet"


def _day(midnight: datetime | None) -> str:
    """The day of a bound of partitions, which is a UTC midnight."""
    return f"{midnight:%Y-%m-%d}" if midnight else ""


def _bytes(size: float) -> str:
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} B"
