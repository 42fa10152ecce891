"""Equal requests at the same time get one answer, which is never older than they are."""

import asyncio

import pytest

from api.telemetry.together import Together
from api.web.errors import NotFoundError, UnavailableError


class Store:
    """Something that is looked up: each look is held until let go, and sees what was stored when it began."""

    def __init__(self) -> None:
        self.stored, self.looks = 0, 0
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        self.fails: Exception | None = None

    async def look(self) -> int:
        self.looks += 1
        self.begun.set()
        seen, failure = self.stored, self.fails
        await self.gate.wait()
        if failure is not None:
            raise failure
        return seen


async def test_many_at_once_cost_one_look() -> None:
    together, store = Together[int](), Store()
    store.gate.set()
    assert await asyncio.gather(*(together.ask("a", store.look) for _ in range(16))) == [0] * 16
    assert store.looks == 1


async def test_no_answer_is_older_than_its_question() -> None:
    together, store = Together[int](), Store()
    first = asyncio.create_task(together.ask("a", store.look))
    await store.begun.wait()
    store.stored = 1
    later = [asyncio.create_task(together.ask("a", store.look)) for _ in range(5)]
    await asyncio.sleep(0)
    store.gate.set()
    assert await first == 0
    assert await asyncio.gather(*later) == [1] * 5
    assert store.looks == 2


async def test_different_questions_do_not_wait_for_each_other() -> None:
    together, held, free = Together[int](), Store(), Store()
    free.gate.set()
    first = asyncio.create_task(together.ask("a", held.look))
    await held.begun.wait()
    assert await together.ask("b", free.look) == 0
    held.gate.set()
    assert await first == 0


async def test_one_who_goes_away_takes_nothing_from_others() -> None:
    together, store = Together[int](), Store()
    gone, stays = (asyncio.create_task(together.ask("a", store.look)) for _ in range(2))
    await store.begun.wait()
    gone.cancel()
    await asyncio.wait([gone])
    store.gate.set()
    assert await stays == 0
    assert gone.cancelled()


@pytest.mark.parametrize("failure", [NotFoundError("no such VEN"), RuntimeError("a mistake")])
async def test_an_error_is_raised_for_all_and_not_kept(failure: Exception) -> None:
    together, store = Together[int](), Store()
    store.fails = failure
    store.gate.set()
    told = await asyncio.gather(*(together.ask("a", store.look) for _ in range(3)), return_exceptions=True)
    assert told == [failure] * 3
    store.fails = None
    assert await together.ask("a", store.look) == 0


async def test_nobody_waits_for_a_lost_database_twice() -> None:
    together, store = Together[int](), Store()
    store.fails = UnavailableError("away")
    first = asyncio.create_task(together.ask("a", store.look))
    await store.begun.wait()
    second = asyncio.create_task(together.ask("a", store.look))
    await asyncio.sleep(0)
    store.gate.set()
    for each in (first, second):
        with pytest.raises(UnavailableError, match="away"):
            await each
    assert store.looks == 1
    store.fails = None
    assert await together.ask("a", store.look) == 0


async def test_who_asks_again_at_once_shares_the_next_look() -> None:
    together, store = Together[int](), Store()
    first = asyncio.create_task(together.ask("a", store.look))
    await store.begun.wait()
    second = asyncio.create_task(together.ask("a", store.look))
    await asyncio.sleep(0)
    store.gate.set()
    await first
    await asyncio.gather(together.ask("a", store.look), second)
    assert store.looks == 2


async def test_nothing_is_kept_when_all_have_their_answers() -> None:
    together, store = Together[int](), Store()
    store.gate.set()
    await asyncio.gather(*(together.ask(each, store.look) for each in range(3)))
    assert not together._under_way
    assert not together._waiting
