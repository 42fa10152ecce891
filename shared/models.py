"""What VENs put on the wire (the MQTT contract), as msgspec structs. Powers in kW."""

from typing import Any

from msgspec import Struct, field

# Statuses that mean a VEN is offline, compared in lower case.
OFFLINE_STATUSES = ("offline", "disconnected", "lost")

Number = int | float
Timestamp = int | float | str


class WireLoad(Struct, rename="camel"):
    """One load in a telemetry message or a load snapshot; generation is negative."""

    current_power_kw: float
    load_id: str | None = None
    id: str | None = None
    name: str | None = None
    type: str | None = None
    capacity_kw: float | None = None
    shed_capability_kw: float | None = None
    shed_power_kw: float | None = None


class WireTelemetry(Struct, rename="camel"):
    """One reading of a VEN's panel, with its loads. Fields of older firmware stand last, unchecked:
    they only count where the modern name is missing."""

    ven_id: str | None = None
    timestamp: Timestamp | None = None
    used_power_kw: float | None = None
    shed_power_kw: float | None = None
    requested_reduction_kw: float | None = None
    event_id: str | None = None
    battery_soc: float | None = None
    loads: list[WireLoad] | None = None
    old_timestamp: Any = field(default=None, name="ts")
    old_used_power: Any = field(default=None, name="power_kw")
    old_shed_power: Any = field(default=None, name="shed_kw")
    old_battery_soc: Any = field(default=None, name="battery_soc")
    older_battery_soc: Any = field(default=None, name="batterySOC")


class WireLoadSnapshot(Struct, rename="camel"):
    """What a VEN knows of its loads at one time."""

    ven_id: str | None = None
    timestamp: Timestamp | None = None
    loads: list[WireLoad] | None = None


class WireName(Struct, rename="camel"):
    """Just whom a message is about."""

    ven_id: str | None = None
