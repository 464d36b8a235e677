"""What all who use one context on one event loop may use together: requests and bytes in flight. Those who wait are served in order."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Hashable
from time import monotonic
from typing import Any

from azarr._platform import in_flight
from azarr.context import Context


class Slots:
    """So many of something; `take` waits until there are enough, `give` puts back."""

    __slots__ = ("_waiters", "free")

    def __init__(self, free: int) -> None:
        self.free = free
        self._waiters: deque[tuple[asyncio.Future[None], int]] = deque()

    def taken(self, count: int = 1) -> bool:
        """Take them if there are enough now, and nobody waits."""
        if self.free < count or self._waiters:
            return False
        self.free -= count
        return True

    async def take(self, count: int = 1) -> None:
        if self.taken(count):
            return
        future = asyncio.get_running_loop().create_future()
        self._waiters.append((future, count))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # granted and cancelled at once: hand it on
                self.free += count
            self._waiters = deque(waiter for waiter in self._waiters if waiter[0] is not future)
            self.give(0)
            raise

    def give(self, count: int = 1) -> None:
        self.free += count
        while self._waiters and self.free >= self._waiters[0][1]:
            future, wanted = self._waiters.popleft()
            if not future.done():
                self.free -= wanted
                future.set_result(None)


class Share:
    """Some slots, for as long as an `async with` block lasts."""

    __slots__ = ("count", "slots")

    def __init__(self, slots: Slots, count: int) -> None:
        self.slots, self.count = slots, count

    async def __aenter__(self) -> None:
        if not self.slots.taken(self.count):
            await self.slots.take(self.count)

    async def __aexit__(self, *error: object) -> None:
        self.slots.give(self.count)


class Budget:
    """The budget of one context on one loop. `loading` are the requests in flight, with who else waits for the answer."""

    __slots__ = ("__weakref__", "_allowed", "_bytes", "_changed", "_decoders", "_given", "latency", "limit", "loading", "most", "requests")

    def __init__(self, context: Context) -> None:
        self.most = in_flight(context.nbytes)
        self._bytes = Slots(self.most)
        self._decoders = Slots(context.workers or 1 << 30)
        self.requests, self.limit, self._allowed = Slots(context.requests), context.requests, context.requests
        self.loading: dict[Hashable, list[asyncio.Future[Any]]] = {}
        self.latency: dict[str, float] = {}
        self._given, self._changed = 0, 0.0

    @property
    def decoder(self) -> Share:
        """One of the threads that decode, where a bound was set; else there are as many as the platform has."""
        return Share(self._decoders, 1)

    def memory(self, nbytes: int) -> Share:
        """So much of the bytes in flight, at most all there are: until what was fetched is placed."""
        return Share(self._bytes, min(nbytes, self.most))

    def overloaded(self, began: float) -> None:
        """A server says that there are too many requests: allow half as many. What was sent before the last time says nothing new."""
        if began >= self._changed and self.limit > 1:
            half = self.limit // 2
            self.requests.give(half - self.limit)
            self.limit, self._changed, self._given = half, monotonic(), 0

    def went_well(self) -> None:
        """Allow one request more for each round of them that went well."""
        if self.limit < self._allowed:
            self._given += 1
            if self._given >= self.limit:
                self.limit, self._given = self.limit + 1, 0
                self.requests.give()


_budgets: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakKeyDictionary[Context, Budget]] = weakref.WeakKeyDictionary()


def budget_of(context: Context) -> Budget:
    """The budget that all who use `context` on the running loop share."""
    of_loop = _budgets.get(loop := asyncio.get_running_loop()) or _budgets.setdefault(loop, weakref.WeakKeyDictionary())
    return of_loop.get(context) or of_loop.setdefault(context, Budget(context))
