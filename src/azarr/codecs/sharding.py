"""`sharding_indexed`: many inner chunks in one object. Addressing: which bytes to ask for, how to pack; never touches a store.

A shard is inner chunks in any order, and an index at its end or start: for each inner chunk in C order, where it begins and how many
bytes it has, as two little-endian u64. Both 2**64 - 1: the inner chunk is absent, and reads as the fill value.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from azarr.codecs.base import Array, ArrayBytes, ChunkSpec, Configuration, settings
from azarr.codecs.pipeline import Pipeline
from azarr.errors import ChunkDecodeError, MetadataError, ShardIndexError
from azarr.grid import integers
from azarr.metadata import codecs_from_json
from azarr.scratch import Buffer, Buffers, Bytes, Scratch, joined, view

Index = npt.NDArray[np.uint64]
"""The index of one shard, one row of (offset, nbytes) per inner chunk, in C order."""
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

    def entries(self, index: Index, coords: Sequence[tuple[int, ...]], size: int | None) -> list[tuple[int, int] | None]:
        """Where the inner chunks at `coords` lie, (start, stop) in the object of `size` bytes, or None for absent ones."""
        if len(coords) > 16:  # so many are looked up faster by NumPy
            rows = index[np.asarray(coords, np.intp) @ np.asarray(self.strides, np.intp)].tolist()
        else:
            rows = [index[sum(map(int.__mul__, each, self.strides))].tolist() for each in coords]
        low, high = (self.index_size, size or LAST) if self.at_start else (0, (size or LAST) - self.index_size)
        found: list[tuple[int, int] | None] = []
        for offset, nbytes in rows:
            if offset == nbytes == ABSENT:
                found.append(None)
            elif low <= offset and offset + nbytes <= high:
                found.append((offset, offset + nbytes))
            else:
                raise ShardIndexError(f"an inner chunk at {offset:,} of {nbytes:,} bytes lies outside the shard ({low:,} to {high:,})")
        return found

    def all_entries(self, shard: Buffer, scratch: Scratch) -> list[tuple[int, int] | None]:
        """Where all inner chunks of a shard that is at hand lie, in C order."""
        return self.entries(self.index_of(shard, scratch), list(np.ndindex(self.counts)), len(shard))

    def pack(
        self, shard: Bytes, entries: Sequence[tuple[int, int] | None], changed: Mapping[int, Buffer | None], *, empty: bool = False
    ) -> Buffers:
        """A shard without gaps: of the encoded inner chunks that are `changed` (None: absent now), and of those of `shard` that are not.

        These stay where they are, neighbours together. Where there are none at all, [], or with `empty` an index.
        """
        position = self.index_size if self.at_start else 0
        rows, found, run = list[tuple[int, int]](), list[Buffer](), (0, 0)
        for row, entry in enumerate(entries):
            part = changed.get(row)
            if row not in changed and entry is not None:
                start, stop = entry
                if start != run[1]:
                    found.append(shard[slice(*run)])
                    run = (start, start)
                run, nbytes = (run[0], stop), stop - start
            elif part is not None:
                found += (shard[slice(*run)], part)
                run, nbytes = (0, 0), len(part)
            else:
                rows.append((ABSENT, ABSENT))
                continue
            rows.append((position, nbytes))
            position += nbytes
        found = [part for part in (*found, shard[slice(*run)]) if len(part)]
        if not empty and all(row[0] == ABSENT for row in rows):
            return []
        index = self.index_pipeline.encode(np.array(rows, U64).reshape(*self.counts, 2))
        return [index, *found] if self.at_start else [*found, index]


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
            part = chunk.fill if entry is None else layout.inner.decode(raw[slice(*entry)], scratch)
            array[_region(each, self.chunk_shape)] = part
        return array

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        """All inner chunks, those equal to the fill value left out, bit for bit; and the index."""
        layout, parts = self.layout(chunk), dict[int, Buffer | None]()
        for row, each in enumerate(np.ndindex(layout.counts)):
            part = array[(*_region(each, self.chunk_shape), ...)]  # the ellipsis keeps an array where there are no axes
            parts[row] = None if same_bits(part, chunk) else layout.inner.encode(part)
        return joined(layout.pack(NOTHING, [None] * len(parts), parts, empty=True))


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
