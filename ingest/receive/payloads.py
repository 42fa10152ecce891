"""The messages of the MQTT contract as msgspec structs, which check bounds while they decode. Powers are in kW.

The garbage collector does not track them (gc=False): they hold no cycles, and there are many.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct, field

MAX_ID_CHARACTERS = 128
MAX_POWER_KW = 1_000_000.0

Timestamp = int | float | str
Power = Annotated[float, Meta(ge=-MAX_POWER_KW, le=MAX_POWER_KW)]
Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]

# The fields with more than one spelling, the modern spelling first. A spelling counts if all before it are missing.
SPELLINGS = {
    "timestamp": ("timestamp", "ts"),
    "usedPowerKw": ("usedPowerKw", "power_kw"),
    "shedPowerKw": ("shedPowerKw", "shed_kw"),
    "batterySoc": ("batterySoc", "battery_soc", "batterySOC"),
    "loadId": ("loadId", "id"),
    "status": ("status", "ven", "state"),
}


class WireLoad(Struct, rename="camel", gc=False):
    """One load in a telemetry message or a load snapshot; generation is negative."""

    current_power_kw: Power
    load_id: Id | None = None
    id: Id | None = None
    name: str | None = None
    type: str | None = None
    capacity_kw: Power | None = None
    shed_capability_kw: Power | None = None
    shed_power_kw: Power | None = None


class WireReport(Struct, rename="camel", gc=False):
    """One reading of a VEN's panel with its loads, or a load snapshot. The last three fields only show that the message
    has an older spelling; decode.py then reads it the careful way (dialects.py)."""

    ven_id: Id | None = None
    timestamp: Timestamp | None = None
    used_power_kw: Power | None = None
    shed_power_kw: Power | None = None
    requested_reduction_kw: Power | None = None
    event_id: Id | None = None
    battery_soc: float | None = None
    loads: list[WireLoad] | None = None
    shed_kw: Any = field(default=None, name="shed_kw")
    old_battery_soc: Any = field(default=None, name="battery_soc")
    older_battery_soc: Any = field(default=None, name="batterySOC")
