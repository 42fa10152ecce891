"""One answer for equal requests that came before its lookup began, so that many dashboards on one VEN cost hardly more
than one."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from api.web.errors import UnavailableError

T = TypeVar("T")

# Turns of the event loop: one sends the answers, one reads the next requests, one lets them ask.
_TURNS = 3


class Together(Generic[T]):
    """No request gets an answer older than itself: a request that comes during a lookup waits for the next lookup."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}
        self._waiting: dict[Hashable, asyncio.Task[T]] = {}

    async def ask(self, question: Hashable, look_up: Callable[[], Awaitable[T]]) -> T:
        """The result of `look_up`, called after this call, or what it raises; `question` identifies the lookup.

        If the lookup under way fails because of the database, this call fails too, so that no request waits twice.
        """
        answer = self._waiting.get(question)
        if answer is None:
            answer = asyncio.create_task(self._answer(question, look_up), name="look up")
            # If all clients have gone before it fails, nobody takes the exception, and asyncio would report that.
            answer.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._waiting[question] = answer
        # Shielded, so that a client that goes away does not cancel the answer of the others.
        return await asyncio.shield(answer)

    async def _answer(self, question: Hashable, look_up: Callable[[], Awaitable[T]]) -> T:
        before = self._under_way.get(question)
        if before is not None:
            await asyncio.wait([before])
            # A client that the former lookup answered may ask again at once; then it shares this lookup.
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        # The lookup begins, so it may miss rows that are stored from now on: later requests wait for the next one.
        me = self._under_way[question] = self._waiting.pop(question)
        try:
            if before is not None and isinstance(failure := before.exception(), UnavailableError):
                raise UnavailableError(str(failure)) from failure
            return await look_up()
        finally:
            if self._under_way.get(question) is me:
                del self._under_way[question]
