"""How far something has come, told on the event loop by whichever thread has done it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

Tell: TypeAlias = "Callable[[int, int], None] | None"
"""Called as `tell(done, total)`, on the event loop."""


class Progress:
    """Adds up what is done, and calls `tell(done, total)` on the loop it was made on, whichever thread adds."""

    def __init__(self, tell: Tell, total: int) -> None:
        self.total, self._tell, self._done, self._loop = total, tell, 0, asyncio.get_running_loop()

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
