"""Objects that handlers use, found by their type, so that no package needs to import another one's objects."""

from typing import TypeVar, cast

from starlette.requests import Request

T = TypeVar("T")


class Services:
    """One object of each type, made once for each app."""

    def __init__(self, *members: object) -> None:
        self._by_type = {type(member): member for member in members}

    def get(self, kind: type[T]) -> T:
        """The object of type `kind`; raises KeyError if the app has none."""
        return cast(T, self._by_type[kind])


def service(request: Request, kind: type[T]) -> T:
    """The object of type `kind` of the app that answers `request`."""
    services: Services = request.app.state.services
    return services.get(kind)
