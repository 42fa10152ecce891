"""/api/stats: the present state of the fleet. Powers in kW, energy in kWh, efficiency in %."""

from datetime import datetime

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.telemetry.live import Live, Network
from api.telemetry.points import kilowatt_hours
from api.telemetry.queries import Row
from api.telemetry.totals import LoadTotals, Totals
from api.web.etag import tagged
from api.web.figures import rounded, rounded_or_none
from api.web.lookup import service
from api.web.resource import json


class NetworkStats(Struct, frozen=True, rename="camel"):
    """The whole fleet now."""

    ven_count: int
    controllable_power_kw: float
    potential_load_reduction_kw: float
    household_usage_kw: float
    online_vens: int
    current_load_reduction_kw: float
    network_efficiency: float | None
    average_house_power: float | None
    total_house_power_today: float


class LoadTypeStats(Struct, frozen=True, rename="camel"):
    """Loads of one type now."""

    type: str
    total_capacity_kw: float
    total_shed_capability_kw: float
    current_usage_kw: float


class IngestStats(Struct, frozen=True, rename="camel"):
    """What ingest stores. `readings_per_minute`: the rate of the last ten seconds; times in UTC."""

    readings_per_minute: int
    newest_reading: datetime | None
    dead_letters: int
    newest_dead_letter: datetime | None


class LastNetworkStats:
    """Keeps the last answer until one of its figures is computed anew."""

    def __init__(self) -> None:
        self._made_of: tuple[object, ...] = ()
        self._answer = Response()

    def of(self, fleet: Row, loads: list[LoadTotals], network: Network) -> Response:
        """The answer with these figures."""
        given = fleet, loads, network
        if [*map(id, given)] != [*map(id, self._made_of)]:
            self._made_of, self._answer = given, json(_network_stats(*given))
        return self._answer


async def network(request: Request) -> Response:
    """GET /api/stats/network."""
    totals = service(request, Totals)
    fleet = await totals.fleet.get()
    loads = await totals.loads.get()
    now = await service(request, Live).get()
    return tagged(request, service(request, LastNetworkStats).of(fleet, loads, now))


def _network_stats(fleet: Row, loads: list[LoadTotals], network: Network) -> NetworkStats:
    return NetworkStats(
        ven_count=fleet["vens"],
        controllable_power_kw=rounded(sum(of.controllable_kw for of in loads)),
        potential_load_reduction_kw=rounded(sum(of.shed_capability_kw for of in loads)),
        household_usage_kw=rounded(fleet["used_kw"]),
        online_vens=fleet["online"],
        current_load_reduction_kw=rounded(fleet["shed_kw"]),
        network_efficiency=rounded_or_none(_ratio(100 * fleet["shed_kw"], fleet["requested_kw"])),
        average_house_power=rounded_or_none(_ratio(fleet["used_kw"], fleet["counted"])),
        total_house_power_today=kilowatt_hours(network.today_uwh),
    )


async def loads(request: Request) -> Response:
    """GET /api/stats/loads."""
    totals = await service(request, Totals).loads.get()
    stats = [
        LoadTypeStats(of.type, rounded(of.capacity_kw), rounded(of.shed_capability_kw), rounded(of.usage_kw))
        for of in totals
    ]
    return tagged(request, json(stats))


async def ingest(request: Request) -> Response:
    """GET /api/stats/ingest."""
    found = await service(request, Totals).ingest.get()
    stats = IngestStats(
        6 * found["lately"], found["newest_reading"], found["dead_letters"], found["newest_dead_letter"]
    )
    return tagged(request, json(stats))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
