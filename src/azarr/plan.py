"""Regions cut along the chunk grid. Knows regions, grids and shards' shapes; never bytes, never stores.

A `Piece` is the part of one chunk that a read needs, and where in the result it goes. A `Job` is what one worker does at a time: some
chunks, or some inner chunks of one shard. Jobs are made while they are consumed, so a plan of 100,000 chunks holds a handful.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from azarr.grid import Axis, Grid, RegularAxis
from azarr.selection import Indices, Region, Selected

Index: TypeAlias = tuple[Any, ...]
KEPT_PARTS = 4096
"""Parts of an axis that are kept while another axis runs; above it they are made again each time."""


class Part(NamedTuple):
    """What a region takes of one chunk along one axis. `outer` is None where the axis is gone from the result."""

    chunk: int
    inner: Any
    outer: Any
    whole: bool
    chunks: int = 1


class Piece(NamedTuple):
    """What a region takes of one chunk: `result[outer] = chunk[inner]`. `whole`: all of it.

    Of several `chunks`, which follow each other along the last axis, `coords` is the first, and `outer` is for all.
    """

    coords: tuple[int, ...]
    inner: Index
    outer: Index
    whole: bool
    chunks: int = 1

    def each(self) -> list[tuple[int, ...]]:
        """The coordinates of its chunks."""
        return [self.coords] if self.chunks == 1 else [(*self.coords[:-1], self.coords[-1] + number) for number in range(self.chunks)]


class Job(NamedTuple):
    """Pieces of chunks; or, with `shard`, of the inner chunks of the shard at these coordinates.

    `complete`: of all of them. `only`: no other job is of this shard.
    """

    pieces: list[Piece]
    shard: tuple[int, ...] | None = None
    complete: bool = False
    only: bool = False


def parts(selected: Selected, axis: Axis) -> Iterator[Part]:
    """`selected` cut at the chunks of `axis`. A range runs forward; an array of any order is sorted, so that each chunk comes once."""
    if isinstance(selected, int):
        chunk = axis.locate(selected)
        start, size = axis.span(chunk)
        yield Part(chunk, selected - start, None, size == 1)
        return
    position, count, order = 0, len(selected), None
    if isinstance(selected, np.ndarray) and np.any(selected[1:] < selected[:-1]):
        order = np.argsort(selected, kind="stable")
        selected = selected[order]
    while position < count:
        first = int(selected[position])
        chunk = axis.locate(first)
        start, size = axis.span(chunk)
        if isinstance(selected, range):
            step = selected.step
            end = min(count, position - (first - start - size) // step)
            inner = slice(first - start, first - start + (end - position - 1) * step + 1, step)
            yield Part(chunk, inner, slice(position, end), step == 1 and end - position == size)
        else:
            end = int(np.searchsorted(selected, start + size))
            yield Part(chunk, selected[position:end] - start, slice(position, end) if order is None else order[position:end], False)
        position = end


def touched(selected: range | Indices, axis: Axis) -> int:
    """The most chunks of `axis` that `selected`, which is not empty and sorted either way, can be in."""
    return min(len(selected), abs(axis.locate(int(selected[-1])) - axis.locate(int(selected[0]))) + 1)


def jobs(region: Region, grid: Grid, inner: Grid | None, *, pieces_per_job: int, pieces_per_shard_job: int, row: int = 1) -> Iterator[Job]:
    """The work of reading `region`, which runs forward: over chunks, or with `inner` over inner chunks grouped by shard.

    Up to `row` chunks that follow each other along the last axis, in one shard, and are whole along it, make one piece (not of points).
    """
    if not region.size:
        return iter(())
    if inner is not None:
        if region.points:
            return _point_shard_jobs(region, grid, inner, pieces_per_shard_job)
        return _shard_jobs(region, grid, inner, pieces_per_shard_job, row)
    if (lone := _lone(region, grid)) is not None:
        return iter([Job([lone])])
    makers = [partial(parts, selected, axis) for selected, axis in zip(region.axes, grid.axes, strict=True)]
    if row > 1:
        makers[-1] = partial(_rows, makers[-1], row)
    stream = _point_pieces(region, grid) if region.points else map(_piece_maker(region), _product(makers))
    return map(Job, map(list, zip(stream)) if pieces_per_job == 1 else _batches(stream, pieces_per_job))


def _lone(region: Region, grid: Grid) -> Piece | None:
    """All of a region that lies in one chunk, as small reads do, and reads of small arrays: found in a third of the time."""
    coords: list[int] = []  # annotated, as `list[int]()` takes ten times as long
    inner: list[Any] = []
    outer: list[Any] = []
    complete = True
    for selected, axis in zip(region.axes, grid.axes, strict=True):
        if isinstance(selected, np.ndarray):
            return None
        chunk = axis.locate(first := selected if isinstance(selected, int) else selected[0])
        start, size = axis.span(chunk)
        coords.append(chunk)
        if isinstance(selected, int):
            inner.append(first - start)
            complete &= size == 1
        elif (last := selected[-1] - start) < size:
            inner.append(slice(first - start, last + 1, selected.step))
            outer.append(slice(0, len(selected)))
            complete &= selected.step == 1 and len(selected) == size
        else:
            return None
    return Piece(tuple(coords), tuple(inner), tuple(outer), complete)


def _batches(stream: Iterator[Piece], most: int) -> Iterator[list[Piece]]:
    while batch := list(itertools.islice(stream, most)):
        yield batch


def _rows(make: Callable[[], Iterator[Part]], most: int) -> Iterator[Part]:
    """The same parts, those that are whole and follow each other as one."""
    row = next(stream := make())
    for part in stream:
        if row.whole and part.whole and row.chunks < most:
            row = Part(row.chunk, row.inner, slice(row.outer.start, part.outer.stop), True, row.chunks + 1)
        else:
            yield row
            row = part
    yield row


def _piece(combined: tuple[Part, ...]) -> Piece:
    if not combined:
        return Piece((), (), (), True)
    coords, inner, outer, whole, chunks = zip(*combined, strict=True)
    return Piece(coords, inner, outer, all(whole), chunks[-1])


def _piece_without(combined: tuple[Part, ...]) -> Piece:
    """Where some axes are gone from the result, having an integer or being part of the points."""
    piece = _piece(combined)
    return piece._replace(outer=tuple([outer for outer in piece.outer if outer is not None]))


def _piece_maker(region: Region) -> Callable[[tuple[Part, ...]], Piece]:
    return _piece_without if region.points or int in map(type, region.axes) else _piece


def _product(makers: list[Callable[[], Iterator[Any]]]) -> Iterator[tuple[Any, ...]]:
    """Like `itertools.product` of what `makers` make, but made while it is consumed: what is too long to be kept is made again."""
    if len(makers) < 2:  # the first axis is consumed as it goes
        return zip(*[make() for make in makers], strict=True) if makers else iter([()])
    return _tails(makers)


def _tails(makers: list[Callable[[], Iterator[Any]]]) -> Iterator[tuple[Any, ...]]:
    kept = list(itertools.islice(zip(makers[-1]()), KEPT_PARTS + 1))
    for head in _product(makers[:-1]):
        yield from map(head.__add__, kept if len(kept) <= KEPT_PARTS else zip(makers[-1]()))


def _shard_jobs(region: Region, grid: Grid, inner: Grid, most: int, row: int) -> Iterator[Job]:
    """For each shard the pieces of its inner chunks, at most `most` at a time; their coordinates are those in the shard."""
    rows = [*[1] * (len(grid.axes) - 1), row]
    for shards in _product([partial(_shard_parts, *axis) for axis in zip(region.axes, grid.axes, inner.axes, rows, strict=False)]):
        coords, groups, missed = zip(*shards, strict=True) if shards else ((), (), ())
        count = math.prod(map(len, groups))
        for batch in _batches(map(_piece_maker(region), itertools.product(*groups)), most):
            yield Job(batch, coords, len(batch) == count and not any(missed), len(batch) == count)


def _shard_parts(selected: Selected, outer: Axis, fine: Axis, row: int) -> Iterator[tuple[int, list[Part], bool]]:
    """For each shard along one axis: its index, the parts of its inner chunks, and whether more of these hold some part of the array."""
    for shard, group in itertools.groupby(parts(selected, fine), lambda part: outer.locate(fine.span(part.chunk)[0])):
        start, size = outer.span(shard)
        first = fine.locate(start)
        total = fine.locate(min(start + size, fine.length) - 1) + 1 - first
        found = [part._replace(chunk=part.chunk - first) for part in group]
        yield shard, found if row == 1 else list(_rows(partial(iter, found), row)), len(found) < total


def _point_shard_jobs(region: Region, grid: Grid, inner: Grid, most: int) -> Iterator[Job]:
    """Pieces of inner chunks with points, by the shard they lie in; a shard may come several times."""
    axes = list(zip(grid.axes, inner.axes, strict=True))

    def shard_of(piece: Piece) -> tuple[int, ...]:
        return tuple([outer.locate(fine.span(chunk)[0]) for (outer, fine), chunk in zip(axes, piece.coords, strict=True)])

    for shard, group in itertools.groupby(_point_pieces(region, inner), shard_of):
        firsts = [fine.locate(outer.span(index)[0]) for (outer, fine), index in zip(axes, shard, strict=True)]
        for batch in _batches(group, most):
            yield Job([piece._replace(coords=tuple(map(int.__sub__, piece.coords, firsts))) for piece in batch], shard)


def _point_pieces(region: Region, grid: Grid) -> Iterator[Piece]:
    """Pieces of a region with points: the points of each chunk, sorted by chunk, times the parts of the other axes."""
    positions = {axis: np.asarray(region.axes[axis]) for axis in region.points}
    chunks = {axis: locate_many(grid.axes[axis], found) for axis, found in positions.items()}
    others = [axis for axis in range(len(region.axes)) if axis not in positions]
    order = np.lexsort(tuple(reversed(chunks.values())))
    begins = np.flatnonzero(np.any([np.diff(found[order], prepend=-1) for found in chunks.values()], axis=0)).tolist()
    for begin, end in itertools.pairwise([*begins, order.size]):
        where = order[begin:end]
        coords = {axis: int(found[where[0]]) for axis, found in chunks.items()}
        points = {axis: Part(chunk, positions[axis][where] - grid.axes[axis].span(chunk)[0], None, False) for axis, chunk in coords.items()}
        for combined in _product([partial(parts, region.axes[axis], grid.axes[axis]) for axis in others]):
            found = points | dict(zip(others, combined, strict=True))
            piece = _piece_without(tuple([found[axis] for axis in range(len(found))]))
            yield piece._replace(outer=(where, *piece.outer))


def locate_many(axis: Axis, positions: Indices) -> Indices:
    """The chunk of each of `positions`."""
    if isinstance(axis, RegularAxis):
        return positions // axis.chunk
    distinct, inverse = np.unique(positions, return_inverse=True)
    return np.array([axis.locate(position) for position in distinct.tolist()], np.int64)[inverse]


def take(chunk: npt.NDArray[Any], piece: Piece, points: tuple[int, ...]) -> npt.NDArray[Any]:
    """`chunk[piece.inner]`, where each index array counts by itself, or those of `points` together and first."""
    arrays: dict[int, Indices] = {axis: item for axis, item in enumerate(piece.inner) if isinstance(item, np.ndarray)}
    if not arrays:
        return chunk[(*piece.inner, ...)]  # the ellipsis keeps an array where all are integers
    part = chunk[(*[slice(None) if axis in arrays else item for axis, item in enumerate(piece.inner)], ...)]
    left = [axis for axis, item in enumerate(piece.inner) if not isinstance(item, int)]
    for axis in arrays.keys() - points:
        part = part.take(arrays[axis], left.index(axis))
    if points:
        part = np.moveaxis(part, [left.index(axis) for axis in points], range(len(points)))[tuple([arrays[axis] for axis in points])]
    return part


def place(out: npt.NDArray[Any], outer: Index, value: Any) -> None:
    """`out[outer] = value`, where each index array counts by itself. `out` may have axes after those, of elements that are arrays."""
    out[_each(out, outer)] = value


def _each(array: npt.NDArray[Any], index: Index) -> Index:
    """What NumPy must be given so that each index array in `index` counts by itself."""
    if sum(isinstance(item, np.ndarray) for item in index) > 1:
        index = np.ix_(*[np.arange(array.shape[axis])[item] for axis, item in enumerate(index)])
    return (*index, ...)


def give(chunk: npt.NDArray[Any], piece: Piece, points: tuple[int, ...], source: npt.NDArray[Any]) -> None:
    """`chunk[piece.inner] = source[piece.outer]`, with index arrays as in `take`: of what stands in one place, the last is kept."""
    values = source[_each(source, piece.outer)]
    arrays: dict[int, Indices] = {axis: item for axis, item in enumerate(piece.inner) if isinstance(item, np.ndarray)}
    if not arrays:
        chunk[(*piece.inner, ...)] = values
        return
    part = chunk[(*[slice(None) if axis in arrays else item for axis, item in enumerate(piece.inner)], ...)]
    left = [axis for axis, item in enumerate(piece.inner) if not isinstance(item, int)]
    rest = [axis for axis in left if axis not in points]
    part = np.moveaxis(part, [left.index(axis) for axis in points], range(len(points)))
    index = [arrays[axis].reshape(-1, *[1] * len(rest)) for axis in points]
    for position, axis in enumerate(rest):
        chosen = arrays.get(axis, cast("Indices", np.arange(part.shape[len(points) + position])))
        index.append(chosen.reshape(-1, *[1] * (len(rest) - 1 - position)))
    part[tuple(index)] = values


def covers(piece: Piece, grid: Grid, first: tuple[int, ...] = ()) -> bool:
    """Whether `piece` takes all of its chunk that lies in the array. `first`: the chunk of `grid` that its coordinates count from."""
    if piece.whole:
        return True
    for axis, index, item, base in zip(grid.axes, piece.coords, piece.inner, first or (0,) * len(grid.axes), strict=True):
        start, size = axis.span(base + index)
        length = min(size, axis.length - start)
        taken = range(item, item + 1) if isinstance(item, int) else range(length)[item] if isinstance(item, slice) else ()
        if taken != range(length):
            return False
    return True
