"""Shuffled batches of samples, for training: each chunk is decoded once an epoch, in bounded memory. Needs azarr and NumPy alone.

    async for batch in batches({"x": inputs, "y": targets}, size=64, memory="512 MiB", seed=epoch):
        tensor = torch.from_dlpack(batch["x"])    # or jax.dlpack, cupy, ...: no copy

A sample is a row of each array: what stands at one index of the first axis. Rows are read in runs of whole chunks. Some runs at random make
a pool, whose rows are given in random order while the next pool is read.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import numpy as np

import azarr
from azarr.context import bytes_of

Batch = dict[str, np.ndarray[Any, Any]]


async def batches(
    arrays: Mapping[str, azarr.Array], *, size: int, memory: int | str = "512 MiB", seed: int = 0, part: tuple[int, int] = (0, 1)
) -> AsyncGenerator[Batch, None]:
    """Batches of `size` samples, the last one smaller, each in memory of its own: every sample once, in an order that `seed` decides.

    `memory` is for samples that wait: the larger it is, the better they are mixed. It comes beside that of the context of the arrays, for
    bytes in flight. `part` is (which, of how many): those who share an epoch have runs of their own. Errors: `ValueError` for arrays of
    different lengths, or too little memory; those of a read.
    """
    lengths, chunks = {len(array) for array in arrays.values()}, [array.chunks for array in arrays.values()]
    if len(lengths) != 1 or 0 in lengths or None in chunks:
        raise ValueError(f"arrays of one length above 0, in regular chunks, are needed, not of {sorted(lengths)} in {chunks}")
    [length] = lengths
    rows = math.lcm(*(shape[0] for shape in chunks))  # a run, of whole chunks of all arrays
    nbytes = rows * sum(array.nbytes // length for array in arrays.values())
    if (most := bytes_of(memory) // (2 * nbytes)) < 1:  # a pool that is given, and one that is read
        raise ValueError(f"memory is at least twice a run of whole chunks, {2 * nbytes:,} bytes, not {bytes_of(memory):,}")
    random = np.random.default_rng(seed)
    starts = (random.permutation(-(-length // rows)) * rows)[part[0] :: part[1]].tolist()
    pools = [[slice(start, min(start + rows, length)) for start in starts[first : first + most]] for first in range(0, len(starts), most)]
    reading = [asyncio.create_task(_pool(arrays, runs)) for runs in pools[:1]]
    left: Batch = {name: np.empty((0, *array.shape[1:]), array.dtype) for name, array in arrays.items()}
    try:
        for following in [*pools[1:], None]:
            pool = await reading.pop()
            if following:
                reading.append(asyncio.create_task(_pool(arrays, following)))
            order = random.permutation(len(next(iter(pool.values()))))
            while len(order) and len(order) + (waiting := len(next(iter(left.values())))) >= size:
                taken, order = order[: size - waiting], order[size - waiting :]
                yield {name: np.concatenate((left[name], pool[name][taken])) for name in arrays}
                left = {name: values[:0] for name, values in left.items()}
            left = {name: np.concatenate((left[name], pool[name][order])) for name in arrays}
            del pool
        if len(next(iter(left.values()))):
            yield left
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def _pool(arrays: Mapping[str, azarr.Array], runs: list[slice]) -> Batch:
    """The rows of `runs` of each array, one run after the other, read all at once."""
    pool = {name: np.empty((sum(run.stop - run.start for run in runs), *array.shape[1:]), array.dtype) for name, array in arrays.items()}
    place = 0
    try:
        async with asyncio.TaskGroup() as group:
            for run in runs:
                stop = place + run.stop - run.start
                for name, array in arrays.items():
                    group.create_task(array[run].read(out=pool[name][place:stop]))
                place = stop
    except ExceptionGroup as failed:  # others were cancelled
        raise failed.exceptions[0] from None
    return pool
