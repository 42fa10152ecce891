"""What is wrong with the clock of a VEN, from how late its readings are."""

from typing import Literal

# A clock that is off by less counts as right, because messages take time, and some firmware averages over 30 s.
OFF_SECONDS = 60.0

ClockFault = Literal["ahead", "behind", "whole hours: zone"]

_HOUR_SECONDS = 3600.0
_NEAR_SECONDS = 300.0


def clock_fault(behind_seconds: float) -> ClockFault:
    """The fault of a clock that is so many s behind (negative: ahead); whole hours mean a wrong time zone."""
    hours = round(behind_seconds / _HOUR_SECONDS)
    if hours and abs(behind_seconds - hours * _HOUR_SECONDS) <= _NEAR_SECONDS:
        return "whole hours: zone"
    return "behind" if behind_seconds > 0 else "ahead"
