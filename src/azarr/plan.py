"""Regions cut along the chunk grid. Knows regions, grids and shards' shapes; never bytes, never stores.

A `Piece` is the part of one chunk that a read needs, and where in the result it goes. A `Job` is what one worker does at a time: some
chunks, or some inner chunks of one shard. Jobs are made while they are consumed, so a plan of 100,000 chunks holds a handful.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from azarr.grid import Axis, Grid, RegularAxis
from azarr.selection import Indices, Region, Selected

__all__ = ["Job", "Part", "Piece", "Plan", "blocks_of", "jobs", "parts", "place", "take"]

Index: TypeAlias = tuple[Any, ...]
KEPT_PARTS = 4096
"""Parts of an axis that are kept while another axis runs; above it they are made again each time."""


class Part(NamedTuple):
    """What a region takes of one chunk along one axis. `outer` is None where the axis is gone from the result."""

    chunk: int
    inner: Any
    outer: Any
    whole: bool


class Piece(NamedTuple):
    """What a region takes of one chunk: `result[outer] = chunk[inner]`. `whole`: all of it."""

    coords: tuple[int, ...]
    inner: Index
    outer: Index
    whole: bool


class Job(NamedTuple):
    """Pieces of chunks; or, with `shard`, of the inner chunks of the shard at these coordinates, `complete` if of all of them."""

    pieces: list[Piece]
    shard: tuple[int, ...] | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a read would do. `requests` is without the shard indices that are not cached yet."""

    shape: tuple[int, ...]
    dtype: str
    chunks: int
    """Chunks to decode; inner chunks, where there are shards."""
    objects: int
    """Objects of the store that these lie in: chunks, or shards."""
    nbytes: int
    """Bytes of the result."""
    decoded: int
    """Bytes of all chunks that are decoded for it."""

    @property
    def requests(self) -> int:
        """Requests at least: one an object, and for a shard that is not read as a whole one more for its index."""
        return self.objects

    def __str__(self) -> str:
        share = f"{self.nbytes / self.decoded:.0%}" if self.decoded else "all"
        return (
            f"read {self.shape} {self.dtype}, {self.nbytes:,} bytes: {self.chunks:,} chunks in {self.objects:,} objects, "
            f"{self.decoded:,} bytes decoded, {share} of them used"
        )


def parts(selected: Selected, axis: Axis) -> Iterator[Part]:
    """`selected` cut at the chunks of `axis`. A range runs forward."""
    if isinstance(selected, int):
        chunk = axis.locate(selected)
        start, size = axis.span(chunk)
        yield Part(chunk, selected - start, None, size == 1)
    elif isinstance(selected, range):
        yield from _range_parts(selected, axis)
    else:
        yield from _array_parts(selected, axis)


def _range_parts(selected: range, axis: Axis) -> Iterator[Part]:
    position, count, step = 0, len(selected), selected.step
    while position < count:
        first = selected[position]
        chunk = axis.locate(first)
        start, size = axis.span(chunk)
        taken = min(count - position, -(-(start + size - first) // step))
        inner = slice(first - start, first - start + (taken - 1) * step + 1, step)
        yield Part(chunk, inner, slice(position, position + taken), step == 1 and taken == size)
        position += taken


def _array_parts(selected: Indices, axis: Axis) -> Iterator[Part]:
    """Any order, repeats allowed: sorted first, so that each chunk is read once."""
    order: Indices | None = None
    if selected.size and np.any(selected[1:] < selected[:-1]):
        order = np.argsort(selected, kind="stable")
        selected = selected[order]
    position = 0
    while position < selected.size:
        chunk = axis.locate(int(selected[position]))
        start, size = axis.span(chunk)
        end = int(np.searchsorted(selected, start + size))
        outer = slice(position, end) if order is None else order[position:end]
        yield Part(chunk, selected[position:end] - start, outer, False)
        position = end


def jobs(region: Region, grid: Grid, inner: Grid | None, *, pieces_per_job: int, pieces_per_shard_job: int) -> Iterator[Job]:
    """The work of reading `region`, which runs forward: over chunks, or with `inner` over inner chunks grouped by shard."""
    if not region.size:
        return
    if inner is None:
        stream = _point_pieces(region, grid) if region.points else _pieces(region, grid)
        while batch := list(itertools.islice(stream, pieces_per_job)):
            yield Job(batch)
    elif region.points:
        yield from _grouped(_point_pieces(region, inner), grid, inner, pieces_per_shard_job)
    else:
        yield from _shard_jobs(region, grid, inner, pieces_per_shard_job)


def _pieces(region: Region, grid: Grid) -> Iterator[Piece]:
    for combined in _product([_parts_of(selected, axis) for selected, axis in zip(region.axes, grid.axes, strict=True)]):
        yield _piece(combined)


def _piece(combined: tuple[Part, ...]) -> Piece:
    return Piece(
        tuple([part.chunk for part in combined]),
        tuple([part.inner for part in combined]),
        tuple([part.outer for part in combined if part.outer is not None]),
        all([part.whole for part in combined]),
    )


def _parts_of(selected: Selected, axis: Axis) -> Callable[[], Iterator[Part]]:
    return lambda: parts(selected, axis)


def _product(axes: list[Callable[[], Iterator[Any]]]) -> Iterator[tuple[Any, ...]]:
    """Like `itertools.product`, but the first axis is consumed as it goes, and long ones are made again instead of kept."""
    if not axes:
        yield ()
        return
    kept: list[Callable[[], Iterable[Any]]] = [axes[0]]
    for make in axes[1:]:
        head = list(itertools.islice(make(), KEPT_PARTS + 1))
        kept.append((lambda held=head: held) if len(head) <= KEPT_PARTS else make)
    if all(isinstance(make(), list) for make in kept[1:]):
        for first in kept[0]():
            for rest in itertools.product(*(make() for make in kept[1:])):
                yield (first, *rest)
    else:
        yield from _nested(kept)


def _nested(axes: list[Callable[[], Iterable[Any]]]) -> Iterator[tuple[Any, ...]]:
    for first in axes[0]():
        if len(axes) == 1:
            yield (first,)
        else:
            for rest in _nested(axes[1:]):
                yield (first, *rest)


def _shard_jobs(region: Region, grid: Grid, inner: Grid, most: int) -> Iterator[Job]:
    """For each shard the pieces of its inner chunks, at most `most` at a time; their coordinates are those in the shard."""
    axes = [_shard_parts(selected, outer, fine) for selected, outer, fine in zip(region.axes, grid.axes, inner.axes, strict=True)]
    for combined in _product(axes):
        shard = tuple([group[0] for group in combined])
        total = math.prod(map(_inner_count, grid.axes, _regular(inner), shard))
        stream = map(_piece, itertools.product(*(group[1] for group in combined)))
        count = math.prod(len(group[1]) for group in combined)
        if count <= most:
            yield Job(list(stream), shard, count == total)
        else:
            while batch := list(itertools.islice(stream, most)):
                yield Job(batch, shard)


def _shard_parts(selected: Selected, outer: Axis, fine: RegularAxis | Any) -> Callable[[], Iterator[tuple[int, list[Part]]]]:
    def make() -> Iterator[tuple[int, list[Part]]]:
        for shard, group in itertools.groupby(parts(selected, fine), lambda part: outer.locate(part.chunk * fine.chunk)):
            first = outer.span(shard)[0] // fine.chunk
            yield shard, [part._replace(chunk=part.chunk - first) for part in group]

    return make


def _inner_count(outer: Axis, fine: RegularAxis, shard: int) -> int:
    """Inner chunks along one axis of a shard that hold some part of the array."""
    start, size = outer.span(shard)
    return -(-(min(start + size, fine.length) - start) // fine.chunk)


def _regular(grid: Grid) -> tuple[RegularAxis, ...]:
    return tuple(axis for axis in grid.axes if isinstance(axis, RegularAxis))


def _point_pieces(region: Region, grid: Grid) -> Iterator[Piece]:
    """Pieces of a region with points: the points of each chunk, sorted by chunk, times the parts of the other axes."""
    positions = [np.asarray(region.axes[axis]) for axis in region.points]
    chunks = [_locate_many(grid.axes[axis], found) for axis, found in zip(region.points, positions, strict=True)]
    order = np.lexsort(tuple(reversed(chunks)))
    rest = [_parts_of(region.axes[axis], grid.axes[axis]) for axis in region.layout]
    changes = np.zeros(order.size, bool)
    for found in chunks:
        changes[1:] |= found[order][1:] != found[order][:-1]
    bounds = [0, *np.flatnonzero(changes).tolist(), order.size]
    for begin, end in itertools.pairwise(bounds):
        where = order[begin:end]
        coords = {axis: int(found[where[0]]) for axis, found in zip(region.points, chunks, strict=True)}
        inner = {axis: found[where] - grid.axes[axis].span(coords[axis])[0] for axis, found in zip(region.points, positions, strict=True)}
        for combined in _product(list(rest)):
            for axis, part in zip(region.layout, combined, strict=True):
                coords[axis], inner[axis] = part.chunk, part.inner
            axes = range(len(region.axes))
            outer = (where, *(part.outer for part in combined))
            yield Piece(tuple(coords[axis] for axis in axes), tuple(inner[axis] for axis in axes), outer, False)


def _locate_many(axis: Axis, positions: Indices) -> Indices:
    if isinstance(axis, RegularAxis):
        return positions // axis.chunk
    distinct, inverse = np.unique(positions, return_inverse=True)
    return np.array([axis.locate(position) for position in distinct.tolist()], np.int64)[inverse]


def _grouped(stream: Iterator[Piece], grid: Grid, inner: Grid, most: int) -> Iterator[Job]:
    """Pieces of inner chunks by the shard they lie in; a shard may come several times."""
    fine = _regular(inner)

    def shard_of(piece: Piece) -> tuple[int, ...]:
        return tuple(outer.locate(chunk * axis.chunk) for outer, axis, chunk in zip(grid.axes, fine, piece.coords, strict=True))

    for shard, group in itertools.groupby(stream, shard_of):
        firsts = [outer.span(index)[0] // axis.chunk for outer, axis, index in zip(grid.axes, fine, shard, strict=True)]
        while batch := list(itertools.islice(group, most)):
            yield Job([piece._replace(coords=tuple(map(int.__sub__, piece.coords, firsts))) for piece in batch], shard)


def take(chunk: npt.NDArray[Any], piece: Piece, points: tuple[int, ...]) -> npt.NDArray[Any]:
    """`chunk[piece.inner]`, where each index array counts by itself, or those of `points` together and first."""
    inner = piece.inner
    if points:
        axes = points + tuple(axis for axis in range(len(inner)) if axis not in points)
        return chunk.transpose(axes + tuple(range(len(inner), chunk.ndim)))[tuple(inner[axis] for axis in axes)]
    arrays = [axis for axis, item in enumerate(inner) if isinstance(item, np.ndarray)]
    if not arrays:
        return chunk[(*inner, ...)]  # the ellipsis keeps an array where all are integers
    part = chunk[(*(slice(None) if isinstance(item, np.ndarray) else item for item in inner), ...)]
    kept = [item for item in inner if not isinstance(item, int)]
    for axis, item in enumerate(kept):
        if isinstance(item, np.ndarray):
            part = part.take(item, axis)
    return part


def place(out: npt.NDArray[Any], outer: Index, value: Any) -> None:
    """`out[outer] = value`, where each index array counts by itself."""
    if sum(isinstance(item, np.ndarray) for item in outer) <= 1:
        out[(*outer, ...)] = value
        return
    lengths = zip(outer, out.shape, strict=True)
    out[np.ix_(*(np.arange(length)[item] if isinstance(item, slice) else item for item, length in lengths))] = value


def blocks_of(region: Region, grid: Grid) -> Iterator[tuple[slice, ...]]:
    """Slices of the result of `region`, one for each object that holds some of it; points are one block by themselves."""
    if not region.size:
        return
    flips = region.flips()
    forward = region.forward()
    by_axis: dict[int, list[slice]] = {}
    for axis in region.layout:
        if axis >= 0:
            count = _length(forward.axes[axis])
            by_axis[axis] = [_mirrored(cut, count) if axis in flips else cut for cut in _cuts(forward.axes[axis], grid.axes[axis])]
            if axis in flips:
                by_axis[axis].reverse()
    lead = tuple([slice(0, length)] for length in region.points_shape)
    yield from itertools.product(*lead, *([slice(0, 1)] if axis < 0 else by_axis[axis] for axis in region.layout))


def _cuts(selected: Selected, axis: Axis) -> list[slice]:
    """Where a forward range changes chunk; an index array is cut where its chunk changes, whatever its order."""
    if isinstance(selected, range):
        return [part.outer for part in _range_parts(selected, axis)]
    chunks = _locate_many(axis, np.asarray(selected))
    bounds = [0, *(np.flatnonzero(chunks[1:] != chunks[:-1]) + 1).tolist(), chunks.size]
    return [slice(begin, end) for begin, end in itertools.pairwise(bounds)]


def _mirrored(cut: slice, count: int) -> slice:
    return slice(count - cut.stop, count - cut.start)


def _length(selected: Selected) -> int:
    assert not isinstance(selected, int)
    return len(selected)
