"""A shared result is cached for max(1 s, 5 x its cost), and for up to 3 s more while it is renewed."""

import asyncio

import pytest

from api.telemetry import shared_result
from api.telemetry.shared_result import Shared
from api.web.errors import UnavailableError


class Clock:
    """Time that passes when told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Sum:
    """Something that costs `seconds` to compute, and counts how often it was; fails while told to."""

    def __init__(self, clock: Clock, seconds: float = 0.01) -> None:
        self.clock, self.seconds, self.times, self.fails = clock, seconds, 0, False

    async def __call__(self) -> int:
        self.times += 1
        await asyncio.sleep(0)
        self.clock.now += self.seconds
        if self.fails:
            raise UnavailableError("away")
        return self.times


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    its = Clock()
    monkeypatch.setattr(shared_result, "time", its)
    monkeypatch.setattr(shared_result, "_FRESH_FOR_COST", 5.0)
    return its


async def asked_when_stale(compute: Sum, clock: Clock) -> Shared[int]:
    """A result that a request has found stale: the request got it all the same, and it is to be renewed."""
    shared = Shared(compute, fresh=1.0, tolerated=3.0)
    assert await shared.get() == 1
    clock.now += 2.0
    assert [await shared.get(), compute.times] == [1, 1]
    return shared


@pytest.mark.parametrize(("cost", "fresh_for"), [(0.01, 1.0), (0.1, 1.0), (2.0, 10.0)])
async def test_a_result_stays_for_a_second_or_five_times_its_cost(
    clock: Clock, cost: float, fresh_for: float
) -> None:
    shared = Shared(Sum(clock, cost), fresh=1.0)
    assert await shared.get() == 1
    clock.now = 100.0 + fresh_for - 0.001
    assert await shared.get() == 1
    clock.now = 100.0 + fresh_for + 0.001
    assert await shared.get() == 2


async def test_who_asks_meanwhile_gets_the_same(clock: Clock) -> None:
    shared = Shared(Sum(clock), fresh=1.0)
    assert await asyncio.gather(*(shared.get() for _ in range(5))) == [1] * 5
    clock.now += 1.0
    assert await asyncio.gather(*(shared.get() for _ in range(5))) == [2] * 5


async def test_who_polls_does_not_wait_for_what_is_renewed(clock: Clock) -> None:
    compute = Sum(clock)
    shared = await asked_when_stale(compute, clock)
    assert shared._renewal is not None
    await shared._renewal
    assert [await shared.get(), compute.times] == [2, 2]
    clock.now += 4.1
    assert await shared.get() == 3
    await shared.close()


async def test_a_renewal_waits_for_what_is_asked_at_the_same_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_result, "_PAUSE_SECONDS", 3600.0)
    compute = Sum(clock)
    shared = await asked_when_stale(compute, clock)
    for _ in range(10):  # As many turns of the loop as a computation could need.
        await asyncio.sleep(0)
    assert compute.times == 1
    await shared.close()


async def test_who_polls_gets_a_result_of_the_last_second(clock: Clock) -> None:
    """A renewal is asked for that much earlier than the result gets stale, as it waits before it begins."""
    compute = Sum(clock)
    shared = Shared(compute, fresh=1.0, tolerated=3.0)
    await shared.get()
    clock.now = 101.0 - shared_result._PAUSE_SECONDS - 0.001
    assert await shared.get() == 1
    assert shared._renewal is None
    for n in range(1, 4):
        begun = 100.0 + n
        clock.now = begun - shared_result._PAUSE_SECONDS
        assert await shared.get() == n
        assert shared._renewal is not None
        clock.now = begun
        await shared._renewal
        assert compute.times == n + 1


async def test_a_renewal_is_spared_if_a_request_has_computed_it(clock: Clock) -> None:
    compute = Sum(clock)
    shared = await asked_when_stale(compute, clock)
    clock.now += 3.0
    assert await shared.get() == 2
    assert shared._renewal is not None
    await shared._renewal
    assert compute.times == 2


async def test_a_failure_is_told_and_the_next_one_tries_again(clock: Clock) -> None:
    compute = Sum(clock)
    shared = Shared(compute, fresh=1.0, tolerated=3.0)
    assert await shared.get() == 1
    compute.fails, clock.now = True, clock.now + 2.0
    assert await shared.get() == 1
    assert shared._renewal is not None
    await shared._renewal
    told = await asyncio.gather(*(shared.get() for _ in range(3)), return_exceptions=True)
    assert {type(each) for each in told} == {UnavailableError}
    compute.fails, clock.now = False, clock.now + 0.1
    assert await shared.get() == compute.times


async def test_background_results_take_turns(clock: Clock) -> None:
    turn, under_way, most = asyncio.Lock(), 0, 0

    async def compute() -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return 1

    all_of = [Shared(compute, fresh=1.0, tolerated=3.0, turn=turn) for _ in range(3)]
    for each in all_of:
        await each.get()
    clock.now += 1.5
    most = 0
    for each in all_of:
        await each.get()
    await asyncio.gather(*(each._renewal for each in all_of if each._renewal))
    assert most == 1
