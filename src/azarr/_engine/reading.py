"""One read, from a region to a NumPy array."""

from __future__ import annotations

import itertools
import math
from collections.abc import Coroutine, Sequence
from time import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from azarr._engine.blocking import read_blocking, workers_for
from azarr._engine.chunk_cache import cache_of
from azarr._engine.decoding import Reading, Target
from azarr._engine.progress import Progress, Tell
from azarr._engine.waiting import read_waiting
from azarr._platform import cores, in_flight, together
from azarr.context import Context, Event
from azarr.dtypes import NumPyDType
from azarr.errors import LimitExceeded, ObjectChanged, SelectionError
from azarr.plan import Job, jobs, touched
from azarr.selection import Region
from azarr.stores.base import is_blocking

JOB_BYTES = 4 << 20
"""Decoded bytes that a worker takes at a time: enough that taking costs nothing, few enough that workers end together."""
SMALL = 256 << 10
"""Decoded bytes of chunks that are worth placing several at a time."""
SHARD_JOB_BYTES = 16 << 20
"""The same for stores on the network, where one request should bring much of a shard."""


class Block(NamedTuple):
    """A part of a selection: `data` is what stands at `region`, one slice per axis of the selection."""

    region: tuple[slice, ...]
    data: npt.NDArray[Any]


async def all_of(reads: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """What each of `reads` gives. The first error ends them all, and is raised when none is running any more."""
    async with together() as group:
        tasks = [group.create_task(read) for read in reads]
    return [task.result() for task in tasks]


async def read(
    target: Target, region: Region, context: Context, *, fields: Any = None, out: npt.NDArray[Any] | None = None, progress: Tell = None,
    cached: bool = True,
) -> npt.NDArray[Any]:
    """The elements of `region`: into `out`, which has its shape and data type, or into a new array.

    Errors: `StoreError` and what is below it; `LimitExceeded` for a result above the limits; `SelectionError` for an `out` that
    does not fit. Cancelled, it raises when no worker writes into `out` any more and no request is open.
    """
    layout = target.layout
    dtype = layout.metadata.dtype.numpy if fields is None else layout.metadata.dtype.numpy[fields]
    result = _result(shape := region.shape, dtype, context, out)
    if 0 in shape:
        return result
    if region.points and out is not None and not out.flags.c_contiguous:
        out[...] = await read(target, region, context, fields=fields, progress=progress)
        return out
    forward, nbytes, blocking = region.forward(), layout.read_nbytes, is_blocking(target.store)
    per_shard_job = JOB_BYTES if blocking else min(SHARD_JOB_BYTES, in_flight(context.nbytes) // 4)
    grid, many = layout.metadata.grid, min(64, JOB_BYTES // nbytes) or 1 if blocking else 1
    row, cache = 1, cache_of(context) if cached else None
    told = None if progress is None else Progress.of_chunks(progress, region, target, inner=True)
    several = blocking and cache is None and layout.even and nbytes <= SMALL
    if several and fields is None and forward.sliced and isinstance(last := forward.axes[-1], range):
        row = min(many, touched(last, (layout.inner or grid).axes[-1]))
    work = jobs(forward, grid, layout.inner, pieces_per_job=many // row, pieces_per_shard_job=per_shard_job // nbytes // row or 1, row=row)
    head, room = list[Job](), in_flight(context.nbytes)
    for job in itertools.islice(work, (context.workers or cores()) if blocking else context.requests):  # no more workers than jobs
        head.append(job)
        room -= 2 * len(job.pieces) * nbytes
        if room <= 0 and not blocking:  # more would wait for bytes in flight
            break
    reading = Reading(target, itertools.chain(head, work), region.target(result), forward, fields, cache, told)
    began = time()
    try:
        if blocking:
            await read_blocking(reading, workers_for(layout, len(head), result.nbytes))
        else:
            await read_waiting(reading, context, len(head), sum([len(job.pieces) for job in head]))
    except ObjectChanged:
        if not reading.reused:
            raise
        return await read(target, region, context, fields=fields, out=result, progress=progress, cached=False)
    if context.on_event is not None:
        where, path = repr(target.store), target.prefix.removesuffix("/")
        context.on_event(Event("read", where, path, began=began, seconds=time() - began, nbytes=result.nbytes))
    return result


def _result(shape: tuple[int, ...], dtype: NumPyDType, context: Context, out: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    if out is None:
        if (nbytes := math.prod(shape) * dtype.itemsize) > context.limits.result:
            context.limits.check("result", nbytes, f"a result of shape {shape}")
        try:
            return np.empty(shape, dtype)
        except MemoryError as error:
            raise LimitExceeded(f"a result of shape {shape} would take {nbytes:,} bytes, more than there is memory") from error
    shape += dtype.shape
    if out.shape != shape or out.dtype != dtype.base or not out.flags.writeable:
        has = f"{out.shape}, {out.dtype}{', read-only' * (not out.flags.writeable)}"
        raise SelectionError(f"out must be writable, of shape {shape} and dtype {dtype.base}; it is {has}")
    return out
