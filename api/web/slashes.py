"""Ids with a slash: a %2F in the path is part of an id, and does not separate two parts of the path."""

from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

# Replaces the slash of an id on the way to the handler. No id has it: Unicode assigns it to no character.
_SLASH = "\ufdd0"


class SlashesInIds:
    """Replaces the %2F of ids by a mark, because servers decode a %2F to the same slash that separates the path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        raw = scope.get("raw_path") if scope["type"] == "http" else None
        if raw and b"%2f" in raw.lower():
            path = raw.partition(b"?")[0].decode("latin-1")
            scope["path"] = unquote(path.replace("%2F", _SLASH).replace("%2f", _SLASH))
        await self._app(scope, receive, send)


def slashes(text: str) -> str:
    """`text`, a part of a path, with the marks turned into slashes again."""
    return text.replace(_SLASH, "/")
