"""The budget that reads and writes share, how patient they are, and what they count. Knows numbers, and no loop.

All that is opened with one context shares its limits, on each event loop; nested or gathered reads do not multiply them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple, Self

from azarr.limits import DEFAULT_LIMITS, Limits, positive

UNITS = {"": 1, "B": 1, **{f"{letter}{i}B": b**n for i, b in (("I", 1024), ("", 1000)) for n, letter in enumerate("KMGT", 1)}}


@cache
def bytes_of(size: int | str) -> int:
    """Bytes that `size` means: an integer, or text such as "256 MiB"."""
    if not isinstance(size, str):
        return int(size)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", size)
    if not found or found[2].upper() not in UNITS:
        raise ValueError(f"{size!r} is not a size; write an integer of bytes, or text such as '256 MiB'")
    return int(float(found[1]) * UNITS[found[2].upper()])


@dataclass(frozen=True, slots=True)
class Retries:
    """When requests that failed are sent again: those that may help, and are safe to repeat.

    The n-th wait is a random part of `first * 2**n` seconds, at most `longest`; or as long as the server says, if that is not above
    `longest`. One operation (a read, an opening) repeats `4 * attempts` requests, and `share` of those that it made.
    """

    attempts: int = 8
    """Times that one request is sent, at most."""
    first: float = 0.1
    longest: float = 15.0
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.first, self.longest, self.share) < 0:
            raise ValueError(f"attempts of Retries are at least 1, the other numbers at least 0: {self}")


@dataclass(slots=True)
class Counters:
    """What was asked of a store, and what came of it."""

    requests: int = 0
    """Requests sent, repeated ones included."""
    nbytes: int = 0  # that came
    retries: int = 0
    failures: int = 0  # requests that were given up
    shared: int = 0
    """Requests that were not sent, because the same was in flight."""
    cache_hits: int = 0
    decode_seconds: float = 0.0
    """Of all threads together."""

    def __add__(self, other: Counters) -> Counters:
        return Counters(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


class Event(NamedTuple):
    """Something that has happened: a request, a retry, a failure, an answer from a cache; or a whole read, whose key is the path."""

    kind: str
    """"request", "retry", "failure", "cache hit" or "read"."""
    store: str
    key: str = ""
    byte_range: tuple[int, int | None] | None = None
    began: float = 0.0
    """Seconds since 1970."""
    seconds: float = 0.0
    nbytes: int = 0
    attempt: int = 1
    error: str = ""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Context:
    """What all arrays that were opened with this very context may use together, on one event loop.

    `async with Context(...) as context:` closes its connections at the end; otherwise they close with the event loop.
    """

    requests: int = 128
    """Requests in flight to stores that wait on the network. Fewer for a while where a server says that there are too many."""
    memory: int | str = "256 MiB"
    """Bytes in flight: fetched, decoded or buffered, beside the results themselves. An integer, or text such as "1 GiB". In browsers,
    at most 64 MiB of it are in flight over the network."""
    workers: int | None = None
    """Threads that decode, at most; None for one per processor."""
    retries: Retries = Retries()
    """When a request is sent again."""
    timeout: float = 60.0
    """Seconds without a byte after which a request has failed. For a limit on a whole read there is `asyncio.timeout`."""
    cache: int | str = 0
    """Bytes of decoded chunks to keep. They are those of the time when they were read, until the array is opened again or written to."""
    limits: Limits = DEFAULT_LIMITS
    """Sizes above which a document or a chunk is refused."""
    on_event: Callable[[Event], None] | None = field(default=None, repr=False)
    """Called with each `Event`, on the event loop; it should be quick."""
    stores: dict[str, Counters] = field(default_factory=dict[str, Counters], init=False, repr=False)
    """What was counted, by store."""
    closers: list[Callable[[], Awaitable[Any]]] = field(default_factory=list[Any], init=False, repr=False)
    """What is called at the end of `async with`."""

    def __post_init__(self) -> None:
        workers = 1 if self.workers is None else self.workers
        positive("Context", requests=self.requests, memory=self.nbytes, workers=workers, timeout=self.timeout)
        bytes_of(self.cache)
        given: Any = self
        if not isinstance(given.retries, Retries) or not isinstance(given.limits, Limits) or not callable(given.on_event or positive):
            raise TypeError(f"retries are azarr.Retries(...), limits azarr.Limits(...), and on_event is a function: {self}")

    @property
    def nbytes(self) -> int:
        """`memory` in bytes."""
        return bytes_of(self.memory)

    @property
    def counters(self) -> Counters:
        """What was counted, all stores together."""
        return sum(self.stores.values(), Counters())

    def counters_of(self, store: object) -> Counters:
        """What is counted for `store`, to be added to."""
        return self.stores.get(where := repr(store)) or self.stores.setdefault(where, Counters())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for close in self.closers:
            await close()

    def __reduce__(self) -> Any:  # counts and connections stay where they are; so does whoever is called
        names = ("requests", "memory", "workers", "retries", "timeout", "cache", "limits")
        kept = partial(Context, **{name: getattr(self, name) for name in names})
        return "DEFAULT_CONTEXT" if self is DEFAULT_CONTEXT else (kept, ())


DEFAULT_CONTEXT = Context()
"""What is used where no context is given; like any other, it has a budget of its own on each event loop."""
