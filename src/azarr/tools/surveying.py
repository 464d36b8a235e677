"""What is stored of an array, object by object: which chunks there are, their sizes, whether they are whole; and shards without gaps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from azarr._engine.decoding import Target
from azarr._engine.documents import ATTEMPTS, conflict
from azarr._engine.objects import Get, Put, Steps, Work, perform, version_of
from azarr._engine.progress import Progress
from azarr._engine.turns import place_of, turn
from azarr.codecs.sharding import ABSENT, ShardLayout, filled
from azarr.context import Context
from azarr.errors import CorruptData, LimitExceeded, StoreError, TransportError
from azarr.grid import KeyEncoding
from azarr.scratch import Scratch, view
from azarr.stores.base import Listing, Value

FIRST = (0, 1)
"""A range that brings little more than the size of its object."""
MOST_DIGITS = 20
"""Of a coordinate."""
Coords = tuple[int, ...]


async def chunk_objects(target: Target, keys: Iterable[str] | None = None) -> Iterable[Coords]:
    """The chunks or shards that may be stored: of `keys`, those that the store lists, or where it cannot list all that there can be."""
    if keys is None:
        if not isinstance(target.store, Listing):
            return every_chunk(target)
        keys = [key async for key in target.store.list(target.prefix.removesuffix("/"))]
    return [coords for key in keys if (coords := coords_of(target, key)) is not None]


def every_chunk(target: Target) -> Iterator[Coords]:
    """The coordinates of all chunks, or shards, that hold some part of the array."""
    return itertools.product(*[range(axis.count) for axis in target.layout.metadata.grid.axes])


def coords_of(target: Target, key: str) -> Coords | None:
    """The chunk or shard that has this key; None where there is none in the array."""
    metadata = target.layout.metadata
    coords = named_by(metadata.key_encoding, key.removeprefix(target.prefix), metadata.ndim) if key.startswith(target.prefix) else None
    if coords is None or not all(index < axis.count for index, axis in zip(coords, metadata.grid.axes, strict=True)):
        return None
    return coords


def named_by(encoding: KeyEncoding, key: str, ndim: int) -> Coords | None:
    """The chunk that has this key, below the path of its array; None where no chunk of `ndim` coordinates has it."""
    parts = key.split(encoding.separator)
    parts = parts[1:] if encoding.name == "default" else parts if ndim else []
    if len(parts) != ndim or not all(part.isascii() and part.isdigit() and len(part) < MOST_DIGITS for part in parts):
        return None
    coords = tuple(map(int, parts))
    return coords if encoding.key(coords) == key else None


class _Looking(Work[Coords]):
    """Work on some chunks or shards of an array."""

    def __init__(self, target: Target, chunks: Iterable[Coords]) -> None:
        size = len(chunks) if isinstance(chunks, list) else target.layout.metadata.grid.nchunks
        super().__init__(((target.key(coords), coords) for coords in chunks), size)
        self.target = target

    def nbytes(self, job: Coords) -> int:
        return 0


async def presence(target: Target, context: Context) -> npt.NDArray[np.bool_]:
    """Which chunks (inner chunks) are stored, one element for each."""
    layout = target.layout
    grid = layout.inner or layout.metadata.grid
    context.limits.check("result", grid.nchunks, "an element for each chunk")
    found, chunks = np.zeros([axis.count for axis in grid.axes], np.bool_), await chunk_objects(target)
    if layout.inner is None and isinstance(chunks, list):
        for coords in chunks:
            found[coords] = True
    else:
        await perform(_Presence(target, chunks, found), target.store, context)
    return found


class _Presence(_Looking):
    def __init__(self, target: Target, chunks: Iterable[Coords], found: npt.NDArray[np.bool_]) -> None:
        super().__init__(target, chunks)
        self.found = found

    def steps(self, key: str, job: Coords, scratch: Scratch) -> Steps:
        layout = self.target.layout
        if layout.inner is None:
            self.found[job] = (yield Get(key, FIRST)) is not None
            return
        rows = layout.shard(job)
        value: Value | None = yield Get(key, rows.index_range)
        if value is None:
            return
        try:
            index = rows.read_index(value.data, scratch)
        except StoreError as error:
            raise error.within(repr(self.target.store), key) from error.__cause__
        stored = layout.outside((index != ABSENT).any(axis=1).reshape(rows.counts))
        axes = zip(layout.inner.axes, layout.metadata.grid.axes, job, stored.shape, strict=True)
        begins = [(fine.locate(axis.span(index)[0]), count) for fine, axis, index, count in axes]
        part = self.found[(*[slice(begin, begin + count) for begin, count in begins], ...)]
        part[...] = stored[(*map(slice, part.shape), ...)]


async def stored_nbytes(target: Target, context: Context) -> int:
    """Bytes of all chunks or shards that are stored."""
    work = _Sizes(target, await chunk_objects(target))
    await perform(work, target.store, context)
    return sum(work.sizes)


class _Sizes(_Looking):
    def __init__(self, target: Target, chunks: Iterable[Coords]) -> None:
        super().__init__(target, chunks)
        self.sizes: list[int] = []

    def steps(self, key: str, job: Coords, scratch: Scratch) -> Steps:
        value: Value | None = yield Get(key, FIRST)
        if value is not None and value.size is None:
            value = yield Get(key)
        if value is not None:
            self.sizes.append(len(value.data) if value.size is None else value.size)


class Checking(_Looking):
    """Reads and decodes objects as a whole.

    `damaged`: the error of each that is not what it should be. `overlapping`: shards with inner chunks that share bytes, as is allowed.
    """

    def __init__(self, target: Target, chunks: Iterable[Coords], progress: Progress) -> None:
        super().__init__(target, chunks)
        self.progress = progress
        self.damaged: dict[str, StoreError | LimitExceeded] = {}
        self.sizes, self.chunks, self.overlapping = list[int](), list[int](), list[str]()

    def nbytes(self, job: Coords) -> int:
        return 2 * self.target.layout.pipeline(job).chunk.nbytes

    def steps(self, key: str, job: Coords, scratch: Scratch) -> Steps:
        layout = self.target.layout
        try:
            if (value := (yield Get(key))) is None:
                return
            self.sizes.append(len(value.data))
            if layout.inner is None:
                self.chunks.append(1)
                layout.pipeline(job).decode(value.data, scratch)
            else:
                self._shard(key, layout.shard(job), value, scratch)
        except TransportError:
            raise
        except (StoreError, LimitExceeded) as error:
            self.damaged[key] = error

    def done(self, key: str, job: Coords) -> None:
        self.progress.add(1)

    def _shard(self, key: str, rows: ShardLayout, value: Value, scratch: Scratch) -> None:
        raw = view(value.data)
        entries = zip(rows.all_entries(raw, scratch), np.ndindex(rows.counts), strict=True)
        present = sorted([(*entry, each) for entry, each in entries if entry is not None])
        self.chunks.append(len(present))
        if any(stop > begin for (_, stop, _), (begin, _, _) in itertools.pairwise(present)):
            self.overlapping.append(key)
        for begin, stop, each in present:
            try:
                rows.inner.decode(raw[begin:stop], scratch)
            except CorruptData as error:
                raise type(error)(f"its inner chunk {each}: {error.reason}") from error.__cause__


async def compact(target: Target, context: Context) -> int:
    """Replace shards that have gaps by such that have none; the bytes that this freed."""
    if target.layout.inner is None:
        return 0
    last = tuple([(0, max(0, axis.count - 1)) for axis in target.layout.metadata.grid.axes])
    async with turn(place_of(target.store, target.prefix), last):
        work = _Compacting(target, await chunk_objects(target))
        await perform(work, target.store, context, target.store)
    return sum(work.freed)


class _Compacting(_Looking):
    def __init__(self, target: Target, chunks: Iterable[Coords]) -> None:
        super().__init__(target, chunks)
        self.freed: list[int] = []

    def nbytes(self, job: Coords) -> int:
        return 2 * self.target.layout.pipeline(job).chunk.nbytes

    def steps(self, key: str, job: Coords, scratch: Scratch) -> Steps:
        rows = self.target.layout.shard(job)
        keep = not getattr(self.target.store, "deletes_versions", True)  # then one of nothing is put in its place
        for _ in range(ATTEMPTS):
            if (value := (yield Get(key))) is None:
                return
            try:
                raw = view(value.data)
                packed = filled(rows.pack(rows.all_entries(raw, scratch), (), lambda _: None, empty=keep), raw)
            except StoreError as error:
                raise error.within(repr(self.target.store), key) from error.__cause__
            if (freed := len(raw) - sum(map(len, packed))) <= 0:
                return
            if (yield Put(key, packed or None, version_of(value))):
                self.target.indexes.drop(key)
                self.freed.append(freed)
                return
        raise conflict(self.target.store, key)
