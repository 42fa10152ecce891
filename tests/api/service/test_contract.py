"""docs/backend-api.yaml is the one source of the contract: the app has its routes, and no others."""

import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, ValidationError
from starlette.routing import Route

from api import load
from api.app import ROUTES
from api.fixtures import bodies
from api.fixtures import event_store as fixture_events
from api.fixtures import ven_store as fixture_vens
from api.telemetry import fleet, points, stats
from api.telemetry.buckets import MAX_POINTS
from api.telemetry.params import HISTORY_PARAMS
from api.web.resource import Resource
from tests.support.api_client import check, document, serving


def operations() -> set[tuple[str, str]]:
    methods = ("get", "post", "patch", "delete", "put")
    return {
        (path, name.upper()) for path, item in document()["paths"].items() for name in item if name in methods
    }


def served() -> set[tuple[str, str]]:
    found = set()
    for route in ROUTES:
        assert isinstance(route, Route)
        assert isinstance(route.endpoint, Resource)
        found |= {
            (route.path, name) for name in route.endpoint.allow.split(", ") if name not in ("HEAD", "OPTIONS")
        }
    return found


def test_routes_and_paths_of_the_contract_are_the_same() -> None:
    assert served() == operations()


def test_every_operation_is_named_once() -> None:
    names = [
        item[method]["operationId"]
        for path, item in document()["paths"].items()
        for method in item
        if method != "parameters"
    ]
    assert len(names) == len(set(names))


def test_the_parameters_of_a_history_are_those_of_the_contract() -> None:
    for path in (
        "/api/stats/network/history",
        "/api/vens/{venId}/history",
        "/api/vens/{venId}/loads/{loadId}/history",
    ):
        refs = [parameter["$ref"] for parameter in document()["paths"][path]["get"]["parameters"]]
        assert refs == [f"#/components/parameters/{name}" for name in HISTORY_PARAMS]


@pytest.mark.parametrize(
    ("schema", "struct"),
    [
        ("NetworkStats", stats.NetworkStats),
        ("LoadTypeStats", stats.LoadTypeStats),
        ("IngestStats", stats.IngestStats),
        ("HistoryResponse", points.HistoryResponse),
        ("TimeseriesPoint", points.Point),
        ("Load", load.Load),
        ("FleetVen", fleet.FleetVen),
        ("FleetVenWithLoads", fleet.FleetVenWithLoads),
        ("FleetPage", fleet.FleetPage),
        ("Ven", fixture_vens.Ven),
        ("VenMetrics", fixture_vens.Metrics),
        ("VenSummary", fixture_vens.VenSummary),
        ("Event", fixture_events.Event),
        ("CurrentEvent", fixture_events.CurrentEvent),
        ("EventMetrics", fixture_events.EventMetrics),
        ("NewVen", bodies.NewVen),
        ("VenChange", bodies.VenChange),
        ("LoadChange", bodies.LoadChange),
        ("Location", bodies.Location),
        ("ShedCommand", bodies.ShedCommand),
        ("NewEvent", bodies.NewEvent),
    ],
)
def test_a_struct_has_the_fields_of_its_schema(schema: str, struct: type[msgspec.Struct]) -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(struct)]
    assert set(fields) == set(document()["components"]["schemas"][schema]["properties"])


def test_every_schema_is_valid_and_every_reference_resolves() -> None:
    for schema in document()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in references(document()):
        at: Any = document()
        for name in reference.removeprefix("#/").split("/"):
            at = at[name]


async def test_it_is_served_as_json() -> None:
    async with serving() as api:
        assert (await api.get("/openapi.json")).json() == document()


async def test_it_is_served_as_openapi_3_0_to_what_cannot_read_3_1() -> None:
    async with serving() as api:
        old = (await api.get("/openapi.json?version=3.0")).json()
    assert old["openapi"] == "3.0.3"
    assert not [kind for kind in values(old, "type") if isinstance(kind, list) or kind == "null"]
    efficiency = old["components"]["schemas"]["NetworkStats"]["properties"]["networkEfficiency"]
    assert (efficiency["type"], efficiency["nullable"]) == ("number", True)


async def test_a_version_of_openapi_that_is_not_there_is_refused() -> None:
    async with serving() as api:
        assert "3.0 nor 3.1" in await api.detail(400, "/openapi.json?version=2.0")


async def test_the_page_loads_nothing_from_another_host() -> None:
    async with serving() as api:
        page = (await api.get("/docs")).text
        assert "//" not in re.sub(r"^\s*//.*$", "", page, flags=re.MULTILINE)
        for path in re.findall(r'(?:src|href)="([^"]+)"', page):
            assert (await api.get(path)).status_code == 200, path


def test_limits_of_the_contract_are_those_of_the_code() -> None:
    schemas = document()["components"]["schemas"]
    assert schemas["HistoryResponse"]["properties"]["points"]["maxItems"] == MAX_POINTS
    assert schemas["ShedCommand"]["properties"]["amountKw"]["maximum"] == bodies.MAX_KW
    assert schemas["Name"]["pattern"] == bodies.VISIBLE


def references(node: Any) -> list[str]:
    return [value for value in values(node, "$ref") if isinstance(value, str)]


def values(node: Any, name: str) -> list[Any]:
    if isinstance(node, list):
        return [value for item in node for value in values(item, name)]
    if not isinstance(node, dict):
        return []
    own = [node[name]] if name in node and not isinstance(node[name], dict) else []
    return own + [value for item in node.values() for value in values(item, name)]


async def test_the_test_client_refuses_what_is_not_in_the_contract() -> None:
    async with serving() as api:
        answer = await api.get("/api/vens")
        answer._content = b'[{"id": "ven-1"}]'
        with pytest.raises(ValidationError, match="required property"):
            check(answer)
