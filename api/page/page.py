"""The page at / and its files, read and compressed once."""

import gzip
import importlib.util
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from api.web.errors import NotFoundError
from api.web.etag import tagged
from api.web.lookup import service

_HERE = Path(__file__).parent
_CHARTS = "dygraph-combined.js"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# The browser loads nothing from other hosts, and runs nothing inline.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}


class Page:
    """The page's files by name."""

    def __init__(self) -> None:
        found = [each for each in _HERE.iterdir() if each.suffix in _TYPES]
        self._files = {each.name: _File(each) for each in [*found, _charts()]}

    def file(self, request: Request, name: str) -> Response:
        """The answer with a file of the page; raises NotFoundError."""
        if name not in self._files:
            raise NotFoundError(f"the page has no file {name[:128]!r}")
        return tagged(request, self._files[name].answer(request))


class _File:
    """One file, as it is and compressed."""

    def __init__(self, path: Path) -> None:
        self._plain = path.read_bytes()
        self._compressed = gzip.compress(self._plain, mtime=0)
        self._type = _TYPES[path.suffix]

    def answer(self, request: Request) -> Response:
        """The file, compressed if the client accepts that."""
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers = {**_HEADERS, "Content-Encoding": "gzip"}
            return Response(self._compressed, HTTPStatus.OK, headers, self._type)
        return Response(self._plain, HTTPStatus.OK, _HEADERS, self._type)


async def get_page(request: Request) -> Response:
    """GET /."""
    return service(request, Page).file(request, "index.html")


async def get_file(request: Request) -> Response:
    """GET /page/{file}: what the page loads."""
    return service(request, Page).file(request, request.path_params["file"])


def _charts() -> Path:
    """The script in the package dygraphs, which is not imported: that would need more packages."""
    found = importlib.util.find_spec("dygraphs")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the package dygraphs is missing: pip install -r requirements.txt")
    return Path(found.origin).parent / "assets" / _CHARTS
