"""/api/stats: the fleet as it is now. Powers in kW, energy in kWh, efficiency in %."""

from datetime import datetime

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.telemetry.live import Live
from api.telemetry.points import kilowatt_hours
from api.telemetry.totals import Totals
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
    """What ingest stores. `readings_per_minute`: at the rate of the last ten seconds; times in UTC."""

    readings_per_minute: int
    newest_reading: datetime | None
    dead_letters: int
    newest_dead_letter: datetime | None


async def network(request: Request) -> Response:
    """GET /api/stats/network."""
    totals = service(request, Totals)
    fleet = await totals.fleet.get()
    loads = await totals.loads.get()
    stats = NetworkStats(
        ven_count=fleet["vens"],
        controllable_power_kw=rounded(sum(of.controllable_kw for of in loads)),
        potential_load_reduction_kw=rounded(sum(of.shed_capability_kw for of in loads)),
        household_usage_kw=rounded(fleet["used_kw"]),
        online_vens=fleet["online"],
        current_load_reduction_kw=rounded(fleet["shed_kw"]),
        network_efficiency=rounded_or_none(_ratio(100 * fleet["shed_kw"], fleet["requested_kw"])),
        average_house_power=rounded_or_none(_ratio(fleet["used_kw"], fleet["counted"])),
        total_house_power_today=kilowatt_hours((await service(request, Live).get()).today_uwh),
    )
    return tagged(request, json(stats))


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
