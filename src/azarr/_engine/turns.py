"""Writes of one array that touch the same chunks take turns, in the order in which they were begun: in one process, across tasks, threads
and event loops, without blocking any loop. So what they leave is what some order of them, one after the other, would have left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Hashable

from azarr.stores.base import BlockingWritable

LOOKED_AT = 1.0
"""Seconds between two looks at whether other loops, whose writes are waited for, still run."""
Box = tuple[tuple[int, int], ...]
"""The first and the last chunk along each axis."""


class _Turn:
    """One write. `before` are the writes that it waits for."""

    __slots__ = ("before", "box", "loop", "ready")

    def __init__(self, box: Box) -> None:
        self.box, self.loop = box, asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self.loop.create_future()
        self.before: set[_Turn] = set()

    def touches(self, other: _Turn) -> bool:
        return all(first <= end and begin <= last for (first, last), (begin, end) in zip(self.box, other.box, strict=True))

    def come(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)


_lock = threading.Lock()
_turns: dict[Hashable, list[_Turn]] = {}
"""Writes by what they write to, in the order in which they were begun."""


def place_of(store: object, key: str) -> Hashable:
    """What all stores of this process that reach the same object have in common."""
    return store.place(key) if isinstance(store, BlockingWritable) else (id(store), key)


@contextlib.asynccontextmanager
async def turn(place: Hashable, box: Box) -> AsyncGenerator[None]:
    """Wait for all earlier writes to `place` that touch chunks of `box`, and hold back later ones."""
    mine = _Turn(box)
    _sweep(place)
    with _lock:
        others = _turns.setdefault(place, [])
        mine.before.update(filter(mine.touches, others))
        others.append(mine)
        patience = LOOKED_AT if any(other.loop is not mine.loop for other in mine.before) else None
    try:
        while mine.before:
            await asyncio.wait([mine.ready], timeout=patience)
            if patience:
                _sweep(place)
        yield
    finally:
        _leave(place, mine)


def _sweep(place: Hashable) -> None:
    """Writes of loops that were closed in the middle of them never leave by themselves."""
    with _lock:
        ended = [other for other in _turns.get(place, ()) if other.loop.is_closed()]
    for other in ended:
        _leave(place, other)


def _leave(place: Hashable, mine: _Turn) -> None:
    with _lock:
        others = _turns.get(place, [])
        if mine in others:
            others.remove(mine)
        if not others:
            _turns.pop(place, None)
        next_ones = [other for other in others if mine in other.before]
        for other in next_ones:
            other.before.discard(mine)
        woken = [other for other in next_ones if not other.before]
    for other in woken:
        try:
            other.loop.call_soon_threadsafe(other.come)
        except RuntimeError:  # its loop was closed: it will not come, so those behind it do
            _leave(place, other)


def _begin_anew() -> None:
    """In a process that was forked: the writes of the other one never leave here, and its lock may be held."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    _turns.clear()


if hasattr(os, "register_at_fork"):  # not on every system
    os.register_at_fork(after_in_child=_begin_anew)
