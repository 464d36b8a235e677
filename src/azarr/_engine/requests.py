"""Requests to stores that wait: counted, sent again where that may help, and shared with others who ask for the same at the same time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from time import monotonic, time
from typing import Any, TypeVar, cast

from azarr._engine.budget import budget_of
from azarr._engine.decoding import Loading, named
from azarr.context import Context, Event
from azarr.errors import StoreError, TransportError
from azarr.stores.base import UNKNOWN, ByteRange, Checked, Kept, Value

T = TypeVar("T")
OVERLOADED = (429, 503)
"""Statuses that ask for fewer requests."""
SMALL = 64 << 10
"""Bytes of an answer that tells the latency of a store, not its bandwidth."""
BANDWIDTH, LEAST_GAP, MOST_GAP = 50e6, 64 << 10, 1 << 20
"""Bytes a second, and bytes: what lies between two parts is fetched with them where that takes no longer than another request."""
_AGAIN = object()
"""What those are told who waited for a request that was cancelled."""


async def shared(loading: Loading, what: Hashable, do: Callable[[], Awaitable[T]], joined: Callable[[], None] | None = None) -> T:
    """What `do` gives. Those who ask for `what` while it is being done wait for that, are `joined`, and have the same answer or error."""
    mine: list[asyncio.Future[Any]] = []
    while (others := loading.setdefault(what, mine)) is not mine:
        future = asyncio.get_running_loop().create_future()
        others.append(future)
        if (answer := await future) is not _AGAIN:
            if joined is not None:
                joined()
            return answer
    answer: Any = _AGAIN
    error: Exception | None = None
    try:
        answer = await do()
        return answer
    except Exception as raised:
        error = raised
        raise
    finally:
        if (others := loading.pop(what, mine)) is not mine:  # it was forgotten meanwhile, and is being done again
            loading[what] = others
        for future in mine:
            if not future.done():
                if error is None:
                    future.set_result(answer)
                else:
                    future.set_exception(error)


class Requests:
    """What one operation asks of `store`. A request waits for its turn among those of the context."""

    __slots__ = ("_held", "_repeats", "budget", "context", "counters", "pins", "store", "where", "who")

    def __init__(self, store: Any, context: Context) -> None:
        self.store, self.context, self.budget, self.where = store, context, budget_of(context), repr(store)
        self.counters, self.pins = context.counters_of(store), hasattr(store, "get_if")
        self._held = getattr(store, "held", None)
        self._repeats = 4.0 * context.retries.attempts
        self.who: Hashable = store if isinstance(store, Hashable) else id(store)

    @property
    def gap(self) -> int:
        """Bytes between two parts of an object up to which they are asked for together: as many as come while a request would wait."""
        if (told := getattr(self.store, "gap", None)) is not None:
            return told
        latency = self.budget.latency.get(self.where)
        return MOST_GAP if latency is None else max(LEAST_GAP, min(MOST_GAP, int(latency * BANDWIDTH)))

    async def get(self, key: str, byte_range: ByteRange | None = None, version: str | None = None) -> Value | None:
        """The object, or a part of it; with `version`, from stores that can tell, of that version or `ObjectChanged`."""
        version = version if self.pins else None
        if self._held is not None and (kept := self._held(key, byte_range, version)) is not UNKNOWN:
            self.counters.cache_hits += 1
            self.tell("cache hit", key, byte_range, 0.0, nbytes=0 if kept is None else len(kept.data))
            return kept
        what = (self.who, key, byte_range, version)
        send = partial(self._once, key, byte_range, version)
        return await shared(self.budget.loading, what, partial(self.repeated, key, send, byte_range), self._joined)

    def _joined(self) -> None:
        self.counters.shared += 1

    def forget(self, key: str) -> None:
        """`key` is being replaced: who asks for it from here on does not share a request that was sent before."""
        for what in [what for what in self.budget.loading if cast("tuple[Any, ...]", what)[:2] == (self.who, key)]:
            del self.budget.loading[what]

    def _once(self, key: str, byte_range: ByteRange | None, version: str | None) -> Awaitable[Value | None]:
        if version is not None:
            return self.store.get_if(key, byte_range, match=version)
        return self.store.get(key) if byte_range is None else self.store.get(key, byte_range)

    async def repeated(self, key: str, send: Callable[[], Awaitable[T]], byte_range: ByteRange | None = None, *, once: bool = False) -> T:
        """What `send` gives, called again where that may help, unless `once`. Errors name the store, the key and how often it was asked."""
        retries, counters, attempt = self.context.retries, self.counters, 0
        while True:
            attempt += 1
            if not self.budget.requests.taken():
                await self.budget.requests.take()
            began = monotonic()
            counters.requests += 1
            self._repeats += retries.share
            try:
                answer = await send()
            except OSError as raised:
                failed, cause = named(raised, self.store, key), raised.__cause__ if isinstance(raised, StoreError) else raised
                error = failed
            else:
                self._arrived(answer, monotonic() - began, key, byte_range, attempt)
                return answer
            finally:
                self.budget.requests.give()
            transient = isinstance(error, TransportError) and error.transient
            if transient and (error.status in OVERLOADED or isinstance(error, TimeoutError)):
                self.budget.overloaded(began)
            asked_for = error.retry_after if isinstance(error, TransportError) else None
            again = transient and not once and attempt < retries.attempts and self._repeats >= 1 and (asked_for or 0) <= retries.longest
            counters.retries += again
            counters.failures += not again
            self.tell("retry" if again else "failure", key, byte_range, monotonic() - began, attempt=attempt, error=str(error))
            if not again:
                raise (error.after(attempt) if isinstance(error, TransportError) else error) from cause
            self._repeats -= 1
            waited = min(retries.longest, retries.first * 2.0 ** (attempt - 1)) * os.urandom(1)[0] / 255
            await asyncio.sleep(waited if asked_for is None else asked_for)

    def _arrived(self, answer: Any, seconds: float, key: str, byte_range: ByteRange | None, attempt: int) -> None:
        if isinstance(answer, Kept):
            self.counters.cache_hits += 1
            self.counters.requests -= not isinstance(answer, Checked)
            self.tell("cache hit", key, byte_range, seconds, nbytes=len(answer.data))
            return
        nbytes = len(answer.data) if isinstance(answer, Value) else 0
        self.counters.nbytes += nbytes
        if self.budget.limit < self.context.requests:
            self.budget.went_well()
        if nbytes < SMALL:
            latency = self.budget.latency
            latency[self.where] = min(seconds, latency.get(self.where, seconds))
        if self.context.on_event is not None:
            self.tell("request", key, byte_range, seconds, nbytes=nbytes, attempt=attempt)

    def tell(self, kind: str, key: str, byte_range: ByteRange | None, seconds: float, **facts: Any) -> None:
        """Tell who listens to the context."""
        if self.context.on_event is not None:
            self.context.on_event(Event(kind, self.where, key, byte_range, time() - seconds, seconds, **facts))
