"""ETag: an answer that did not change since the client's last request is not sent again."""

import hashlib
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response


def tagged(request: Request, response: Response) -> Response:
    """`response` with the hash of its body as ETag, or 304 without a body if the request's If-None-Match names it."""
    tag = response.headers.get("ETag")
    if tag is None:
        # An answer that several requests share gets its tag once.
        tag = response.headers["ETag"] = f'"{hashlib.blake2b(response.body, digest_size=16).hexdigest()}"'
    if not _names(request.headers.getlist("if-none-match"), tag):
        return response
    headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)


def _names(fields: list[str], tag: str) -> bool:
    """Whether If-None-Match names the tag; also as a weak tag, which a compressing proxy makes of it."""
    named = (entry.strip().removeprefix("W/") for field in fields for entry in field.split(","))
    return any(entry in (tag, "*") for entry in named)
