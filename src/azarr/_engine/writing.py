"""Replacing whole chunks (whole shards). Partial chunks are refused, not guessed at."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from azarr._engine.decoding import Target, together
from azarr._engine.waiting import Budget, budget_of
from azarr._platform import cores, offload
from azarr.codecs.base import ChunkSpec
from azarr.codecs.sharding import same_bits
from azarr.context import Context
from azarr.errors import PartialChunkWrite
from azarr.grid import Axis
from azarr.plan import Piece, jobs
from azarr.scratch import Buffer
from azarr.selection import Region, Selected


async def write(target: Target, region: Region, values: npt.NDArray[Any], context: Context) -> None:
    """Store `values`, which have the region's shape, as the chunks that `region` covers as wholes.

    A chunk that is the fill value bit for bit is not stored. Errors: `PartialChunkWrite` before anything is written.
    """
    metadata = target.layout.metadata
    for axis, (selected, cuts) in enumerate(zip(region.axes, metadata.grid.axes, strict=True)):
        _check_whole(selected, cuts, axis)
    if not region.size:
        return
    source = region.target(values)
    work = jobs(region.forward(), metadata.grid, None, pieces_per_job=1, pieces_per_shard_job=1)
    budget = budget_of(context)

    async def loop() -> None:
        for job in work:
            await _write_chunk(target, job.pieces[0], source, budget, context)

    async with together() as group:
        for _ in range(max(2, context.workers or cores())):
            group.create_task(loop())


async def _write_chunk(target: Target, piece: Piece, source: npt.NDArray[Any], budget: Budget, context: Context) -> None:
    pipeline = target.layout.pipeline(piece.coords)
    async with budget.request(min(2 * pipeline.chunk.size * pipeline.chunk.dtype.itemsize, context.nbytes)):
        data = await offload(lambda: _encoded(target, piece, source))
        key = target.key(piece.coords)
        target.indexes.drop(key)
        await (target.store.delete(key) if data is None else target.store.set(key, data))


def _encoded(target: Target, piece: Piece, source: npt.NDArray[Any]) -> Buffer | None:
    pipeline = target.layout.pipeline(piece.coords)
    chunk: ChunkSpec = pipeline.chunk
    array = np.empty(chunk.shape, chunk.dtype)
    if not piece.whole:  # over the end of the array a chunk holds the fill value
        array[...] = chunk.fill
    array[piece.inner] = source[piece.outer]
    return None if same_bits(array, chunk) else pipeline.encode(array)


def _check_whole(selected: Selected, axis: Axis, number: int) -> None:
    if isinstance(selected, range) and not len(selected):
        return
    if isinstance(selected, int):
        selected = range(selected, selected + 1)
    if isinstance(selected, range) and abs(selected.step) == 1:
        low, high = sorted((selected[0], selected[-1]))
        first, last = axis.span(axis.locate(low))[0], sum(axis.span(axis.locate(high)))
        if low == first and high + 1 == min(last, axis.length):
            return
    raise PartialChunkWrite(f"axis {number}: the selection does not cover whole chunks; begin and end at a chunk's edge")
