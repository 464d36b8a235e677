"""Streaming a selection block by block, bounded in bytes."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from azarr._engine import Block, Progress, Target, Tell, read
from azarr.context import Context, bytes_of
from azarr.errors import LimitExceeded
from azarr.grid import Axis, Grid
from azarr.plan import locate_many, parts, touched
from azarr.selection import Indices, Region, backward

MAX_CUTS = 1 << 22
"""Blocks along one axis: they are kept, so they are counted before."""
Read = Callable[[tuple[slice, ...]], Coroutine[Any, Any, npt.NDArray[Any]]]


def blocks_of(
    target: Target, region: Region, itemsize: int, context: Context, *, fields: Any, ordered: bool, memory: int | str | None, progress: Tell
) -> AsyncGenerator[Block, None]:
    """What `Selection.blocks` gives of `region`; an element has `itemsize` bytes."""
    bound, layout = context.nbytes if memory is None else bytes_of(memory), target.layout
    grid = layout.metadata.grid
    if layout.inner is not None and layout.chunk_nbytes(grid) > bound // 2:
        grid = layout.inner
    places = cuts(region, grid)
    largest = itemsize * math.prod(max((cut.stop - cut.start for cut in axis), default=0) for axis in places)
    most = min(context.requests, max(1, bound // (layout.chunk_nbytes(grid) + largest)))

    async def read_block(block: tuple[slice, ...]) -> npt.NDArray[Any]:
        return await read(target, region.part(block), context, fields=fields)

    return stream(itertools.product(*places), read_block, ordered=ordered, most=most, progress=progress, total=math.prod(map(len, places)))


async def stream(
    regions: Iterator[tuple[slice, ...]], read: Read, *, ordered: bool, most: int, progress: Tell = None, total: int = 0
) -> AsyncGenerator[Block, None]:
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


def cuts(region: Region, grid: Grid) -> list[list[slice]]:
    """For each axis of the result, where it changes chunk; points and axes that `None` made are not cut. An empty result has no blocks."""
    if not region.size:
        return [[]]
    found = [[slice(0, length)] for length in region.points_shape]
    for entry in region.layout:
        selected = region.along(entry)
        found.append([slice(0, len(selected))] if isinstance(entry, range) else _cuts(selected, grid.axes[entry]))
    return found


def _cuts(selected: range | Indices, axis: Axis) -> list[slice]:
    """An index array is cut where its chunk changes, whatever its order."""
    if (count := touched(selected, axis)) > MAX_CUTS:
        raise LimitExceeded(f"{count:,} blocks along one axis; {MAX_CUTS:,} are allowed; stream a part of it")
    if isinstance(selected, np.ndarray):
        bounds = [*np.flatnonzero(np.diff(locate_many(axis, selected), prepend=-1)).tolist(), len(selected)]
    elif backward(selected):
        bounds = [0, *[len(selected) - cut.start for cut in reversed(_cuts(selected[::-1], axis))]]
    else:
        bounds = [*[part.outer.start for part in parts(selected, axis)], len(selected)]
    return [slice(begin, end) for begin, end in itertools.pairwise(bounds)]
