"""/openapi.json and /docs: the contract, from docs/backend-api.yaml, and a page to try it."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

import swagger_ui_bundle
import yaml
from starlette.requests import Request
from starlette.responses import Response

from api.web.errors import BadRequestError, NotFoundError
from api.web.lookup import service
from api.web.resource import json
from shared import installation

FILE = installation.data("docs") / "backend-api.yaml"
_PAGE = Path(__file__).with_name("docs.html")
# libyaml's loader is ten times as fast, but not installed everywhere.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}


class Contract:
    """The OpenAPI document and its page, read once."""

    def __init__(self, file: Path = FILE) -> None:
        self.document: dict[str, Any] = yaml.load(file.read_bytes(), Loader=_LOADER)  # noqa: S506 a safe one
        self.page = _PAGE.read_bytes()
        vendor = Path(swagger_ui_bundle.swagger_ui_path)
        self._assets = {name: (vendor / name).read_bytes() for name in _ASSETS}

    def asset(self, name: str) -> Response:
        """A file of the page; raises NotFoundError."""
        if name not in self._assets:
            raise NotFoundError(f"the page has no file {name[:128]!r}")
        headers = {"Cache-Control": "max-age=86400"}
        return Response(self._assets[name], media_type=_ASSETS[name], headers=headers)

    def for_swagger_ui(self) -> Any:
        """The document as OpenAPI 3.0, because the bundled page cannot read 3.1."""
        return _downgraded(self.document) | {"openapi": "3.0.3"}


async def get_document(request: Request) -> Response:
    """GET /openapi.json."""
    contract, version = _contract(request), request.query_params.get("version", "3.1")
    if version not in ("3.0", "3.1"):
        raise BadRequestError(f"version: {version[:64]!r} is neither 3.0 nor 3.1")
    return json(contract.for_swagger_ui() if version == "3.0" else contract.document)


async def get_page(request: Request) -> Response:
    """GET /docs."""
    return Response(_contract(request).page, HTTPStatus.OK, media_type="text/html")


async def get_asset(request: Request) -> Response:
    """GET /docs/{file}: what the page loads."""
    return _contract(request).asset(request.path_params["file"])


def _contract(request: Request) -> Contract:
    return service(request, Contract)


def _downgraded(node: Any) -> Any:
    """`node` with `nullable` for `type: [x, "null"]` and `anyOf: [x, {type: "null"}]`, which 3.0 does not know."""
    if isinstance(node, list):
        return [_downgraded(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: _downgraded(value) for name, value in node.items()}
    if isinstance(node.get("type"), list):
        kinds = [kind for kind in node["type"] if kind != "null"]
        node |= {"type": kinds[0], "nullable": True}
    if {"type": "null"} in node.get("anyOf", []):
        node["anyOf"] = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
        node["nullable"] = True
    return node
