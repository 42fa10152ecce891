"""A path with its methods and query parameters, and answers as JSON and CSV."""

import csv
import io
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from api.web.errors import BadRequestError, problem
from api.web.slashes import slashes

_CACHE_BUSTER = "_"
# Spreadsheets take a cell that begins with one of these for a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Handler = Callable[[Request], Awaitable[Response]]


class Resource:
    """An ASGI endpoint: a handler for each method; HEAD answers as GET does, OPTIONS lists the methods.

    `params` names the query parameters of GET. Any other one, and one given twice, raises BadRequestError; except `_`,
    which clients add to get past caches.
    """

    def __init__(self, handlers: Mapping[str, Handler], params: Sequence[str] | None) -> None:
        self._handlers = dict(handlers)
        self._params = params
        if "GET" in handlers:
            self._handlers["HEAD"] = handlers["GET"]
        self.allow = ", ".join(sorted({*self._handlers, "OPTIONS"}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["path_params"] = {name: slashes(value) for name, value in scope["path_params"].items()}
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        handler = self._handlers.get(request.method)
        if handler is not None:
            self._check_params(request)
            return await handler(request)
        if request.method == "OPTIONS":
            return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Allow": self.allow})
        detail = f"{request.scope['path']} takes {self.allow}, not {request.method}"
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, {"Allow": self.allow})

    def _check_params(self, request: Request) -> None:
        if self._params is None:
            return
        takes = self._params if request.method in ("GET", "HEAD") else ()
        seen: set[str] = set()
        for name, _ in request.query_params.multi_items():
            if name == _CACHE_BUSTER:
                continue
            if name not in takes:
                known = (
                    f"this path takes {', '.join(takes)}" if takes else "this path takes no query parameter"
                )
                raise BadRequestError(f"{name[:64]}: unknown query parameter; {known}")
            if name in seen:
                raise BadRequestError(f"{name}: given more than once; give it once")
            seen.add(name)


def resource(path: str, *, params: Sequence[str] | None = (), **handlers: Handler) -> Route:
    """The route of `path` with a handler for each method, `GET=…`; params=None allows any query."""
    return Route(path, Resource(handlers, params))


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def json(value: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as JSON."""
    content = msgspec.json.encode(value)
    return Response(content, status, headers=dict(headers or {}), media_type="application/json")


def csv_table(header: Sequence[str], rows: Iterable[Sequence[Any]], headers: Mapping[str, str]) -> Response:
    """Rows below a header as CSV (RFC 4180); None becomes an empty field. A text that a spreadsheet would take for a
    formula gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return Response(text.getvalue(), headers=dict(headers), media_type="text/csv")
