"""Random shapes, keys and grids for hypothesis. Knows NumPy and grids; what a key means is NumPy's to say."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from hypothesis import strategies as st

from azarr.grid import Axis, Grid, RegularAxis, grid_from_json

SHAPES = st.lists(st.integers(1, 9), max_size=3).map(tuple)
STEPS = st.sampled_from((None, 1, 1, 2, 3, 10, -1, -1, -2, -10))


def slices(length: int) -> st.SearchStrategy[slice]:
    bounds = st.none() | st.integers(-length - 2, length + 2)
    return st.builds(slice, bounds, bounds, STEPS)


def integers(length: int) -> st.SearchStrategy[int]:
    return st.integers(-length, length - 1)


def index_arrays(length: int) -> st.SearchStrategy[Any]:
    """One-dimensional: as a list, as an array of some integer type, or as a mask."""
    indices = st.lists(integers(length), max_size=7)
    arrays = st.builds(np.array, indices, st.sampled_from((np.int64, np.int32, np.int8)))
    masks = st.lists(st.booleans(), min_size=length, max_size=length).map(lambda mask: np.array(mask, bool))
    return indices | arrays | masks


@st.composite
def basic_keys(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Integers and slices, sometimes fewer than axes, sometimes with an ellipsis and new axes."""
    count = draw(st.integers(0, len(shape)))
    ellipsis = draw(st.integers(0, count)) if draw(st.booleans()) else None
    axes = list(range(len(shape)))
    taken = axes[:count] if ellipsis is None else [*axes[:ellipsis], *axes[len(shape) - (count - ellipsis) :]]
    items: list[Any] = [draw(slices(shape[axis]) | integers(shape[axis]) if shape[axis] else slices(0)) for axis in taken]
    if ellipsis is not None:
        items.insert(ellipsis, ...)
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        items.insert(draw(st.integers(0, len(items))), None)
    return tuple(items)


@st.composite
def orthogonal_keys(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """For each axis an integer, a slice, an index array or a mask."""
    return tuple(draw(slices(length) | integers(length) | index_arrays(length) if length else slices(0)) for length in shape)


@st.composite
def point_keys(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Index arrays that broadcast together, integers and slices; at least one array."""
    points = draw(st.sampled_from(((), (1,), (4,), (0,), (2, 3), (2, 1), (1, 3))))
    where = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    items: list[Any] = []
    for axis, length in enumerate(shape):
        if axis not in where:
            items.append(draw(slices(length)))
            continue
        sizes = draw(st.sampled_from((points, points, points[1:])))
        flat = draw(st.lists(integers(length), min_size=int(np.prod(sizes)), max_size=int(np.prod(sizes))))
        items.append(np.array(flat, np.int64).reshape(sizes))
    return tuple(items)


def orthogonal(values: np.ndarray[Any, Any], key: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    """What `oindex[key]` means: each item by itself, the integers last, so that the axes stay where they are."""
    for axis, item in enumerate(key):
        if not isinstance(item, int):
            index = np.asarray(item, None if len(item) else np.int64) if isinstance(item, list) else item
            values = values[(*[slice(None)] * axis, index)]
    return values[tuple(item if isinstance(item, int) else slice(None) for item in key)]


def vectorised(values: np.ndarray[Any, Any], key: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    """What `vindex[key]` means: the axes with arrays moved first, then NumPy's own indexing."""
    first = [axis for axis, item in enumerate(key) if not isinstance(item, slice)]
    rest = [axis for axis in range(values.ndim) if axis not in first]
    return values.transpose(first + rest)[tuple(key[axis] for axis in first + rest if axis < len(key))]


@st.composite
def axes(draw: st.DrawFn, length: int) -> Axis:
    """Chunks of one size, or of many."""
    if draw(st.booleans()):
        return RegularAxis(length, draw(st.integers(1, length + 2)))
    runs: list[list[int]] = []
    while sum(map(operator.mul, *zip(*runs, strict=True))) < length if runs else True:
        runs.append([draw(st.integers(1, 4)), draw(st.integers(1, 2))])
    spec = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [runs]}}
    return grid_from_json(spec, (length,)).axes[0]


@st.composite
def grids(draw: st.DrawFn, shape: tuple[int, ...]) -> Grid:
    return Grid(tuple(draw(axes(length)) for length in shape))


@st.composite
def shards(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Grid, Grid]:
    """A grid of shards, and the grid of their inner chunks."""
    sizes = tuple(draw(st.integers(1, 3)) for _ in shape)
    whole = tuple(size * draw(st.integers(1, 3)) for size in sizes)
    return Grid.regular(shape, whole), Grid.regular(shape, sizes)
