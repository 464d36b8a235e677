"""Streaming a selection block by block, bounded in bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, NamedTuple

import numpy.typing as npt

from azarr._engine.progress import Progress, Tell
from azarr._platform import together


class Block(NamedTuple):
    """A part of a selection: `data` is what stands at `region`, one slice per axis of the selection."""

    region: tuple[slice, ...]
    data: npt.NDArray[Any]


Read = Callable[[tuple[slice, ...]], Coroutine[Any, Any, npt.NDArray[Any]]]


async def all_of(reads: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """What each of `reads` gives. The first error ends them all, and is raised when none is running any more."""
    async with together() as group:
        tasks = [group.create_task(read) for read in reads]
    return [task.result() for task in tasks]


async def stream(
    regions: Iterator[tuple[slice, ...]], read: Read, *, ordered: bool, most: int, progress: Tell = None, total: int = 0
) -> AsyncIterator[Block]:
    """The blocks at `regions`, at most `most` of them read or waiting to be taken; as they come, or in order.

    Left early or cancelled, it ends when nothing of it is running any more.
    """
    told = Progress(progress, total)
    running: dict[asyncio.Task[npt.NDArray[Any]], tuple[slice, ...]] = {}
    try:
        while True:
            while len(running) < most and (region := next(regions, None)) is not None:
                running[asyncio.ensure_future(read(region))] = region
            if not running:
                return
            waited = [next(iter(running))] if ordered else list(running)
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                data = task.result()
                told.added(1)
                yield Block(running.pop(task), data)
                del data
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.gather(*running, return_exceptions=True)
