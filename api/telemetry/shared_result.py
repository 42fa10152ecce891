"""A result that many requests need and that costs more than a request should: computed at most once a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from api.web.errors import UnavailableError

T = TypeVar("T")

_FRESH_SECONDS = 1.0
# Cached for max(1 s, 5 x its query time), so that polling takes at most a fifth of a core of the database.
_FRESH_FOR_COST = 5.0
# After that, the old result is served for so long while a new one is computed, so that clients that poll do not wait.
_TOLERATED_SECONDS = 3.0
# A computation in the background begins so much after the request that asked for it: a dashboard asks for several
# things at once, and what the database has to look up for each request gets its cores first.
_PAUSE_SECONDS = 0.1


class Shared(Generic[T]):
    """One result for all requests that come while it is computed or fresh. `fresh`: a result is fresh for at least so
    many s. `tolerated`: for so many s after that, it is served while the next one is computed in the background.

    `turn`: results that share this lock are computed in the background one after the other. A dashboard asks for
    several stale results at once; this leaves the database a core for what the dashboard asks right after.
    """

    def __init__(
        self,
        compute: Callable[[], Awaitable[T]],
        *,
        fresh: float = _FRESH_SECONDS,
        tolerated: float = _TOLERATED_SECONDS,
        turn: asyncio.Lock | None = None,
    ) -> None:
        self._compute = compute
        self._fresh = fresh
        self._tolerated = tolerated
        self._turn = turn or asyncio.Lock()
        self._lock = asyncio.Lock()
        self._stale_at = self._ended = 0.0
        self._result: T | None = None
        self._failure: UnavailableError | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def get(self) -> T:
        """The result; raises UnavailableError if the database did not answer."""
        now = time.monotonic()
        if self._result is not None and self._failure is None and now < self._stale_at + self._tolerated:
            due = self._stale_at - min(_PAUSE_SECONDS, self._tolerated)
            if now >= due and (self._renewal is None or self._renewal.done()):
                self._renewal = asyncio.create_task(self._renew(now), name="renew")
            return self._result
        async with self._lock:
            if self._ended < now and time.monotonic() >= self._stale_at:
                await self._refresh()
            if self._failure is not None:
                raise UnavailableError(str(self._failure)) from self._failure.__cause__
            assert self._result is not None  # noqa: S101 computed, and no failure
            return self._result

    async def close(self) -> None:
        """Cancel the computation in the background."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    async def _renew(self, asked: float) -> None:
        await asyncio.sleep(_PAUSE_SECONDS)
        async with self._turn, self._lock:
            # A request may have computed it meanwhile.
            if self._ended < asked:
                await self._refresh()

    async def _refresh(self) -> None:
        begun = time.monotonic()
        try:
            self._result, self._failure = await self._compute(), None
            cost = time.monotonic() - begun
            self._stale_at = begun + max(self._fresh, _FRESH_FOR_COST * cost)
        except UnavailableError as exc:
            # Requests that waited for this result get the error; the next request tries again.
            self._failure, self._stale_at = exc, 0.0
        self._ended = time.monotonic()
