"""The figures of a running ingest, from its /metrics."""

import http.client

from shared.config import Ingest
from shared.ports import local

_SECONDS = 2.0


def figures(settings: Ingest) -> dict[str, float]:
    """Its figures without labels, by name; empty if it does not answer where the settings say."""
    connection = http.client.HTTPConnection(local(settings.http_host), settings.http_port, timeout=_SECONDS)
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()
    plain = (line.split() for line in lines if not line.startswith("#") and "{" not in line)
    return {name: float(value) for name, value in plain}
