"""The VENs that the admin endpoints serve: read from a file, changed in this process's memory alone."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from api.bodies import LoadChange, Location, NewVen, VenChange
from api.errors import NotFoundError
from api.points import rounded


class FixtureLoad(Struct, frozen=True, rename="camel"):
    """A load; powers in kW."""

    id: str
    type: str
    capacity_kw: float
    shed_capability_kw: float
    current_power_kw: float
    name: str


class Metrics(Struct, frozen=True, rename="camel"):
    """Sums over a VEN's loads in kW, and which of them were told to shed."""

    current_power_kw: float
    shed_availability_kw: float
    active_event_id: str | None
    shed_load_ids: list[str]


class Ven(Struct, frozen=True, rename="camel"):
    """A VEN as it is answered."""

    id: str
    name: str
    status: str
    location: Location
    loads: list[FixtureLoad]
    metrics: Metrics


class VenSummary(Struct, frozen=True, rename="camel"):
    """A VEN as a line of a table. Powers in kW, responseTime in ms."""

    id: str
    name: str
    location: str
    status: str
    controllable_power: float
    current_power: float
    address: str | None
    last_seen: str | None
    response_time: float | None


class FixtureVen(Struct, frozen=True, rename="camel"):
    """A VEN as fixtures/vens.json has it."""

    id: str
    name: str
    status: str
    location: Location
    loads: list[FixtureLoad] = []
    place: str | None = None
    address: str | None = None
    last_seen: str | None = None
    response_time: float | None = None
    active_event_id: str | None = None
    shed_load_ids: list[str] = []

    def shown(self) -> Ven:
        """As GET /api/vens shows it."""
        metrics = Metrics(
            current_power_kw=rounded(sum(load.current_power_kw for load in self.loads)),
            shed_availability_kw=rounded(sum(load.shed_capability_kw for load in self.loads)),
            active_event_id=self.active_event_id,
            shed_load_ids=self.shed_load_ids,
        )
        return Ven(self.id, self.name, self.status, self.location, self.loads, metrics)

    def summary(self) -> VenSummary:
        """As GET /api/vens/summary shows it."""
        metrics = self.shown().metrics
        return VenSummary(
            id=self.id,
            name=self.name,
            location=self.place or f"{self.location.lat:g}, {self.location.lon:g}",
            status=self.status,
            controllable_power=metrics.shed_availability_kw,
            current_power=metrics.current_power_kw,
            address=self.address,
            last_seen=self.last_seen,
            response_time=self.response_time,
        )


class VenStore:
    """VENs by id, in the order they were made. Ids count up; one that was deleted is not given again."""

    def __init__(self, file: Path) -> None:
        vens = msgspec.json.decode(file.read_bytes(), type=list[FixtureVen])
        self._vens = {ven.id: ven for ven in vens}
        self._last_number = max((int(ven.id.removeprefix("ven-")) for ven in vens), default=100)

    def all(self) -> list[FixtureVen]:
        """Every VEN."""
        return list(self._vens.values())

    def get(self, ven_id: str) -> FixtureVen:
        """One VEN; raises NotFoundError."""
        if ven_id not in self._vens:
            raise NotFoundError(f"venId: there is no VEN {ven_id[:128]!r}; GET /api/vens lists them")
        return self._vens[ven_id]

    def add(self, new: NewVen) -> FixtureVen:
        """A new VEN, online and without loads."""
        self._last_number += 1
        ven = FixtureVen(f"ven-{self._last_number}", new.name, "online", new.location)
        self._vens[ven.id] = ven
        return ven

    def change(self, ven_id: str, change: VenChange) -> FixtureVen:
        """A VEN with what is given replaced; raises NotFoundError."""
        given = _given(change)
        if "location" in given:
            # The label and the address spoke of the old place.
            given |= {"place": None, "address": None}
        self._vens[ven_id] = msgspec.structs.replace(self.get(ven_id), **given)
        return self._vens[ven_id]

    def delete(self, ven_id: str) -> None:
        """Forget a VEN; raises NotFoundError."""
        del self._vens[self.get(ven_id).id]

    def load(self, ven_id: str, load_id: str) -> FixtureLoad:
        """A load of a VEN; raises NotFoundError."""
        for load in self.get(ven_id).loads:
            if load.id == load_id:
                return load
        raise NotFoundError(
            f"loadId: VEN {ven_id[:128]!r} has no load {load_id[:128]!r}; GET /api/vens lists them"
        )

    def change_load(self, ven_id: str, load_id: str, change: LoadChange) -> FixtureLoad:
        """A load with what is given replaced; raises NotFoundError."""
        changed = msgspec.structs.replace(self.load(ven_id, load_id), **_given(change))
        ven = self.get(ven_id)
        loads = [changed if load.id == load_id else load for load in ven.loads]
        self._vens[ven_id] = msgspec.structs.replace(ven, loads=loads)
        return changed

    def shed(self, ven_id: str, load_id: str) -> None:
        """Note that a load was told to shed; raises NotFoundError."""
        load, ven = self.load(ven_id, load_id), self.get(ven_id)
        shed = sorted({*ven.shed_load_ids, load.id})
        self._vens[ven_id] = msgspec.structs.replace(ven, shed_load_ids=shed)


def _given(change: VenChange | LoadChange) -> dict[str, Any]:
    fields = {name: getattr(change, name) for name in change.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}
