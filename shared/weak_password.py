"""Warns at the start of a program if the password of the database is easy to guess."""

from shared.config import Database
from shared.logs import get_logger

log = get_logger(__name__)

# The password in .env.example.
_EXAMPLE = "ecs"


def warn_of_weak_password(settings: Database) -> None:
    """Log a warning if DB_PASSWORD is easy to guess; not for a Unix socket, which only this machine can reach."""
    if settings.password in (_EXAMPLE, settings.user) and not settings.host.startswith("/"):
        log.warning("weak_password", setting="DB_PASSWORD")
