"""Arrays of dask that read from azarr's, and are stored in them; and whole trees that a cluster copies and checks.

dask computes, so what is here blocks where it computes: in a coroutine, `await asyncio.to_thread(...)`. No two tasks write one object.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from azarr._open import create_array
from azarr.array import Array
from azarr.context import bytes_of
from azarr.errors import SelectionError
from azarr.grid import Axis
from azarr.integrations import sync
from azarr.integrations.cluster import copy, verify
from azarr.integrations.handles import Handle, package
from azarr.ref import Ref

__all__ = ["copy", "from_array", "store", "store_later", "verify"]


def from_array(array: Array | Ref[Any], chunks: Any = "auto") -> Any:
    """A `dask.array.Array` of an array, or of a reference to one: each of its chunks is a task that reads it when it is computed.

    `chunks` are those of `dask.array.from_array`; "auto" gives whole shards or chunks, together about as large as dask's
    `array.chunk-size`. A selection of the result reads no more than it needs. The same array of the same store has the same name, so
    results that dask keeps are those of the first time. Errors: `MissingPackage`; those of opening.
    """
    da = package("dask.array")
    node = _opened(array)
    shape, dtype = node.shape, node.dtype
    parts = _auto(node) if isinstance(chunks, str) and chunks == "auto" else da.core.normalize_chunks(chunks, shape, dtype=dtype)
    return da.from_array(Handle(node), chunks=parts, inline_array=True, meta=np.empty((0,) * node.ndim, dtype))


def store(values: Any, target: Any, path: str = "", *, region: Sequence[slice] | None = None, **options: Any) -> Array:
    """Compute an array of dask and store it, in an array of azarr or in a new one; that array. Blocks until it is stored.

    `target` is an `Array` that may be written to, of which `region` (a slice for each axis) is written if it is given; or what
    `create_array` takes, with `path` and the `options` of that: chunks are those of `values` where they are regular.
    `values` are rechunked where two tasks would write one chunk or shard.
    Errors: `MissingPackage`, `SelectionError`, those of `create_array` and of `Selection.write`.
    """
    array, delayed = store_later(values, target, path, region=region, **options)
    delayed.compute()
    return array


def store_later(values: Any, target: Any, path: str = "", *, region: Sequence[slice] | None = None, **options: Any) -> tuple[Array, Any]:
    """As `store`, with nothing computed: the array, which is there, and a `Delayed` that stores when it is computed."""
    da = package("dask.array")
    if isinstance(target, Ref):
        target = _opened(cast("Any", target))
    array = target if isinstance(target, Array) else _created(values, target, path, options)
    parts = _region(array, region)
    if tuple(part.stop - part.start for part in parts) != values.shape:
        raise SelectionError(f"values of shape {values.shape} do not fit into region {region} of an array of shape {array.shape}")
    axes = zip(array.metadata.grid.axes, values.chunks, parts, strict=True)
    aligned = values.rechunk(tuple([_aligned(axis, sizes, part) for axis, sizes, part in axes]))
    return array, da.store([aligned], [Handle(array, writes=True)], lock=False, regions=[parts], compute=False)


def _opened(array: Array | Ref[Any]) -> Array:
    return sync.run(array[...].open()).array if isinstance(array, Ref) else array


def _created(values: Any, target: Any, path: str, options: dict[str, Any]) -> Array:
    regular = all(len({*sizes[:-1]}) <= 1 and sizes[-1] <= sizes[0] for sizes in values.chunks)
    chunks = tuple([max(1, size) for size in values.chunksize]) if regular else "auto"
    given: dict[str, Any] = {"chunks": chunks, "shape": values.shape, "dtype": values.dtype, **options}
    return sync.run(create_array(target, path, **given))


def _region(array: Array, region: Sequence[slice] | None) -> tuple[slice, ...]:
    """A slice with a step of 1 for each axis."""
    given = (slice(None),) * array.ndim if region is None else tuple(region)
    if len(given) != array.ndim or not all(isinstance(part, slice) and part.step in (None, 1) for part in given):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SelectionError(f"region has a slice without step for each axis, not {region!r}")
    bounds = [part.indices(length) for part, length in zip(given, array.shape, strict=True)]
    return tuple([slice(start, max(start, stop)) for start, stop, _ in bounds])


def _aligned(axis: Axis, sizes: Sequence[int], part: slice) -> tuple[int, ...]:
    """Lengths near `sizes` that end where chunks of `axis` do, or the region does."""
    stops, stop = [part.start], part.start
    for size in sizes:
        stop += size
        edge = part.stop if stop >= part.stop else axis.span(axis.locate(stop))[0]
        if edge > stops[-1]:
            stops.append(edge)
    return _lengths(stops)


def _auto(array: Array) -> tuple[tuple[int, ...], ...]:
    """Whole shards, or where one is large whole chunks, as many together as dask likes."""
    most, layout = bytes_of(package("dask.config").get("array.chunk-size")), array.layout
    grid = layout.inner if layout.inner is not None and layout.chunk_nbytes(array.metadata.grid) > most else array.metadata.grid
    counts = [1] * array.ndim  # chunks along each axis, doubled from the last axis on, as long as that is not too much
    size = layout.chunk_nbytes(grid)
    for index in reversed(range(array.ndim)):
        while 2 * size <= most and counts[index] < grid.axes[index].count:
            counts[index], size = 2 * counts[index], 2 * size
    axes = zip(grid.axes, counts, strict=True)
    return tuple([_lengths([*[axis.span(index)[0] for index in range(0, axis.count, count)], axis.length]) for axis, count in axes])


def _lengths(edges: list[int]) -> tuple[int, ...]:
    return tuple([stop - start for start, stop in itertools.pairwise(edges)]) or (0,)
