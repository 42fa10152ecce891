"""The table of tiers is what the rest relies on."""

from datetime import timedelta
from itertools import pairwise

import msgspec

from shared import tiers
from shared.config import Database, Retention
from tests.support.servers import execute


def test_each_width_divides_the_next_and_the_widest_a_day() -> None:
    widths = [*(tier.width for tier in tiers.TIERS), timedelta(days=1)]
    assert [more % less for less, more in pairwise(widths)] == [timedelta()] * len(tiers.TIERS)


def test_a_tier_is_made_of_a_narrower_one_of_the_same_kinds() -> None:
    made = {tier.minutes: tier.kept.keys() for tier in tiers.TIERS if tier.source is None}
    for tier in tiers.TIERS:
        if tier.source is not None:
            assert tier.kept.keys() <= made[tier.source]
            made[tier.minutes] = tier.kept.keys()


def test_every_bound_has_a_setting() -> None:
    settings = {field.name for field in msgspec.structs.fields(Retention)}
    assert {bound.setting for bound in tiers.BOUNDS} <= settings


def test_the_database_has_every_table_and_bound(database: Database) -> None:
    tables = execute(
        database,
        "SELECT relname FROM pg_class WHERE relname ~ '_power_\\d+m$' AND relkind IN ('r', 'p')",
    )
    assert {name for (name,) in tables} == set(tiers.TABLES)
    columns = execute(
        database, "SELECT attname FROM pg_attribute WHERE attrelid = 'rollup_state'::regclass AND attnum > 0"
    )
    assert {bound.column for bound in tiers.BOUNDS} <= {name for (name,) in columns}
