"""One result for all who ask: a second old at most, or five times what it cost."""

import pytest

from api.telemetry import totals
from api.telemetry.totals import Shared


class Clock:
    """Time that passes when told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Sum:
    """Something that costs `seconds` to compute, and counts how often it was."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds, self.times = clock, seconds, 0

    async def __call__(self) -> int:
        self.times += 1
        self.clock.now += self.seconds
        return self.times


@pytest.mark.parametrize(("cost", "fresh_for"), [(0.01, 1.0), (0.1, 1.0), (2.0, 10.0)])
async def test_a_result_stays_for_a_second_or_five_times_its_cost(
    monkeypatch: pytest.MonkeyPatch, cost: float, fresh_for: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(totals, "time", clock)
    compute = Sum(clock, cost)
    shared = Shared(compute)
    assert await shared.get() == 1
    clock.now = 100.0 + fresh_for - 0.001
    assert await shared.get() == 1
    clock.now = 100.0 + fresh_for + 0.001
    assert await shared.get() == 2
