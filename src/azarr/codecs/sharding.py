"""`sharding_indexed`: many inner chunks in one object. Addressing: which bytes to ask for, how to pack; never touches a store.

A shard is inner chunks in any order, and an index at its end or start: for each inner chunk in C order, where it begins and how many
bytes it has, as two little-endian u64. Both 2**64 - 1: the inner chunk is absent, and reads as the fill value.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from azarr.codecs.base import Array, ChunkSpec, check_size, one_of, only
from azarr.codecs.pipeline import Pipeline
from azarr.errors import ChunkDecodeError, MetadataError, ShardIndexError
from azarr.grid import integers
from azarr.metadata import CodecSpec, codecs_from_json
from azarr.scratch import Buffer, Scratch, view

__all__ = ["Index", "ShardLayout", "Sharding", "merged"]

Index = npt.NDArray[np.uint64]
"""The index of one shard, one row of (offset, nbytes) per inner chunk, in C order."""
ABSENT = (1 << 64) - 1
U64 = np.dtype("<u8")


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """A shard of one shape: how many inner chunks it has along each axis, and how to read them and their index."""

    counts: tuple[int, ...]
    inner: Pipeline
    index: Pipeline
    index_size: int
    at_start: bool

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        return self.inner.chunk.shape

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
        raw = view(shard)
        return self.read_index(raw[: self.index_size] if self.at_start else raw[-self.index_size :], scratch)

    def entries(self, index: Index, coords: Sequence[tuple[int, ...]], size: int | None) -> list[tuple[int, int] | None]:
        """Where the inner chunks at `coords` lie, (start, stop) in the object of `size` bytes, or None for absent ones."""
        if len(coords) > 64:
            flat = np.ravel_multi_index(tuple(np.asarray(coords, np.intp).T), self.counts) if self.counts else np.zeros(len(coords), np.intp)
            rows = index[flat].tolist()
        else:
            strides = [math.prod(self.counts[axis + 1 :]) for axis in range(len(self.counts))]
            rows = [index[sum(map(int.__mul__, each, strides))].tolist() for each in coords]
        low, high = (self.index_size, size) if self.at_start else (0, None if size is None else size - self.index_size)
        return [self._entry(offset, nbytes, low, high) for offset, nbytes in rows]

    def _entry(self, offset: int, nbytes: int, low: int, high: int | None) -> tuple[int, int] | None:
        if offset == nbytes == ABSENT:
            return None
        stop = offset + nbytes
        if offset < low or stop > ABSENT or (high is not None and stop > high):
            raise ShardIndexError(f"an inner chunk at {offset:,} with {nbytes:,} bytes lies outside the shard ({low:,} to {high or 'its end'})")
        return offset, stop


class Sharding:
    kind: Literal["array-bytes"] = "array-bytes"
    __slots__ = ("_layouts", "at_start", "chunk_shape", "codecs", "index_codecs")

    def __init__(self, chunk_shape: tuple[int, ...], codecs: tuple[CodecSpec, ...], index_codecs: tuple[CodecSpec, ...], at_start: bool) -> None:
        self.chunk_shape, self.codecs, self.index_codecs, self.at_start = chunk_shape, codecs, index_codecs, at_start
        self._layouts: dict[tuple[int, ...], ShardLayout] = {}

    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> Sharding:
        only(configuration, ("chunk_shape", "codecs", "index_codecs", "index_location"), name)
        location = one_of(configuration, "index_location", name, ("start", "end"), "end")
        return cls(
            integers(configuration.get("chunk_shape"), "codecs.sharding_indexed.chunk_shape", least=1),
            codecs_from_json(configuration.get("codecs"), "codecs.sharding_indexed.codecs"),
            codecs_from_json(configuration.get("index_codecs"), "codecs.sharding_indexed.index_codecs"),
            location == "start",
        )

    def layout(self, chunk: ChunkSpec) -> ShardLayout:
        """The layout of a shard that is `chunk`. The spec: the inner chunk shape divides the shard's evenly."""
        held = self._layouts.get(chunk.shape)
        if held is None:
            held = self._layouts[chunk.shape] = self._layout(chunk)
        return held

    def _layout(self, chunk: ChunkSpec) -> ShardLayout:
        sizes = self.chunk_shape
        if len(sizes) != len(chunk.shape) or any(length % size for length, size in zip(chunk.shape, sizes, strict=True)):
            raise MetadataError(f"must divide the shard {chunk.shape}", field="codecs.sharding_indexed.chunk_shape", value=sizes)
        counts = tuple(length // size for length, size in zip(chunk.shape, sizes, strict=True))
        chunk.limits.check("index", 16 * math.prod(counts), "a shard index")
        chunk.limits.check("chunk", math.prod(sizes) * chunk.dtype.itemsize, "an inner chunk")
        inner = Pipeline(self.codecs, replace(chunk, shape=sizes, depth=chunk.depth + 1))
        absent = np.array(ABSENT, U64)
        index = Pipeline(self.index_codecs, ChunkSpec((*counts, 2), U64, "fixed", absent, chunk.limits, depth=chunk.depth + 1))
        if index.encoded_size is None:
            raise MetadataError("codecs of an index have a fixed size", field="codecs.sharding_indexed.index_codecs", value=self.index_codecs)
        return ShardLayout(counts, inner, index, index.encoded_size, self.at_start)

    def encoded_size(self, chunk: ChunkSpec) -> int | None:
        return None

    def decode(self, data: Buffer, chunk: ChunkSpec, scratch: Scratch) -> Array:
        """The whole shard, where it lies inside another codec; the engine reads shards of a store by their parts."""
        layout = self.layout(chunk)
        chunk.limits.check("chunk", chunk.size * chunk.dtype.itemsize, "a shard inside another codec")
        raw = view(data)
        index = layout.index_of(raw, scratch)
        array = np.empty(chunk.shape, chunk.dtype)
        coords = list(np.ndindex(layout.counts))
        for each, entry in zip(coords, layout.entries(index, coords, len(raw)), strict=True):
            region = _region(each, self.chunk_shape)
            array[region] = chunk.fill if entry is None else layout.inner.decode(raw[entry[0] : entry[1]], scratch)
        return array

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        """All inner chunks, those equal to the fill value left out, bit for bit; and the index."""
        layout = self.layout(chunk)
        position = layout.index_size if self.at_start else 0
        rows, parts = list[tuple[int, int]](), list[bytes]()
        for each in itertools.product(*map(range, layout.counts)):
            part = array[_region(each, self.chunk_shape)]
            if same_bits(part, chunk):
                rows.append((ABSENT, ABSENT))
                continue
            parts.append(view(layout.inner.encode(part)).tobytes())
            rows.append((position, len(parts[-1])))
            position += len(parts[-1])
        index = view(layout.index.encode(np.array(rows, U64).reshape(layout.index.chunk.shape))).tobytes()
        check_size(len(index), layout.index_size, "the shard index")
        return b"".join([index, *parts] if self.at_start else [*parts, index])


def same_bits(array: Array, chunk: ChunkSpec) -> bool:
    """Whether `array` is nothing but the fill value: by bits for types of fixed size, so that -0.0 is not 0.0."""
    if not array.size:
        return True
    if chunk.kind != "fixed":
        return bool(np.all(array == chunk.fill))
    if not chunk.dtype.itemsize:
        return True
    first = np.ascontiguousarray(array.reshape(-1)[:1], chunk.dtype).tobytes()
    if first != np.asarray(chunk.fill, chunk.dtype).tobytes():
        return False
    raw = np.ascontiguousarray(array, chunk.dtype).reshape(-1).view(np.uint8).reshape(-1, chunk.dtype.itemsize)
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
