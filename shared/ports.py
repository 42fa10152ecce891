"""TCP ports: listens on one, and checks whether one is free or answers."""

import socket

from shared.errors import StartupError

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 these are looked up, not bound


def require_free(host: str, port: int, remedy: str) -> None:
    """Raise StartupError if a server could not listen on `port` of `host`; `remedy`: what to do then."""
    listen(host, port, remedy).close()


def local(host: str) -> str:
    """The address by which this machine reaches a server that listens on `host`."""
    return _ANY.get(host, host)


def accepts(host: str, port: int) -> bool:
    """Whether something accepts connections on `port` of `host` now; for a server on every address, tries loopback."""
    try:
        socket.create_connection((local(host), port), timeout=1).close()
    except OSError:
        return False
    return True


def listen(host: str, port: int, remedy: str) -> socket.socket:
    """A socket that listens on `port` of `host`. Raises StartupError if it cannot; `remedy`: what to do then."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as exc:
        # The socket module adds the address to the reason.
        reason = str(exc.strerror).partition(" (")[0]
        raise StartupError(f"cannot listen on port {port} of {host} ({reason}): {remedy}") from exc
