"""The report of `ecs-backend status`: from the database, and from ingest and the api if they answer."""

import math
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from shared import config
from shared.clocks import OFF_SECONDS, clock_fault
from shared.commands.services import Service, figures, health
from shared.db import libpq_arguments
from shared.sql import load_blocks

_SQL = load_blocks(Path(__file__).with_name("status_report.sql"))
# So many VENs of each kind are named, the worst.
WORST = 10
# A reading should speak so much longer than the time until the VEN's next reading.
_SLACK_SECONDS = 60
# Rates are taken over at least this, because messages may come in one burst every second.
_RATE_SECONDS = 1.0
# In the first minutes of a day, its growth cannot be estimated.
_LEAST_OF_A_DAY = 600.0
_ANSWER_SECONDS = 30
_UNSET = "not set"
# Settings with these words in their names are never shown. A setting that names a file may be PEM text.
_SECRET = ("PASSWORD", "KEY", "CERT", "USERNAME")

Report = dict[str, Any]
_RATES = {
    "messages": "ecs_ingest_received_total",
    "stored": "ecs_ingest_stored_total",
    "duplicate": "ecs_ingest_duplicate_total",
    "dead_lettered": "ecs_ingest_dead_lettered_total",
    "rows": "ecs_ingest_rows_total",
}


class Settings(msgspec.Struct, frozen=True):
    """The kinds of settings that status reads; it shows those that are not the default."""

    db: config.Database
    dashboard: config.Dashboard
    retention: config.Retention
    ingest: config.Ingest
    api: config.Api
    mqtt: config.Mqtt


def read(env: Mapping[str, str]) -> Settings:
    """The settings in `env`. Raises SettingsError with one line that names what is wrong."""
    # A machine with a database only has no MQTT_HOST.
    return config.read_all(Settings, {"MQTT_HOST": _UNSET, **env})


class Reporter:
    """Makes reports. Rates are measured since the report before, or over a second if that is less than a second ago."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ingest = Service(settings.ingest.http_host, settings.ingest.http_port, "/health")
        self._api = Service(settings.api.host, settings.api.port, "/health/db-check")
        self._before = self._look()

    def services(self) -> Report:
        """The state of ingest and the api, which needs no database."""
        return {"ingest": health(self._ingest), "api": health(self._api)}

    def report(self) -> Report:
        """The whole report; raises what psycopg raises if the database does not answer."""
        found = {"at": datetime.now(UTC), "health": self.services()}
        with psycopg.connect(**libpq_arguments(self._settings.db), row_factory=dict_row) as connection:
            connection.execute(f"SET TIME ZONE 'UTC'; SET statement_timeout = '{_ANSWER_SECONDS}s'")
            found |= _of_database(connection, self._settings)
        found["rates"] = self._rates()
        found["settings"] = changed(self._settings)
        return found

    def _look(self) -> tuple[float, dict[str, float]]:
        return time.monotonic(), figures(self._ingest)

    def _rates(self) -> Report | None:
        """Messages and rows a second of ingest, and the messages in hand; None if ingest does not answer."""
        then, before = self._before
        if before:
            time.sleep(max(0.0, then + _RATE_SECONDS - time.monotonic()))
        now, after = self._before = self._look()
        if not before or not after:
            return None
        per_second = {
            name: max(0.0, after.get(family, 0) - before.get(family, 0)) / (now - then)
            for name, family in _RATES.items()
        }
        ticks = after.get("ecs_rollup_tick_seconds_count", 0)
        return {
            "per_second": per_second,
            "batch_ms": _mean_ms("ecs_ingest_flush_seconds", before, after),
            "in_hand": int(after.get("ecs_ingest_unacked", 0)),
            "oldest_seconds": after.get("ecs_ingest_oldest_unacked_seconds", 0.0),
            "tick_ms": 1000 * after["ecs_rollup_tick_seconds_sum"] / ticks if ticks else None,
            "ticks": int(ticks),
        }


def _mean_ms(family: str, before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    count = after.get(f"{family}_count", 0) - before.get(f"{family}_count", 0)
    return 1000 * (after[f"{family}_sum"] - before.get(f"{family}_sum", 0)) / count if count > 0 else None


def _of_database(connection: psycopg.Connection[Any], settings: Settings) -> Report:
    def rows(block: str, **values: Any) -> list[Report]:
        return connection.execute(_SQL[block], values or None).fetchall()

    silent = settings.dashboard.ven_offline_after
    tables = rows("tables")
    (server,) = rows("server")
    return {
        "database": server,
        "waiting": rows("waiting"),
        "vens": {
            **rows("vens", silent=silent)[0],
            "longest_offline": rows("offline", silent=silent, worst=WORST),
            "slow_reporters": _slow_reporters(rows("slow_reporters", worst=WORST)),
            "clocks": [
                {**row, "fault": clock_fault(row["behind_seconds"])}
                for row in rows("clocks", least=OFF_SECONDS, worst=WORST)
            ],
            "flawed": rows("flaws", kind="flawed", worst=WORST),
            "conflicting": rows("flaws", kind="conflict", worst=WORST),
        },
        "counting": next(iter(rows("rollups")), None),
        "dead_letters": rows("dead_letters", worst=WORST),
        "tables": tables,
        "disk": _disk(connection, tables, settings, rows("today")[0]),
    }


def _slow_reporters(rows: list[Report]) -> Report:
    """VENs that usually report less often than a reading speaks: between two readings they are offline and not
    counted."""
    if not rows:
        return {"vens": 0, "every_seconds": None, "needed_seconds": None, "worst": []}
    longest = rows[0]["longest_seconds"]
    return {
        "vens": rows[0]["vens"],
        "every_seconds": rows[0]["median_seconds"],
        "needed_seconds": math.ceil(longest) + _SLACK_SECONDS,
        "worst": [{"ven": row["ven"], "every_seconds": row["every_seconds"]} for row in rows],
    }


def _disk(
    connection: psycopg.Connection[Any], tables: list[Report], settings: Settings, today: Report
) -> Report:
    """Sizes in bytes. `free`: on the database's disk, None if that is on another machine; `a_day`: the growth of raw
    rows in a day at today's pace, None in the first minutes of a day; `days_left`: at that pace, without retention."""
    free = _free(connection)
    seconds = today["seconds"]
    a_day = today["bytes"] * 86400 / seconds if seconds and seconds >= _LEAST_OF_A_DAY else None
    return {
        "used": sum(int(table["bytes"]) for table in tables),
        "free": free,
        "a_day": a_day,
        "days_left": free / a_day if free is not None and a_day else None,
        "raw_at_retention": a_day * settings.retention.raw_retention_days if a_day else None,
    }


def _free(connection: psycopg.Connection[Any]) -> int | None:
    # Only a server that is reached over a Unix socket is certainly on this machine.
    if not connection.info.host.startswith("/"):
        return None
    try:
        row = connection.execute("SELECT current_setting('data_directory') AS at").fetchone()
        disk = os.statvfs(row["at"]) if row else None
    except (psycopg.errors.InsufficientPrivilege, OSError):
        return None
    return disk.f_bavail * disk.f_frsize if disk else None


def changed(settings: Settings) -> Report:
    """The settings of retention and the dashboard, and all others that are not the default, without secrets."""
    always = {**msgspec.to_builtins(settings.retention), **msgspec.to_builtins(settings.dashboard)}
    others = {
        field.encode_name: getattr(kind, field.name)
        for kind in (settings.mqtt, settings.ingest, settings.api)
        for field in msgspec.structs.fields(kind)
        if getattr(kind, field.name) not in (field.default, _UNSET)
        and not any(word in field.encode_name for word in _SECRET)
    }
    return {**always, **others}
