"""Errors as answers: application/problem+json {type, title, status, detail}."""

import secrets
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.web.slashes import slashes
from shared.errors import EcsError
from shared.logs import get_logger

log = get_logger(__name__)


class ApiError(EcsError):
    """The request fails. The text becomes `detail` of the answer: it names the field and what it may be."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    headers: Mapping[str, str] = MappingProxyType({})


class BadRequestError(ApiError):
    """A query parameter is malformed, out of bounds, unknown or repeated."""

    status = HTTPStatus.BAD_REQUEST


class UnauthorizedError(ApiError):
    """No API key, or a wrong one."""

    status = HTTPStatus.UNAUTHORIZED
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class NotFoundError(ApiError):
    """The VEN, load, event or file that the path names does not exist."""

    status = HTTPStatus.NOT_FOUND


class ConflictError(ApiError):
    """The event that the path names is in a state that does not allow the request."""

    status = HTTPStatus.CONFLICT


class TooLargeError(ApiError):
    """The body is too large."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class InvalidBodyError(ApiError):
    """The body is not JSON, or a field of it is wrong."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class UnavailableError(ApiError):
    """The database cannot answer now; the same request may succeed later."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    headers = MappingProxyType({"Retry-After": "2"})


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer for an error."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
    return Response(
        msgspec.json.encode(body), status, headers=dict(headers or {}), media_type="application/problem+json"
    )


async def answer_api_error(_: Request, exc: Exception) -> Response:
    """The answer for an ApiError. If the error has a cause, the log has it, under a reference that the answer names."""
    assert isinstance(exc, ApiError)  # noqa: S101 the table of handlers says so
    detail = str(exc)
    if exc.__cause__ is not None and exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        reference = new_reference()
        cause = exc.__cause__
        log.warning("unavailable", reference=reference, error=type(cause).__name__, text=str(cause))
        detail = f"{detail} (reference {reference})"
    return problem(exc.status, detail, exc.headers)


async def answer_http_exception(request: Request, exc: Exception) -> Response:
    """The answer for an error of Starlette itself: an unknown path."""
    assert isinstance(exc, HTTPException)  # noqa: S101 the table of handlers says so
    detail = exc.detail
    if exc.status_code == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {slashes(request.scope['path'])}: /openapi.json lists every path"
    return problem(exc.status_code, detail, exc.headers)


async def answer_gone_client(_request: Request, _exc: Exception) -> Response:
    """The answer for a client that disconnected while it sent its body, which nobody reads."""
    return problem(HTTPStatus.BAD_REQUEST, "the request's body did not arrive")


def answer_unforeseen(request: Request, exc: Exception) -> Response:
    """The answer for an unexpected error, which only the log explains."""
    reference = new_reference()
    log.error("unforeseen", reference=reference, path=request.scope["path"], exc_info=exc)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, f"the api failed: the log says why (reference {reference})"
    )


def new_reference() -> str:
    """A short id that ties an answer to its line in the log."""
    return secrets.token_hex(6)
