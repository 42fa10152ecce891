"""The api under test, and a client that compares every answer with docs/backend-api.yaml."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from starlette.applications import Starlette

from api.app import create_app
from api.service.contract import FILE
from api.settings import Settings
from shared.config import Api, Dashboard, Database, Log

NOWHERE = Database(host="/nowhere", user="nobody", password="none", name="none")


def settings(database: Database = NOWHERE, **kinds: Any) -> Settings:
    """The api's settings; `api=` and `dashboard=` replace those kinds."""
    return Settings(database, kinds.get("api", Api()), kinds.get("dashboard", Dashboard()), Log())


@asynccontextmanager
async def serving(database: Database = NOWHERE, **kinds: Any) -> AsyncIterator["Client"]:
    """A client of an app of its own, without a socket."""
    app = create_app(settings(database, **kinds))
    async with app.router.lifespan_context(app), Client(app) as client:
        yield client


class Client(httpx.AsyncClient):
    """An httpx client that raises AssertionError for an answer that the contract does not describe."""

    def __init__(self, app: Starlette) -> None:
        # The answer to an unexpected error is tested too.
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        super().__init__(transport=transport, base_url="http://api")
        self.app = app

    async def request(self, method: str, url: Any, **kwargs: Any) -> httpx.Response:
        response = await super().request(method, url, **kwargs)
        check(response)
        return response

    async def points(self, path: str, **params: str) -> list[dict[str, Any]]:
        """The points of a history, which must be there."""
        response = await self.get(path, params=params)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()["points"]
        return found

    async def detail(self, status: int, path: str, method: str = "GET", **kwargs: Any) -> str:
        """What an error says, which must have `status`."""
        response = await self.request(method, path, **kwargs)
        assert response.status_code == status, response.text
        problem = response.json()
        assert response.headers["content-type"] == "application/problem+json"
        assert problem["status"] == status
        assert set(problem) == {"type", "title", "status", "detail"}
        return str(problem["detail"])


def check(response: httpx.Response) -> None:
    """AssertionError if the contract does not describe this answer to the request."""
    request = response.request
    operation = operation_of(request.method, request.url.raw_path.partition(b"?")[0].decode())
    if request.method == "OPTIONS":
        return
    if operation is None:
        assert response.status_code in (401, 404, 405), (
            request.method,
            request.url.path,
            response.status_code,
        )
        described: Mapping[str, Any] = document()["components"]["responses"]["Problem"]
    else:
        answers = operation["responses"]
        assert response.is_error or str(response.status_code) in answers, response.status_code
        described = _resolved(answers.get(str(response.status_code), answers["default"]))
    if request.method == "HEAD" or response.status_code in (204, 304):
        assert not response.content
        return
    kind = response.headers["content-type"].split(";")[0]
    assert kind in described["content"], (kind, response.text)
    if kind.endswith("json"):
        _validator(json.dumps(described["content"][kind]["schema"])).validate(response.json())


@cache
def document() -> dict[str, Any]:
    """docs/backend-api.yaml."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def operation_of(method: str, path: str) -> Mapping[str, Any] | None:
    """The operation of the contract that a request asks for; fixed paths come before templates."""
    method = "get" if method == "HEAD" else method.lower()
    path = path.rstrip("/") or "/"
    for template in sorted(document()["paths"], key=lambda template: template.count("{")):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            found: Mapping[str, Any] | None = document()["paths"][template].get(method)
            return found
    return None


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        at: Any = document()
        for name in node["$ref"].removeprefix("#/").split("/"):
            at = at[name]
        node = at
    return node


@cache
def _validator(schema: str) -> Draft202012Validator:
    whole = {**json.loads(schema), "components": document()["components"]}
    return Draft202012Validator(whole, format_checker=FormatChecker())
