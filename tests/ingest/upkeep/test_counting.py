"""Whatever comes in whatever order, what is stored is the integral of what is counted, to the last uWh."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest.database import leader_connection
from shared.config import Database
from tests.support.counting import (
    A_READING_WITHOUT_A_LIST,
    LATE_EDGE,
    LATE_NEWEST,
    NOTED_AND_SEEN,
    SILENT_FOR_SOME_TICKS,
    Counting,
    happenings,
)

pytestmark = pytest.mark.slow


def test_what_is_counted_is_the_integral_to_the_last_digit(database: Database) -> None:
    with asyncio.Runner() as runner:
        connection = runner.run(leader_connection(database))
        its = Counting(connection)

        async def play(happening: list[tuple[str, Any]]) -> None:
            await its.empty()
            for what, how in happening:
                await its.happen(what, how)
                await its.check()

        @settings(
            max_examples=150,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @example(LATE_EDGE)
        @example(LATE_NEWEST)
        @example(SILENT_FOR_SOME_TICKS)
        @example(A_READING_WITHOUT_A_LIST)
        @example(NOTED_AND_SEEN)
        @given(st.lists(happenings, min_size=2, max_size=14))
        def examples(happening: list[tuple[str, Any]]) -> None:
            runner.run(play(happening))

        try:
            examples()
        finally:
            runner.run(connection.close())
