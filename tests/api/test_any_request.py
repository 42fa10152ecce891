"""Requests generated from the contract: the contract describes every answer."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from shared.config import Api, Database
from shared.ports import accepts
from tests.support.api_client import document
from tests.support.api_data import store
from tests.support.model import R
from tests.support.servers import (
    Process,
    as_environment,
    free_port,
    new_database,
    temporary_directory,
    wait_until,
)

NOON = 1_783_684_800


def _results() -> Iterator[Any]:
    yield from schemathesis.openapi.from_dict(document()).get_all_operations()


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
OPERATIONS: list[Any] = [
    operation
    for operation in (result.ok() for result in _results())
    if not operation.path.startswith(("/docs", "/openapi", "/metrics", "/page"))
]
# What takes nothing but a path cannot be asked wrongly.
TAKING_MORE = [
    operation
    for operation in OPERATIONS
    if {"requestBody", "parameters"} & set(document()["paths"][operation.path][operation.method])
]
CASES = [(operation, GenerationMode.POSITIVE) for operation in OPERATIONS] + [
    (operation, GenerationMode.NEGATIVE) for operation in TAKING_MORE
]


@pytest.fixture(scope="module")
def url(postgres: Database, template: str) -> Iterator[str]:
    """Where an api with a little data runs."""
    port = free_port()
    with new_database(postgres, template) as database, temporary_directory() as directory:
        store(
            database,
            [R("ven-101", NOON, 1, 0.5, 2, "dr", (("ld-101-a", 1, 0.5),)), R("ven-102", NOON + 60, 2)],
        )
        with Process(directory, "api", env=as_environment(database, Api(port=port))) as running:
            wait_until(lambda: accepts("127.0.0.1", port), 20, running.output)
            yield f"http://127.0.0.1:{port}"
            assert "unforeseen" not in running.output()


@pytest.mark.parametrize(("operation", "mode"), CASES, ids=lambda part: getattr(part, "label", None))
def test_any_request(url: str, operation: Any, mode: GenerationMode) -> None:
    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        case.validate_response(case.call(base_url=url), checks=CHECKS)

    ask()
