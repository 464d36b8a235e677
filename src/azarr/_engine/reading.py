"""One read, from a region to a NumPy array."""

from __future__ import annotations

import itertools
from time import time
from typing import Any

import numpy as np
import numpy.typing as npt

from azarr._engine.blocking import read_blocking, workers_for
from azarr._engine.chunk_cache import cache_of
from azarr._engine.decoding import Reading, Target
from azarr._engine.progress import Progress, Tell
from azarr._engine.waiting import read_waiting
from azarr._platform import cores
from azarr.context import Context, Event
from azarr.dtypes import NumPyDType
from azarr.errors import LimitExceeded, SelectionError
from azarr.grid import RegularAxis
from azarr.plan import Job, Plan, jobs, parts, touched
from azarr.selection import Region
from azarr.stores.base import is_blocking

JOB_BYTES = 4 << 20
"""Decoded bytes that a worker takes at a time: enough that taking costs nothing, few enough that workers end together."""
SMALL = 256 << 10
"""Decoded bytes of chunks that are worth placing several at a time."""
SHARD_JOB_BYTES = 16 << 20
"""The same for stores on the network, where one request should bring much of a shard."""


async def read(
    target: Target, region: Region, context: Context, *, fields: Any = None, out: npt.NDArray[Any] | None = None, progress: Tell = None
) -> npt.NDArray[Any]:
    """The elements of `region`: into `out`, which has its shape and data type, or into a new array.

    Errors: `StoreError` and what is below it; `LimitExceeded` for a result above the limits; `SelectionError` for an `out` that
    does not fit. Cancelled, it raises when no worker writes into `out` any more and no request is open.
    """
    layout = target.layout
    dtype = layout.metadata.dtype.numpy if fields is None else layout.metadata.dtype.numpy[fields]
    result = _result(region, dtype, context, out)
    if not region.size:
        return result
    if region.points and out is not None and not out.flags.c_contiguous:
        out[...] = await read(target, region, context, fields=fields, progress=progress)
        return out
    forward, nbytes, blocking = region.forward(), layout.read_nbytes, is_blocking(target.store)
    per_shard_job = JOB_BYTES if blocking else min(SHARD_JOB_BYTES, context.nbytes // 4)
    grid, many = layout.metadata.grid, min(64, JOB_BYTES // nbytes) or 1 if blocking else 1
    row, cache = 1, cache_of(context)
    told = None if progress is None else Progress(progress, count_chunks(region, target)[1])
    several = cache is None and layout.even and nbytes <= SMALL
    if several and fields is None and forward.sliced and isinstance(last := forward.axes[-1], range):
        row = min(many, touched(last, grid.axes[-1]))
    work = jobs(forward, grid, layout.inner, pieces_per_job=many // row, pieces_per_shard_job=per_shard_job // nbytes or 1, row=row)
    head, room = list[Job](), context.nbytes
    for job in itertools.islice(work, (context.workers or cores()) if blocking else context.requests):  # no more workers than jobs
        head.append(job)
        room -= 2 * len(job.pieces) * nbytes
        if room <= 0 and not blocking:  # more would wait for bytes in flight
            break
    reading = Reading(target, itertools.chain(head, work), region.target(result), forward, fields, cache, told)
    began = time()
    if blocking:
        await read_blocking(reading, workers_for(layout, len(head)))
    else:
        await read_waiting(reading, context, len(head))
    if context.on_event is not None:
        where, path = repr(target.store), target.prefix.removesuffix("/")
        context.on_event(Event("read", where, path, began=began, seconds=time() - began, nbytes=result.nbytes))
    return result


def plan(target: Target, region: Region, fields: Any = None) -> Plan:
    """What reading `region` would do. It counts, so it costs nothing even for millions of chunks."""
    dtype = target.layout.metadata.dtype.numpy if fields is None else target.layout.metadata.dtype.numpy[fields]
    objects, chunks = count_chunks(region, target)
    return Plan(region.shape, str(dtype), chunks, objects, region.size * dtype.itemsize, chunks * target.layout.read_nbytes)


def count_chunks(region: Region, target: Target) -> tuple[int, int]:
    """Objects of the store and chunks (inner chunks) that `region` touches."""
    if not region.size:
        return 0, 0
    layout = target.layout
    objects = _count(region, layout.metadata.grid)
    return objects, objects if layout.inner is None else _count(region, layout.inner)


def _count(region: Region, grid: Any) -> int:
    total = 1
    if region.points:
        positions = [np.asarray(region.axes[axis]).tolist() for axis in region.points]
        columns = [[grid.axes[axis].locate(place) for place in found] for axis, found in zip(region.points, positions, strict=True)]
        total = len(np.unique(np.stack(columns), axis=1).T)
    for axis, selected in enumerate(region.axes):
        if axis in region.points or isinstance(selected, int):
            continue
        cuts = grid.axes[axis]
        if isinstance(selected, range) and (abs(selected.step) == 1 or isinstance(cuts, RegularAxis)):  # every chunk between, or one each
            total *= touched(selected, cuts)
        else:
            forward = selected[::-1] if isinstance(selected, range) and selected.step < 0 else selected
            total *= sum(1 for _ in parts(forward, cuts))
    return total


def _result(region: Region, dtype: NumPyDType, context: Context, out: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    if out is None:
        if (nbytes := region.size * dtype.itemsize) > context.limits.result:
            context.limits.check("result", nbytes, f"a result of shape {region.shape}")
        try:
            return np.empty(region.shape, dtype)
        except MemoryError as error:
            raise LimitExceeded(f"a result of shape {region.shape} would take {nbytes:,} bytes, more than there is memory") from error
    shape = region.shape + dtype.shape
    if out.shape != shape or out.dtype != dtype.base or not out.flags.writeable:
        raise SelectionError(f"out must be writable, of shape {shape} and dtype {dtype.base}; it is {out.shape}, {out.dtype}")
    return out
