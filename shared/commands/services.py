"""Asks ingest and the api for /health and /metrics."""

import http.client
import json
from contextlib import suppress
from typing import Any, NamedTuple

from shared.ports import local

_SECONDS = 2.0


class Service(NamedTuple):
    """Where a service listens, and the path of its health check."""

    host: str
    port: int
    health: str


def health(service: Service) -> dict[str, Any]:
    """`status`: ok, waiting or unreachable; `why`: the reasons, by server."""
    answer = _get(service, service.health)
    if answer is None:
        return {"status": "unreachable", "why": {"address": f"{service.host}:{service.port} does not answer"}}
    code, body = answer
    if code == http.client.OK:
        return {"status": "ok", "why": {}}
    said: Any = {}
    with suppress(ValueError):
        said = json.loads(body)
    why = said.get("waitingFor") if isinstance(said, dict) else None
    detail = said.get("detail") if isinstance(said, dict) else None
    return {"status": "waiting", "why": why or {"answer": str(detail or code)}}


def figures(service: Service) -> dict[str, float]:
    """The metrics without labels, by name; empty if the service does not answer."""
    answer = _get(service, "/metrics")
    lines = answer[1].splitlines() if answer else []
    plain = (line.split() for line in lines if not line.startswith("#") and "{" not in line)
    return {name: float(value) for name, value in plain}


def _get(service: Service, path: str) -> tuple[int, str] | None:
    connection = http.client.HTTPConnection(local(service.host), service.port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return None
    finally:
        connection.close()
