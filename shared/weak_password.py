"""A password of the database that anybody would guess is said at the start of each program."""

from shared.config import Database
from shared.logs import get_logger

log = get_logger(__name__)

# .env.example's.
_EXAMPLE = "ecs"


def warn_of_weak_password(settings: Database) -> None:
    """Log it, unless the server is reached by a socket of this machine alone."""
    if settings.password in (_EXAMPLE, settings.user) and not settings.host.startswith("/"):
        log.warning("weak_password", setting="DB_PASSWORD")
