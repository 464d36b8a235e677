"""How far something has come, told on the event loop by whichever thread has done it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any, Self, TypeAlias

Tell: TypeAlias = "Callable[[int, int], None] | None"
"""Called as `tell(done, total)`, on the event loop."""


class Progress:
    """Adds up what is done, and calls `tell(done, total)` on the loop it was made on, whichever thread adds."""

    def __init__(self, tell: Tell, total: int) -> None:
        self.total, self._tell, self._done, self._loop = total, tell, 0, asyncio.get_running_loop()

    @classmethod
    def of_chunks(cls, tell: Tell, region: Any, target: Any, *, inner: bool) -> Self:
        """Progress in chunks of a region, counted if anybody wants to know: in objects of the store, or `inner` chunks."""
        return cls(tell, 0 if tell is None else import_module("azarr.tools.plans").count_chunks(region, target)[inner])

    def add(self, amount: int) -> None:
        """From any thread; on the loop's own it is told at once, for what is read there may be done before the loop turns."""
        if self._tell is not None and amount:
            if asyncio._get_running_loop() is self._loop:
                self.added(amount)
            else:
                self._loop.call_soon_threadsafe(self.added, amount)

    def added(self, amount: int) -> None:
        """On the loop, at once."""
        self._done += amount
        if self._tell is not None:
            self._tell(self._done, self.total)
