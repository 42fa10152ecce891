"""One answer for all who ask the same before it is looked up: many dashboards on one VEN cost little more than one."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from api.web.errors import UnavailableError

T = TypeVar("T")

# Of the event loop: one in which answers are sent, one in which the next questions are read, one that asks them.
_TURNS = 3


class Together(Generic[T]):
    """Nobody gets an answer that is older than the question: who asks while one is looked up waits for the next one."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}
        self._waiting: dict[Hashable, asyncio.Task[T]] = {}

    async def ask(self, question: Hashable, look_up: Callable[[], Awaitable[T]]) -> T:
        """What `look_up` tells, or raises, when called after this; `question` names what it looks up.

        If the database fails the one before meanwhile, so does this: nobody waits for the same twice.
        """
        answer = self._waiting.get(question)
        if answer is None:
            answer = asyncio.create_task(self._answer(question, look_up), name="look up")
            # Those who asked may all be gone when it fails.
            answer.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._waiting[question] = answer
        # One who goes away takes nothing from the others.
        return await asyncio.shield(answer)

    async def _answer(self, question: Hashable, look_up: Callable[[], Awaitable[T]]) -> T:
        before = self._under_way.get(question)
        if before is not None:
            await asyncio.wait([before])
            # Whoever that look answered may ask again at once, and then shares this one.
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        # From here on it may miss what is stored: who comes now waits for the next one.
        me = self._under_way[question] = self._waiting.pop(question)
        try:
            if before is not None and isinstance(failure := before.exception(), UnavailableError):
                raise UnavailableError(str(failure)) from failure
            return await look_up()
        finally:
            if self._under_way.get(question) is me:
                del self._under_way[question]
