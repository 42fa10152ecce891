"""`python -m shared.commands.healthcheck PORT`: whether the service on that local port answers /health with 200."""

import http.client
import sys

_TIMEOUT_SECONDS = 4.0


def healthy(port: int) -> bool:
    """Whether GET /health answers 200 in time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if healthy(int(sys.argv[1])) else 1)
