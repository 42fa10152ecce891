"""The careful way: understands what is not quite the contract, and leaves out the parts that it cannot use.

It is many times slower than the plain way in decode.py, which reads plain messages of the modern dialect.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from ingest.receive.fields import UnusableError, any_number, given, identifier, label, number
from ingest.receive.json_text import NotANumber, dump
from ingest.receive.payloads import WireLoad, WireReport

T = TypeVar("T")

# The optional numbers of a load, in the order of WireLoad.
_LOAD_NUMBERS = ("capacityKw", "shedCapabilityKw", "shedPowerKw")


class Careful:
    """Reads the fields of one JSON object and collects flaws.

    `flaws`: which parts were left out, and why; `lost_load`: whether a load was left out, so that the list of loads is
    not complete.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        self.flaws: list[str] = []
        self.lost_load = False

    def report(self) -> WireReport:
        """The optional fields, and the timestamp as it was sent; venId and usedPowerKw are not read (`used_power`)."""
        fields = self._fields
        return WireReport(
            timestamp=given(fields, "timestamp"),
            shed_power_kw=self._number("shedPowerKw"),
            requested_reduction_kw=self._number("requestedReductionKw"),
            event_id=self._or_flaw(identifier, "eventId", given(fields, "eventId")),
            battery_soc=self._or_flaw(any_number, "batterySoc", given(fields, "batterySoc")),
            loads=self._loads(given(fields, "loads")),
        )

    def used_power(self) -> float:
        """usedPowerKw; raises UnusableError."""
        used = number("usedPowerKw", given(self._fields, "usedPowerKw"))
        if used is None:
            raise UnusableError("usedPowerKw is missing")
        return used

    def _number(self, name: str) -> float | None:
        return self._or_flaw(number, name, given(self._fields, name))

    def _or_flaw(self, read: Callable[[str, Any], T | None], name: str, value: Any) -> T | None:
        try:
            return read(name, value)
        except UnusableError as exc:
            self.flaws.append(str(exc))
            return None

    def _loads(self, value: Any) -> list[WireLoad] | None:
        if value is None or value == "":
            return None
        if value == {}:
            return []
        if not isinstance(value, list):
            self.flaws.append("loads is not a list")
            return None
        loads: dict[str, WireLoad] = {}
        for at, entry in enumerate(value):
            load = self._or_flaw(self._load, f"loads[{at}]", entry)
            if load is not None and load.load_id in loads:
                self.flaws.append(f"loads[{at}] names a load that stands before it")
            elif load is not None:
                loads[load.load_id or ""] = load
        self.lost_load = len(loads) < len(value)
        return list(loads.values())

    def _load(self, where: str, entry: Any) -> WireLoad:
        if not isinstance(entry, dict):
            raise UnusableError(f"{where} is not an object")
        load_id = identifier(f"{where}.loadId", given(entry, "loadId"))
        if load_id is None:
            raise UnusableError(f"{where}.loadId is missing")
        power = number(f"{where}.currentPowerKw", entry.get("currentPowerKw"))
        if power is None:
            raise UnusableError(f"{where}.currentPowerKw is missing")
        name, kind = (
            self._or_flaw(label, f"{where}.{field}", entry.get(field)) for field in ("name", "type")
        )
        numbers = [self._or_flaw(number, f"{where}.{field}", entry.get(field)) for field in _LOAD_NUMBERS]
        return WireLoad(power, load_id, None, name, kind, *numbers)


def as_status(value: Any) -> str | None:
    """A status in the form that is compared and stored: trimmed and in lower case; true and 1 become online, false and
    0 offline. None: not given. Raises UnusableError."""
    if isinstance(value, bool | int) and value in (0, 1):
        value = str(int(value))
    if isinstance(value, str) and not isinstance(value, NotANumber):
        value = value.strip().lower()
    elif value is not None:
        raise UnusableError('status is not a text: send "online" or "offline"')
    return identifier("status", _SWITCHES.get(value, value))


_SWITCHES = {"true": "online", "1": "online", "false": "offline", "0": "offline"}


def details(fields: dict[str, Any], flaws: list[str]) -> str | None:
    """The details of a status as JSON for PostgreSQL: its `details` object, and every other field of the message.

    PostgreSQL's jsonb can hold neither a NUL nor half a surrogate pair: both are replaced, which is a flaw.
    """
    inner = fields.pop("details", None)
    if isinstance(inner, dict):
        fields = {**fields, **inner}
    elif inner is not None:
        fields["details"] = inner
    if not fields:
        return None
    held = _without_holes(fields)
    if held != fields:
        flaws.append("details hold a NUL or half a character, which is replaced")
    return dump(held).decode()


def _without_holes(value: Any) -> Any:
    match value:
        case dict():
            return {_without_holes(name): _without_holes(inner) for name, inner in value.items()}
        case list():
            return [_without_holes(inner) for inner in value]
        case str():
            return value.replace("\0", "\ufffd").encode(errors="replace").decode()
        case _:
            return value
