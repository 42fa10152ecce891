"""Middleware of every request: its time, an answer to any error, no trailing slash, API keys, a bounded body."""

import hmac
import time
from collections.abc import Sequence
from http import HTTPMethod

from prometheus_client import Histogram
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.web.errors import TooLargeError, UnauthorizedError, answer_api_error, answer_unforeseen

MAX_BODY_BYTES = 64 * 1024
_METHODS = frozenset(HTTPMethod)


class Measure:
    """Measures the s of each request, by the template of its route (never its raw path), method and status."""

    def __init__(self, app: ASGIApp, seconds: Histogram) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and observe how long its answer took."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._seconds.labels(route, method, status).observe(time.perf_counter() - started)


class AnyError:
    """Turns an unexpected error into a 500 whose text is only a reference to the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and answer if it raises."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as exc:
            # The outermost edge: whatever error it is, the log has it, and the client gets an answer.
            response = answer_unforeseen(Request(scope), exc)
            if begun:
                raise
            await response(scope, receive, send)


class NoTrailingSlash:
    """Removes a trailing slash, so that every path answers with one as without, and without a redirect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on without the slash."""
        if scope["type"] == "http" and len(scope["path"]) > 1:
            scope["path"] = scope["path"].removesuffix("/")
        await self._app(scope, receive, send)


class Keys:
    """If keys are set, a request under /api needs one: `Authorization: Bearer …` or `X-API-Key`."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if it has a valid key or needs none; otherwise answer 401."""
        if scope["type"] == "http" and self._keys and _is_api(scope["path"]) and not self._known(scope):
            text = "send a valid API key, as `Authorization: Bearer <key>` or `X-API-Key: <key>`"
            response = await answer_api_error(Request(scope), UnauthorizedError(text))
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _known(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = [headers.get("x-api-key", ""), token.strip() if scheme.lower() == "bearer" else ""]
        # Compare with every key, each in constant time, so that the duration reveals nothing about the keys.
        matches = [hmac.compare_digest(one.encode("latin-1"), key) for one in given for key in self._keys]
        return any(matches)


class BoundedBody:
    """Refuses a body of more than 64 KiB: at once if Content-Length says so, else by TooLargeError while it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a `receive` that counts."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        too_large = TooLargeError(f"the body is more than {MAX_BODY_BYTES} bytes (64 KiB)")
        if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
            response = await answer_api_error(Request(scope), too_large)
            await response(scope, receive, send)
            return
        read = 0

        async def counting() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise too_large
            return message

        await self._app(scope, counting, send)


def _is_api(path: str) -> bool:
    return path == "/api" or path.startswith("/api/")
