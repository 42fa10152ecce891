"""What handlers work with, found by its type: so no package needs to know what the others have."""

from typing import TypeVar, cast

from starlette.requests import Request

T = TypeVar("T")


class Services:
    """One object of each type, made once an app."""

    def __init__(self, *members: object) -> None:
        self._by_type = {type(member): member for member in members}

    def get(self, kind: type[T]) -> T:
        """The one of this type; KeyError if the app has none."""
        return cast(T, self._by_type[kind])


def service(request: Request, kind: type[T]) -> T:
    """The `kind` of the app that answers `request`."""
    services: Services = request.app.state.services
    return services.get(kind)
