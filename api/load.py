"""A load as the api answers it, whether it comes from the database or from the fixtures."""

from typing import Any

from msgspec import Struct

from api.web.figures import rounded


class Load(Struct, frozen=True, rename="camel"):
    """A load; powers in kW, generation is negative."""

    id: str
    type: str | None
    capacity_kw: float
    shed_capability_kw: float
    current_power_kw: float
    name: str | None


def load_of(row: Any) -> Load:
    """The load in a row of the view current_loads."""
    return Load(
        id=row["load_id"],
        type=row["load_type"],
        capacity_kw=rounded(row["capacity_kw"]),
        shed_capability_kw=rounded(row["shed_capability_kw"]),
        current_power_kw=rounded(row["power_kw"]),
        name=row["name"],
    )
