"""Parts of one object that lie side by side are asked for together. Makes no tasks: one of those who wait asks for all of a run."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError, Future
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from azarr.scratch import view
from azarr.stores.base import Value

AT_ONCE = 16
"""Requests to one object at the same time. Who asks meanwhile waits, and goes with others."""
SPAN = 16 << 20
"""Bytes of one request for several parts, at most."""
GAP = 32
"""What lies between two parts comes with them where it is not above this share (one of so many) of the second one."""


@dataclass(eq=False, slots=True)
class _Part:
    start: int
    stop: int
    told: Future[Any]
    """With a `Value`; or with a run, which is then to be asked for; with the error of who asked; with None if that was cancelled."""


class Runs:
    """What is asked of one object on one event loop. `fetch(start, stop)` is one request."""

    def __init__(self, fetch: Callable[[int, int], Awaitable[Value]]) -> None:
        self.fetch, self._waiting, self._free, self._called = fetch, list[_Part](), AT_ONCE, False

    async def get(self, start: int, stop: int) -> Value:
        """The bytes from `start` to `stop`, all of them."""
        while True:
            part = _Part(start, stop, asyncio.get_running_loop().create_future())
            self._waiting.append(part)
            self._soon()
            try:
                told = await part.told
            except CancelledError:
                if not part.told.cancelled() and isinstance(part.told.result(), list):
                    self._end(part.told.result(), None)
                raise
            if isinstance(told, Value):
                return told
            if isinstance(told, Exception):
                raise told
            if told is not None:
                return await self._ask(part, told)

    async def _ask(self, mine: _Part, run: list[_Part]) -> Value:
        first, last = run[0].start, max(part.stop for part in run)
        answer: Any = None
        try:
            value = await self.fetch(first, last)
            whole = view(value.data)
            answer = [Value(whole[part.start - first : part.stop - first], value.version) for part in run]
            return answer[run.index(mine)]
        except Exception as error:
            answer = error
            raise
        finally:
            self._end(run, answer)

    def _end(self, run: list[_Part], answer: Any) -> None:
        self._free += 1
        self._soon()
        for position, part in enumerate(run):
            if not part.told.done():
                part.told.set_result(answer[position] if isinstance(answer, list) else answer)

    def _soon(self) -> None:
        if not self._called:  # all who ask in the same turn of the loop go together
            self._called = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._called = False
        waiting = [part for part in self._waiting if not part.told.done()]
        waiting.sort(key=lambda part: (part.start, part.stop))
        runs = _runs(waiting)
        begun, left = runs[: self._free], runs[self._free :]
        self._waiting = [part for run in left for part in run]
        self._free -= len(begun)
        for run in begun:
            run[0].told.set_result(run)


def _runs(parts: list[_Part]) -> list[list[_Part]]:
    """`parts`, which are sorted, in runs that are worth one request each."""
    runs: list[list[_Part]] = []
    stop = 0
    for part in parts:
        if runs and part.start - stop <= (part.stop - part.start) // GAP and max(stop, part.stop) - runs[-1][0].start <= SPAN:
            runs[-1].append(part)
            stop = max(stop, part.stop)
        else:
            runs.append([part])
            stop = part.stop
    return runs
