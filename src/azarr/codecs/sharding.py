"""`sharding_indexed`: many inner chunks in one object. Addressing: which bytes to ask for, how to pack; never touches a store.

A shard is inner chunks in any order, and an index at its end or start: for each inner chunk in C order, where it begins and how many
bytes it has, as two little-endian u64. Both 2**64 - 1: the inner chunk is absent, and reads as the fill value.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from azarr.codecs.base import Array, ArrayBytes, ChunkSpec, Configuration, settings
from azarr.codecs.pipeline import Pipeline
from azarr.errors import ChunkDecodeError, MetadataError, ShardIndexError
from azarr.grid import integers
from azarr.metadata import codecs_from_json
from azarr.scratch import Buffer, Scratch, view

Index = npt.NDArray[np.uint64]
"""The index of one shard, one row of (offset, nbytes) per inner chunk, in C order."""
ABSENT, LAST = (1 << 64) - 1, (1 << 63) - 1
"""What the index says of absent chunks, and the last position that files, and so objects, have."""
U64 = np.dtype("<u8")


@dataclass(frozen=True, slots=True, eq=False)
class ShardLayout:
    """A shard of one shape: how many inner chunks it has along each axis, and how to read them and their index."""

    counts: tuple[int, ...]
    strides: tuple[int, ...]
    inner: Pipeline
    index: Pipeline
    index_size: int
    at_start: bool

    @property
    def index_range(self) -> tuple[int, int | None]:
        """The byte range that holds the index, a negative start counting from the end of the object."""
        return (0, self.index_size) if self.at_start else (-self.index_size, None)

    def read_index(self, data: Buffer, scratch: Scratch) -> Index:
        """The index in `data`, which has exactly its bytes."""
        try:
            return self.index.decode(data, scratch).astype(np.uint64).reshape(-1, 2)
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


    def unpack(self, shard: Buffer, scratch: Scratch) -> list[Buffer | None]:
        """The encoded inner chunks of a shard, in C order; None for absent ones."""
        coords, raw = list(np.ndindex(self.counts)), view(shard)
        entries = self.entries(self.index_of(raw, scratch), coords, len(raw))
        return [None if entry is None else raw[slice(*entry)] for entry in entries]

    def pack(self, parts: Sequence[Buffer | None]) -> bytes:
        """The shard of these encoded inner chunks, in C order, without gaps."""
        position = self.index_size if self.at_start else 0
        rows = np.full((len(parts), 2), ABSENT, U64)
        present = [(row, view(part).data) for row, part in enumerate(parts) if part is not None]
        for row, part in present:
            rows[row] = position, len(part)
            position += len(part)
        index, inner = view(self.index.encode(rows.reshape(*self.counts, 2))).data, [part for _, part in present]
        return b"".join([index, *inner] if self.at_start else [*inner, index])


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
        inner_chunk = replace(chunk, shape=sizes, depth=chunk.depth + 1)
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
        layout = self.layout(chunk)
        chunk.limits.check("chunk", chunk.nbytes, "a shard inside another codec")
        array = np.empty(chunk.shape, chunk.dtype)
        for each, part in zip(np.ndindex(layout.counts), layout.unpack(data, scratch), strict=True):
            array[_region(each, self.chunk_shape)] = chunk.fill if part is None else layout.inner.decode(part, scratch)
        return array

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        """All inner chunks, those equal to the fill value left out, bit for bit; and the index."""
        layout, parts = self.layout(chunk), list[Buffer | None]()
        for each in np.ndindex(layout.counts):
            part = array[(*_region(each, self.chunk_shape), ...)]  # the ellipsis keeps an array where there are no axes
            parts.append(None if same_bits(part, chunk) else layout.inner.encode(part))
        return layout.pack(parts)


def same_bits(array: Array, chunk: ChunkSpec) -> bool:
    """Whether `array` is nothing but the fill value: by bits for types of fixed size, so that -0.0 is not 0.0."""
    if chunk.kind != "fixed":
        return bool(np.all(array == chunk.fill))
    first = np.ascontiguousarray(array[(slice(1),) * array.ndim], chunk.dtype).tobytes()
    if not first or first != np.asarray(chunk.fill, chunk.dtype).tobytes():
        return not first  # elements may have no bytes
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
