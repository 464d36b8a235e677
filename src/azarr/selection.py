"""NumPy-style keys to normalised axes. Knows shapes and indices; never chunks (that is `plan`), never stores.

A `Region` says which elements of an array are meant. Each axis of the array has an `int` (the axis is gone from the result), a `range`
(Python's own: slicing it composes, with NumPy's rules) or an array of indices. `layout` has the axes of the result in order.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from azarr.errors import SelectionError

__all__ = ["Indices", "Region", "Selected", "basic", "orthogonal", "vectorised", "whole"]

Indices: TypeAlias = npt.NDArray[np.int64]
Selected: TypeAlias = int | range | Indices
NEW, NEW_EMPTY = -1, -2
"""In `layout`: an axis of length 1 (or, sliced away, 0) that the array does not have."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Elements of an array of shape `array_shape`, coming out in `shape`.

    With `points`, the axes in it hold index arrays of the shape `points_shape`, flattened, which are taken together
    (vectorised); that shape comes first in the result, the other axes after it.
    """

    array_shape: tuple[int, ...]
    axes: tuple[Selected, ...]
    layout: tuple[int, ...]
    points: tuple[int, ...] = ()
    points_shape: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.points_shape + tuple(self._length(entry) for entry in self.layout)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def _length(self, entry: int) -> int:
        return {NEW: 1, NEW_EMPTY: 0}[entry] if entry < 0 else _count(self.axes[entry])

    def flips(self) -> tuple[int, ...]:
        """Axes of the array that run backwards."""
        return tuple(axis for axis, selected in enumerate(self.axes) if isinstance(selected, range) and selected.step < 0)

    def forward(self) -> Region:
        """The same elements with every range running forward."""
        return replace(self, axes=tuple(axis[::-1] if isinstance(axis, range) and axis.step < 0 else axis for axis in self.axes))

    def target(self, out: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of `out`, which has this region's shape, with one axis per axis that is not an int, to be filled in `forward` order.

        The axes of `points` become one, for which `out` must be contiguous in them.
        """
        flips = self.flips()
        index = tuple(0 if entry < 0 else slice(None, None, -1) if entry in flips else slice(None) for entry in self.layout)
        lead = len(self.points_shape)
        found = out[(*(slice(None),) * lead, *index, ...)]
        if not self.points:
            return found
        return found.reshape(math.prod(self.points_shape), *found.shape[lead:])


def whole(shape: tuple[int, ...]) -> Region:
    return Region(shape, tuple(range(length) for length in shape), tuple(range(len(shape))))


def basic(region: Region, key: Any) -> Region:
    """What `[key]` means: integers, slices, `...`, `None`; one index array or mask, where NumPy and `oindex` agree; a mask of all axes."""
    items = _items(key)
    if any(_is_array(item) for item in items):
        masks = [item for item in items if _is_array(item) and _indices(item).dtype == bool and _indices(item).ndim > 1]
        if masks and sum(map(_is_array, items)) == 1 and _is_array(items[0]):
            return vectorised(region, key)
        _check_unambiguous(items)
        return orthogonal(region, key)
    return _compose(region, items)


def orthogonal(region: Region, key: Any) -> Region:
    """What `oindex[key]` means: each axis by itself, with integers, slices, one-dimensional index arrays or masks."""
    return _compose(region, _items(key))


def vectorised(region: Region, key: Any) -> Region:
    """What `vindex[key]` means: index arrays are broadcast together, as are masks; slices keep their axis, after the points."""
    if region.points or any(entry < 0 for entry in region.layout):
        raise SelectionError("this selection cannot be indexed with vindex; read it, and index the result")
    items = _unmasked(_items(key))
    if any(item is None for item in items):
        raise SelectionError("vindex takes no newaxis; reshape the result")
    items = _filled(items, len(region.layout))
    axes, points, layout, arrays = list(region.axes), list[int](), list[int](), list[Indices]()
    for item, axis in zip(items, region.layout, strict=True):
        if isinstance(item, slice):
            axes[axis] = _pick(region.axes[axis], item, axis)
            layout.append(axis)
            continue
        if isinstance(item, tuple):
            item, length = item
            if length != _count(region.axes[axis]):
                raise SelectionError(f"a mask of length {length} does not fit axis {axis} with size {_count(region.axes[axis])}")
        arrays.append(_resolve(region.axes[axis], _integer_array(item, axis), axis))
        points.append(axis)
    if not points:
        return replace(region, axes=tuple(axes), layout=tuple(layout))
    try:
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        shapes = " ".join(str(array.shape) for array in arrays)
        raise SelectionError(f"index arrays do not broadcast together: {shapes}") from None
    for axis, array in zip(points, arrays, strict=True):
        axes[axis] = np.broadcast_to(array, shape).reshape(-1)
    return Region(region.array_shape, tuple(axes), tuple(layout), tuple(points), shape)


def _compose(region: Region, items: Sequence[Any]) -> Region:
    if region.points:
        raise SelectionError("a selection by points cannot be indexed further; read it, and index the result")
    items = _filled(items, len(region.layout))
    axes, layout, entries = list(region.axes), list[int](), iter(region.layout)
    for item in items:
        if item is None:
            layout.append(NEW)
            continue
        axis = next(entries)
        if axis < 0:
            layout.extend(_pick_new(axis, item))
            continue
        axes[axis] = found = _pick(region.axes[axis], item, axis)
        if not isinstance(found, int):
            layout.append(axis)
    return replace(region, axes=tuple(axes), layout=tuple(layout))


def _pick(selected: Selected, item: Any, axis: int) -> Selected:
    """`selected`, which is a range or an array, indexed further by `item`."""
    assert not isinstance(selected, int)
    if isinstance(item, slice):
        return selected[item]
    if _is_array(item):
        return _resolve(selected, _integer_array(item, axis, mask_length=len(selected), ndim=1), axis)
    position = _integer(item)
    if not -len(selected) <= position < len(selected):
        raise SelectionError(f"index {position} is out of bounds for axis {axis} with size {len(selected)}")
    return int(selected[position])


def _pick_new(axis: int, item: Any) -> list[int]:
    """An axis that the array does not have, indexed further."""
    length = 1 if axis == NEW else 0
    if isinstance(item, slice):
        return [NEW if len(range(length)[item]) else NEW_EMPTY]
    if _is_array(item):
        raise SelectionError("an axis made by newaxis cannot be indexed with an array")
    position = _integer(item)
    if not -length <= position < length:
        raise SelectionError(f"index {position} is out of bounds for a new axis with size {length}")
    return []


def _resolve(selected: Selected, indices: Indices, axis: int) -> Indices:
    """The indices of the array that `indices` into `selected` mean."""
    assert not isinstance(selected, int)
    length = len(selected)
    if indices.size and (indices.min() < -length or indices.max() >= length):
        bad = indices[(indices < -length) | (indices >= length)].flat[0]
        raise SelectionError(f"index {bad} is out of bounds for axis {axis} with size {length}")
    positive = np.where(indices < 0, indices + length, indices)
    if isinstance(selected, range):
        return selected.start + selected.step * positive
    return selected[positive]


def _items(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _filled(items: Sequence[Any], ndim: int) -> list[Any]:
    """`items` with `...` replaced, one for each of `ndim` axes and each `None`."""
    ellipses = sum(isinstance(item, EllipsisType) for item in items)
    if ellipses > 1:
        raise SelectionError("an index can only have a single ellipsis ('...')")
    given = sum(item is not None and not isinstance(item, EllipsisType) for item in items)
    if given > ndim:
        raise SelectionError(f"too many indices: {given} were given for {ndim} dimensions")
    where = next((place for place, item in enumerate(items) if isinstance(item, EllipsisType)), len(items))
    rest = items[where + 1 :] if ellipses else ()
    return [*items[:where], *[slice(None)] * (ndim - given), *rest]


def _integer(item: Any) -> int:
    if isinstance(item, (bool, np.bool_)):
        raise SelectionError("True and False are not indices; a mask is an array of bool")
    try:
        return operator.index(item)
    except TypeError:
        raise SelectionError(f"an index is an integer, a slice, '...', None, or an array of integers or bool, not {item!r}") from None


def _is_array(item: Any) -> TypeGuard[list[Any] | npt.NDArray[Any]]:
    return isinstance(item, list) or (isinstance(item, np.ndarray) and item.ndim > 0)


def _indices(item: Any) -> npt.NDArray[Any]:
    found = np.asarray(item)
    return found.astype(np.int64) if not found.size and isinstance(item, list) else found


def _integer_array(item: Any, axis: int, *, mask_length: int | None = None, ndim: int | None = None) -> Indices:
    found = _indices(item)
    if found.dtype == bool and found.ndim == 1 and mask_length is not None:
        if found.size != mask_length:
            raise SelectionError(f"a mask of length {found.size} does not fit axis {axis} with size {mask_length}")
        return np.flatnonzero(found)
    if ndim is not None and found.ndim != ndim:
        raise SelectionError(f"an index array for oindex has one dimension, not {found.ndim}; vindex takes several")
    if found.dtype.kind not in "iu":
        raise SelectionError(f"index arrays are of integers or bool, not {found.dtype}")
    return found.astype(np.int64)


def _unmasked(items: Sequence[Any]) -> list[Any]:
    """`items` with each mask replaced, one (indices of its true elements, length) per axis of the mask."""
    found: list[Any] = []
    for item in items:
        if _is_array(item) and _indices(item).dtype == bool:
            found.extend(zip(np.nonzero(item), _indices(item).shape, strict=True))
        else:
            found.append(item)
    return found


def _check_unambiguous(items: Sequence[Any]) -> None:
    """NumPy takes several arrays together, and an integer beside an array as an array; `oindex` does not. Ask which is meant."""
    arrays = [place for place, item in enumerate(items) if _is_array(item)]
    integers = [place for place, item in enumerate(items) if not _is_array(item) and not isinstance(item, (slice, EllipsisType)) and item is not None]
    apart = any(abs(place - arrays[0]) > 1 for place in integers) and arrays[0] > 0
    if len(arrays) > 1 or apart or _indices(items[arrays[0]]).ndim > 1:
        raise SelectionError("several index arrays, or an array beside integers: say oindex[...] (axis by axis) or vindex[...] (point by point)")


def _count(selected: Selected) -> int:
    assert not isinstance(selected, int)
    return len(selected)
