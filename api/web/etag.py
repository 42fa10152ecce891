"""ETag: an answer that says what the last one said is not sent again."""

import hashlib
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response


def tagged(request: Request, response: Response) -> Response:
    """`response` with the hash of its body as ETag, or 304 without a body if the request's If-None-Match names it."""
    tag = response.headers.get("ETag")
    if tag is None:
        # Of an answer that many get: the first one.
        tag = response.headers["ETag"] = f'"{hashlib.blake2b(response.body, digest_size=16).hexdigest()}"'
    if not _names(request.headers.getlist("if-none-match"), tag):
        return response
    headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)


def _names(fields: list[str], tag: str) -> bool:
    """Whether If-None-Match names the tag. A proxy that compresses may have made a weak one of it."""
    named = (entry.strip().removeprefix("W/") for field in fields for entry in field.split(","))
    return any(entry in (tag, "*") for entry in named)
