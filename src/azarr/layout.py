"""What an array's metadata mean for its chunks: which key, which chain of codecs, which inner grid. Compiled once per array.

Where the serializer is `sharding_indexed`, and nothing but transposes stands around it, parts of a shard can be read by themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from azarr.codecs import KNOWN, Pipeline
from azarr.codecs.base import chunk_of
from azarr.codecs.sharding import Sharding, ShardLayout
from azarr.codecs.transpose import Transpose
from azarr.grid import Grid, RegularAxis
from azarr.limits import DEFAULT_LIMITS, Limits
from azarr.metadata import ArrayMetadata, without_unknown

__all__ = ["Layout", "compile_layout"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The chunks of one array. `inner` is the grid of inner chunks, None where there are no shards to look into."""

    metadata: ArrayMetadata
    limits: Limits
    lenient: bool
    inner: Grid | None
    permutation: tuple[int, ...]
    """Which axis of the array each axis inside a shard is; the identity unless transposes stand before the sharding codec."""
    pipelines: dict[tuple[int, ...], Pipeline] = field(repr=False)

    def pipeline(self, coords: tuple[int, ...]) -> Pipeline:
        """The chain of the chunk (or whole shard) at `coords`."""
        return self.pipeline_of(self.metadata.grid.chunks or self.metadata.grid.chunk_shape(coords))

    def pipeline_of(self, shape: tuple[int, ...]) -> Pipeline:
        found = self.pipelines.get(shape)
        if found is None:
            chunk = chunk_of(self.metadata.dtype, shape, self.metadata.fill, self.limits, lenient=self.lenient)
            found = self.pipelines[shape] = Pipeline(self.metadata.codecs, chunk)
            if not isinstance(found.serializer, Sharding):  # of a shard, only inner chunks and the index are decoded at once
                self.limits.check("chunk", found.chunk.size * found.chunk.dtype.itemsize, f"a chunk of shape {shape}")
        return found

    def shard(self, coords: tuple[int, ...]) -> ShardLayout:
        """How the shard at `coords` is laid out; its axes are in the order of `permutation`."""
        pipeline = self.pipeline(coords)
        assert isinstance(pipeline.serializer, Sharding)
        return pipeline.serializer.layout(pipeline.inner)

    def inside(self, coords: tuple[int, ...]) -> tuple[int, ...]:
        """Coordinates of an inner chunk in its shard, axes in the shard's order."""
        return tuple([coords[axis] for axis in self.permutation])

    def outside(self, array: Any) -> Any:
        """An inner chunk with its axes in the array's order: a view."""
        return array if self.plain else array.transpose(np.argsort(self.permutation))

    @property
    def plain(self) -> bool:
        return self.permutation == tuple(range(len(self.permutation)))

    @property
    def read_shape(self) -> tuple[int, ...] | None:
        """The shape of what is decoded at a time: inner chunks, or chunks; None where chunks differ."""
        return self.metadata.grid.chunks if self.inner is None else self.inner.chunks

    @property
    def read_nbytes(self) -> int:
        """Decoded bytes of one chunk (inner chunk); of the largest, where they differ."""
        shape = self.read_shape or tuple(_longest(axis) for axis in self.metadata.grid.axes)
        return max(1, math.prod(shape) * self.metadata.dtype.numpy.itemsize)


def compile_layout(metadata: ArrayMetadata, where: str, *, limits: Limits = DEFAULT_LIMITS, lenient: bool = False) -> Layout:
    """The layout of an array, with its codecs made and checked. `where` names it in warnings.

    Errors: `UnknownCodec`, `MetadataError`, `LimitExceeded`.
    """
    readable = without_unknown(metadata, KNOWN, where)
    first = tuple(axis.span(0)[1] for axis in metadata.grid.axes)
    permutation = tuple(range(metadata.ndim))
    pipelines: dict[tuple[int, ...], Pipeline] = {}
    layout = Layout(readable, limits, lenient, None, permutation, pipelines)
    pipeline = layout.pipeline_of(first)
    transposes = [codec for codec in pipeline.filters if isinstance(codec, Transpose)]
    if not isinstance(pipeline.serializer, Sharding) or pipeline.wrappers or len(transposes) < len(pipeline.filters):
        return layout
    for codec in transposes:
        permutation = tuple(permutation[axis] for axis in codec.permutation(metadata.ndim))
    sizes = dict(zip(permutation, pipeline.serializer.layout(pipeline.inner).chunk_shape, strict=True))
    inner = Grid.regular(metadata.shape, tuple(sizes[axis] for axis in range(metadata.ndim)))
    return Layout(readable, limits, lenient, inner, permutation, pipelines)


def _longest(axis: Any) -> int:
    return axis.chunk if isinstance(axis, RegularAxis) else max(size for size, _ in axis.runs)
