"""Pyodide: one thread, shared with the page. What would block it is done in slices, between which the page lives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from importlib import import_module
from time import perf_counter
from typing import Any, TypeVar

from azarr.errors import AzarrError

T = TypeVar("T")
SLICE = 8e-3
"""Seconds of work in a row, half of what a frame takes; a step that takes longer is the last one."""
_ends = 0.0
"""When the slice that is running is over."""


def cores() -> int:
    """Python has one thread in the browser."""
    return 1


async def offload(call: Callable[[], T], *, stop: Callable[[], None] | None = None) -> T:
    """`call()`, once the page had its turn. It runs as a whole, so there is never anything to `stop`."""
    if perf_counter() > _ends:
        await _let_others()
    return call()


async def offload_steps(steps: Generator[None, None, T], *, stop: Callable[[], None] | None = None) -> T:
    """What the generator `steps` returns, run to its end in slices. Cancelled between two, it is closed."""
    try:
        while True:
            if perf_counter() > _ends:
                await _let_others()
            next(steps)
    except StopIteration as ended:
        return ended.value
    finally:
        steps.close()


async def _let_others() -> None:
    global _ends  # noqa: PLW0603  # there is one thread, whoever works in it
    await asyncio.sleep(0)
    _ends = perf_counter() + SLICE


def run_sync(awaitable: Awaitable[T]) -> T:
    """What `awaitable` gives, where WebAssembly can switch stacks (JSPI); else an `AzarrError`, with nothing awaited."""
    ffi: Any = import_module("pyodide.ffi")
    if not ffi.can_run_sync():
        if asyncio.iscoroutine(awaitable):
            awaitable.close()
        raise AzarrError("nothing can wait here without await: this browser lacks JSPI, or plain JavaScript called")
    return ffi.run_sync(awaitable)
