"""The tables and migrations that the database must have for the api to answer."""

from collections.abc import Sequence
from pathlib import Path

from api.database import Database
from shared import tiers
from shared.sql import load_blocks

SQL = load_blocks(Path(__file__).with_name("schema.sql"))

TABLES = (
    *("vens", "ven_loads", "ven_telemetry", "ven_load_lists"),
    *tiers.TABLES,
    *("rollup_state", "holds", "ven_open", "late_readings", "late_lists"),
    *("ven_load_samples", "current_loads", "ven_signs", "_yoyo_migration"),
)


async def missing_tables(database: Database) -> Sequence[str]:
    """The tables of TABLES that do not exist."""
    return [row["name"] for row in await database.fetch(SQL["missing_tables"], TABLES)]


async def applied_migrations(database: Database) -> set[str]:
    """The names of the applied migrations."""
    return {row["migration_id"] for row in await database.fetch(SQL["applied_migrations"])}
