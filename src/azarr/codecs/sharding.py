"""`sharding_indexed`: many inner chunks in one object. Addressing: which bytes to ask for, how to pack; never touches a store.

A shard is inner chunks in any order, and an index at its end or start: for each inner chunk in C order, where it begins and how many
bytes it has, as two little-endian u64. Both 2**64 - 1: the inner chunk is absent, and reads as the fill value.
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from azarr.codecs.base import Array, ArrayBytes, ChunkSpec, Configuration, settings
from azarr.codecs.pipeline import Pipeline
from azarr.errors import ChunkDecodeError, MetadataError, ShardIndexError
from azarr.grid import integers
from azarr.metadata import codecs_from_json
from azarr.scratch import Buffer, Buffers, Bytes, Parts, Scratch, joined, view

Index = npt.NDArray[np.uint64]
"""The index of one shard, one row of (offset, nbytes) per inner chunk, in C order."""
Entry: TypeAlias = tuple[int, int] | None
"""Where an inner chunk begins and ends; None where it is absent."""
ABSENT, LAST = (1 << 64) - 1, (1 << 63) - 1
"""What the index says of absent chunks, and the last position that files, and so objects, have."""
U64 = np.dtype("<u8")
NOTHING = np.empty(0, np.uint8)


class ShardLayout(NamedTuple):
    """A shard of one shape: how many inner chunks it has along each axis, and how to read them and their index."""

    counts: tuple[int, ...]
    strides: tuple[int, ...]
    inner: Pipeline
    index_pipeline: Pipeline
    index_size: int
    at_start: bool

    @property
    def index_range(self) -> tuple[int, int | None]:
        """The byte range that holds the index, a negative start counting from the end of the object."""
        return (0, self.index_size) if self.at_start else (-self.index_size, None)

    def read_index(self, data: Buffer, scratch: Scratch) -> Index:
        """The index in `data`, which has exactly its bytes."""
        try:
            return self.index_pipeline.decode(data, scratch).astype(np.uint64).reshape(-1, 2)
        except ChunkDecodeError as error:
            raise ShardIndexError(f"the index does not decode: {error.reason}") from error

    def index_of(self, shard: Buffer, scratch: Scratch) -> Index:
        """The index of a shard that is at hand as a whole."""
        if len(shard) < self.index_size:
            raise ShardIndexError(f"the shard has {len(shard):,} bytes, fewer than its index ({self.index_size:,})")
        return self.read_index(view(shard)[slice(*self.index_range)], scratch)

    def entries(self, index: Index, coords: Sequence[tuple[int, ...]], size: int | None) -> list[Entry]:
        """Where the inner chunks at `coords` lie, (start, stop) in the object of `size` bytes, or None for absent ones."""
        if len(coords) > 16:  # so many are looked up faster by NumPy
            rows = index[np.asarray(coords, np.intp) @ np.asarray(self.strides, np.intp)].tolist()
        else:
            rows = [index[sum(map(int.__mul__, each, self.strides))].tolist() for each in coords]
        low, high = (self.index_size, size or LAST) if self.at_start else (0, (size or LAST) - self.index_size)
        found: list[Entry] = []
        for offset, nbytes in rows:
            if offset == nbytes == ABSENT:
                found.append(None)
            elif low <= offset and offset + nbytes <= high:
                found.append((offset, offset + nbytes))
            else:
                raise ShardIndexError(f"an inner chunk at {offset:,} of {nbytes:,} bytes lies outside the shard ({low:,} to {high:,})")
        return found

    def all_entries(self, data: Buffer, scratch: Scratch, size: int | None = None) -> list[Entry]:
        """Where all inner chunks lie, in C order: in `data`, the whole shard; or in one of `size` bytes, of which `data` is the index."""
        return self.entries(self.index_of(data, scratch), list(np.ndindex(self.counts)), len(data) if size is None else size)

    def pack(
        self, entries: Sequence[Entry], changed: Collection[int], get: Callable[[int], Buffer | None], *, empty: bool = False
    ) -> Parts:
        """A shard without gaps, part by part: ranges of the old one for inner chunks that stay, and what `get` gives of those `changed`.

        All keep their order; neighbours that stay are one range. `get` is called when the turn comes, and gives None for what is absent
        now. Where there are none at all, there are no parts, or with `empty` an index.
        """
        parts = self._parts(entries, changed, get, empty)
        if not self.at_start:
            return parts
        *found, index = list(parts) or [NOTHING]
        return iter([index, *found] if len(index) else [])

    def _parts(self, entries: Sequence[Entry], changed: Collection[int], get: Callable[[int], Buffer | None], empty: bool) -> Parts:
        rows, position, run = list[tuple[int, int]](), self.index_size if self.at_start else 0, range(0)
        for row, entry in enumerate(entries):
            part = None if entry is None else range(*entry)
            if row in changed or (part and part.start != run.stop):
                yield from (run,) if run else ()
                run = range(0)
            if row in changed:
                if (part := get(row)) is not None:
                    yield part
            elif part:
                run = range(run.start if run else part.start, part.stop)
            rows.append((ABSENT, ABSENT) if part is None else (position, len(part)))
            position += 0 if part is None else len(part)
        yield from (run,) if run else ()
        if empty or any(row[0] != ABSENT for row in rows):
            yield self.index_pipeline.encode(np.array(rows, U64).reshape(*self.counts, 2))


def filled(parts: Parts, shard: Bytes) -> Buffers:
    """What `pack` gives, with the bytes of the old shard for the ranges of it."""
    return [shard[part.start : part.stop] if isinstance(part, range) else part for part in parts]


class Sharding(ArrayBytes):
    """The spec: the inner chunk shape divides the shard's evenly, and the codecs of the index have a fixed size."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        lists, ends = dict.fromkeys(("chunk_shape", "codecs", "index_codecs"), (None, None)), (("end", "start"), "end")
        shape, codecs, index_codecs, location = settings(name, configuration, **lists, index_location=ends)
        self.chunk_shape = integers(shape, f"codecs.{name}.chunk_shape", least=1)
        self.codecs = codecs_from_json(codecs, f"codecs.{name}.codecs")
        self.index_codecs = codecs_from_json(index_codecs, f"codecs.{name}.index_codecs")
        self.at_start = location == "start"
        self._layouts: dict[tuple[int, ...], ShardLayout] = {}

    def layout(self, chunk: ChunkSpec) -> ShardLayout:
        """The layout of a shard that is `chunk`."""
        if (held := self._layouts.get(chunk.shape)) is not None:
            return held
        sizes = self.chunk_shape
        if len(sizes) != len(chunk.shape) or any(length % size for length, size in zip(chunk.shape, sizes, strict=True)):
            raise MetadataError(f"must divide the shard {chunk.shape}", field="codecs.sharding_indexed.chunk_shape", value=sizes)
        counts = tuple(length // size for length, size in zip(chunk.shape, sizes, strict=True))
        strides = tuple(math.prod(counts[axis + 1 :]) for axis in range(len(counts)))
        chunk.limits.check("index", 16 * math.prod(counts), "a shard index")
        inner_chunk = chunk._replace(shape=sizes, depth=chunk.depth + 1)
        chunk.limits.check("chunk", inner_chunk.nbytes, "an inner chunk")
        rows = ChunkSpec((*counts, 2), U64, "fixed", np.array(ABSENT, U64), chunk.limits, depth=inner_chunk.depth)
        inner, index = Pipeline(self.codecs, inner_chunk), Pipeline(self.index_codecs, rows)
        if index.encoded_size is None:
            names = [codec.name for codec in self.index_codecs]
            raise MetadataError("codecs of an index have a fixed size", field="codecs.sharding_indexed.index_codecs", value=names)
        held = self._layouts[chunk.shape] = ShardLayout(counts, strides, inner, index, index.encoded_size, self.at_start)
        return held

    def bound(self, chunk: ChunkSpec) -> int:
        layout = self.layout(chunk)
        return layout.index_size + math.prod(layout.counts) * layout.inner.bound

    def decode(self, data: Buffer, chunk: ChunkSpec, scratch: Scratch) -> Array:
        """The whole shard, where it lies inside another codec; the engine reads shards of a store by their parts."""
        layout, raw = self.layout(chunk), view(data)
        chunk.limits.check("chunk", chunk.nbytes, "a shard inside another codec")
        array = np.empty(chunk.shape, chunk.dtype)
        for each, entry in zip(np.ndindex(layout.counts), layout.all_entries(raw, scratch), strict=True):
            if entry is None and not chunk.fill.size:
                raise ChunkDecodeError("an inner chunk is absent, and a codec around the shard has no form for the fill value")
            part = chunk.fill if entry is None else layout.inner.decode(raw[slice(*entry)], scratch)
            array[_region(each, self.chunk_shape)] = part
        return array

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        """All inner chunks, those equal to the fill value left out, bit for bit; and the index."""
        layout, parts = self.layout(chunk), dict[int, Buffer | None]()
        for row, each in enumerate(np.ndindex(layout.counts)):
            part = array[(*_region(each, self.chunk_shape), ...)]  # the ellipsis keeps an array where there are no axes
            parts[row] = None if same_bits(part, chunk) else layout.inner.encode(part)
        return joined(filled(layout.pack([None] * len(parts), parts, parts.get, empty=True), NOTHING))


def same_bits(array: Array, chunk: ChunkSpec) -> bool:
    """Whether `array` is nothing but the fill value: by bits for types of fixed size, so that -0.0 is not 0.0."""
    if chunk.kind != "fixed":
        return bool(np.all(array == chunk.fill))
    if not array.size or not chunk.dtype.itemsize:
        return True
    if np.asarray(array[(0,) * array.ndim], chunk.dtype).tobytes() != np.asarray(chunk.fill, chunk.dtype).tobytes():
        return False
    raw = np.ascontiguousarray(array, chunk.dtype).reshape(-1).view(np.uint8).reshape(array.size, -1)
    return bool((raw == raw[0]).all())


def merged(ranges: Iterable[tuple[int, int]], *, gap: int, span: int) -> list[tuple[int, int]]:
    """Byte ranges in order, those at most `gap` bytes apart made one, as long as it stays within `span` bytes."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if found and start - found[-1][1] <= gap and max(stop, found[-1][1]) - found[-1][0] <= span:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found


def _region(coords: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(index * size, (index + 1) * size) for index, size in zip(coords, sizes, strict=True))
