"""NumPy-style keys to normalised axes. Knows shapes and indices; never chunks (that is `plan`), never stores.

A `Region` says which elements of an array are meant. Each axis of the array has an `int` (the axis is gone from the result), a `range`
(Python's own: slicing it composes, with NumPy's rules) or an array of indices. `layout` has the axes of the result in order.
"""

import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from types import EllipsisType
from typing import Any, NamedTuple, Self, TypeAlias, TypeGuard, cast

import numpy as np
import numpy.typing as npt

from azarr.errors import SelectionError

Indices: TypeAlias = npt.NDArray[np.int64]
Selected: TypeAlias = int | range | Indices
PLAIN = {int, slice}
"""Types of items that most keys have, and that mean one thing: most keys are plain, so they are looked at first."""


class Region(NamedTuple):
    """Elements of an array, coming out in `shape`. An axis that `None` made is in `layout` as a range of its own, of length 1 or 0.

    With `points`, the axes in it hold index arrays of the shape `points_shape`, flattened, which are taken together
    (vectorised); that shape comes first in the result, the other axes after it.
    """

    axes: tuple[Selected, ...]
    layout: tuple[int | range, ...]
    points: tuple[int, ...] = ()
    points_shape: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.points_shape + tuple([len(self.along(entry)) for entry in self.layout])

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def sliced(self) -> bool:
        """Whether there are no index arrays, so that of every chunk a slice is taken."""
        return not any(isinstance(axis, np.ndarray) for axis in self.axes)

    def along(self, entry: int | range) -> range | Indices:
        """What an entry of `layout` selects."""
        return entry if isinstance(entry, range) else cast("range | Indices", self.axes[entry])

    def forward(self) -> Self:
        """The same elements with every range running forward."""
        if not any(map(backward, self.axes)):
            return self
        return self._replace(axes=tuple([axis[::-1] if backward(axis) else axis for axis in self.axes]))

    def target(self, out: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of `out`, which has this region's shape, with one axis per axis that is not an int, to be filled in `forward` order.

        The axes of `points` become one, for which `out` must be contiguous in them.
        """
        lead = len(self.points_shape)
        index = [0 if isinstance(entry, range) else slice(None, None, -1 if backward(self.axes[entry]) else 1) for entry in self.layout]
        found = out[(*[slice(None)] * lead, *index, ...)]
        return found.reshape(math.prod(self.points_shape), *found.shape[lead:]) if self.points else found

    def part(self, block: Sequence[slice]) -> Self:
        """The part of the result in `block`, which has a slice for each axis; those of points and new axes are whole."""
        axes = list(self.axes)
        for entry, taken in zip(self.layout, block[len(self.points_shape) :], strict=True):
            if isinstance(entry, int):
                axes[entry] = self.along(entry)[taken]
        return self._replace(axes=tuple(axes))


def backward(selected: Selected) -> TypeGuard[range]:
    """Whether this is a range with a negative step."""
    return isinstance(selected, range) and selected.step < 0


@lru_cache(256)
def whole(shape: tuple[int, ...]) -> Region:
    """All of an array."""
    return Region(tuple(map(range, shape)), tuple(range(len(shape))))


def basic(region: Region, key: Any) -> Region:
    """What `[key]` means: integers, slices, `...`, `None`; an index array or mask where NumPy and `oindex` agree; a mask of axes."""
    items = cast("tuple[Any, ...]", key if isinstance(key, tuple) else (key,))
    if PLAIN.issuperset(map(type, items)):
        return _each(region, items)
    items = _items(items)
    arrays = [place for place, item in enumerate(items) if _is_array(item)]
    if arrays == [0] and _is_mask(items[0]) and items[0].ndim > 1:
        return vectorised(region, items)
    if arrays:
        slots = [place for place, item in enumerate(items) if item is None or isinstance(item, (slice, EllipsisType))]
        taken = [place for place in range(len(items)) if place not in slots]  # NumPy takes integers for arrays too, beside an array
        apart = taken[-1] - taken[0] >= len(taken) and slots[0] < arrays[0]
        if apart or len(arrays) > 1 or items[arrays[0]].ndim > 1:
            ways = "oindex[...] (axis by axis) or vindex[...] (point by point)"
            raise SelectionError(f"several index arrays, or an array beside integers: say {ways}")
    return _each(region, items)


def orthogonal(region: Region, key: Any) -> Region:
    """What `oindex[key]` means: each axis by itself, with integers, slices, one-dimensional index arrays or masks."""
    return _each(region, _items(key))


def _each(region: Region, items: tuple[Any, ...]) -> Region:
    """`region` indexed by `items`, axis by axis."""
    if region.points:
        raise SelectionError("a selection by points cannot be indexed further; read it, and index the result")
    axes, entries = list(region.axes), iter(enumerate(region.layout))
    layout: list[int | range] = []
    for item in _filled(items, len(region.layout)):
        if item is None:
            layout.append(range(1))
            continue
        place, entry = next(entries)
        selected = region.along(entry)
        found = selected[item] if type(item) is slice else _pick(selected, item, place)
        if isinstance(entry, int):
            axes[entry] = found
        elif isinstance(found, np.ndarray):
            raise SelectionError("an axis made by newaxis cannot be indexed with an array")
        if not isinstance(found, int):
            layout.append(entry if isinstance(entry, int) else cast("range", found))
    return Region(tuple(axes), tuple(layout))


def vectorised(region: Region, key: Any) -> Region:
    """What `vindex[key]` means: index arrays are broadcast together, as are masks; slices keep their axis, after the points."""
    items = _items(key)
    if region.points or any(isinstance(entry, range) for entry in region.layout):
        raise SelectionError("this selection cannot be indexed with vindex; read it, and index the result")
    if any(item is None for item in items):
        raise SelectionError("vindex takes no newaxis; reshape the result")
    axes, layout, entries = list(region.axes), list[int](), iter(cast("tuple[int, ...]", region.layout))
    points: dict[int, Indices] = {}
    for item in _filled(items, len(region.layout)):
        of = [next(entries) for _ in range(_ndim(item))]
        if isinstance(item, slice):
            axes[of[0]] = region.along(of[0])[item]
            layout.append(of[0])
        else:
            flat = item if _is_array(item) else np.asarray(_integer(item))
            arrays = _nonzero(item, [region.along(axis) for axis in of]) if _is_mask(item) else [flat]
            points.update({axis: _resolve(region.along(axis), array, axis) for axis, array in zip(of, arrays, strict=True)})
    try:
        shape = np.broadcast_shapes(*(array.shape for array in points.values()))
    except ValueError:
        shapes = " ".join(str(array.shape) for array in points.values())
        raise SelectionError(f"index arrays do not broadcast together: {shapes}") from None
    for axis, array in points.items():
        axes[axis] = np.broadcast_to(array, shape).reshape(-1)
    return Region(tuple(axes), tuple(layout), tuple(points), shape)


def _items(key: Any) -> tuple[Any, ...]:
    """The entries of `key`, lists as arrays (without elements: of integers), arrays without axes as scalars."""
    items = cast("tuple[Any, ...]", key if isinstance(key, tuple) else (key,))
    items = tuple([np.asarray(item, None if item else np.int64) if isinstance(item, list) else item for item in items])
    return tuple([item[()] if _is_array(item) and not item.ndim else item for item in items])


def _filled(items: tuple[Any, ...], ndim: int) -> list[Any]:
    """`items` with `...` replaced by full slices, so that they take `ndim` axes."""
    if len(items) == ndim and PLAIN.issuperset(map(type, items)):
        return list(items)
    places = [place for place, item in enumerate(items) if isinstance(item, EllipsisType)] or [len(items)]
    if len(places) > 1:
        raise SelectionError("an index can only have a single ellipsis ('...')")
    before, after = items[: places[0]], items[places[0] + 1 :]
    given = sum(map(_ndim, before + after))
    if given > ndim:
        raise SelectionError(f"too many indices: {given} were given for {ndim} dimensions")
    return [*before, *[slice(None)] * (ndim - given), *after]


def _pick(selected: range | Indices, item: Any, axis: int) -> Selected:
    """`selected`, which is what axis `axis` is so far, indexed further by `item`."""
    if _is_array(item):
        if item.ndim > 1:
            raise SelectionError(f"an index array for oindex has one dimension, not {item.ndim}; vindex takes several")
        return _resolve(selected, _nonzero(item, [selected])[0] if _is_mask(item) else item, axis)
    position = _integer(item)
    if not -len(selected) <= position < len(selected):
        raise SelectionError(f"index {position} is out of bounds for axis {axis} with size {len(selected)}")
    return int(selected[position])


def _resolve(selected: range | Indices, indices: npt.NDArray[Any], axis: int) -> Indices:
    """The indices of the array that `indices` into `selected` mean."""
    length = len(selected)
    if indices.dtype.kind not in "iu":
        raise SelectionError(f"index arrays are of integers or bool, not {indices.dtype}")
    if indices.size and (indices.min() < -length or indices.max() >= length):
        bad = indices[(indices < -length) | (indices >= length)].flat[0]
        raise SelectionError(f"index {bad} is out of bounds for axis {axis} with size {length}")
    signed = indices.astype(np.int64)
    positive = np.where(signed < 0, signed + length, signed)
    return selected.start + selected.step * positive if isinstance(selected, range) else selected[positive]


def _ndim(item: Any) -> int:
    """How many axes `item` takes: none for a new one, several for a mask of several."""
    return item.ndim if _is_mask(item) else int(item is not None)


def _is_array(item: Any) -> TypeGuard[npt.NDArray[Any]]:
    return isinstance(item, np.ndarray)


def _is_mask(item: Any) -> TypeGuard[npt.NDArray[np.bool_]]:
    return _is_array(item) and item.dtype == bool


def _nonzero(mask: npt.NDArray[np.bool_], selected: Sequence[range | Indices]) -> tuple[Indices, ...]:
    shape = tuple(map(len, selected))
    if mask.shape != shape:
        raise SelectionError(f"a mask of shape {mask.shape} does not fit axes of shape {shape}")
    return mask.nonzero()


def _integer(item: Any) -> int:
    if isinstance(item, (bool, np.bool_)):
        raise SelectionError("True and False are not indices; a mask is an array of bool")
    try:
        return operator.index(item)
    except TypeError:
        raise SelectionError(f"an index is an integer, a slice, '...', None, or an array of integers or bool, not {item!r}") from None
