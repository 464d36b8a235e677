"""What an array's metadata mean for its chunks: which key, which chain of codecs, which inner grid. Compiled once per array.

Where the serializer is `sharding_indexed`, and nothing but transposes stands around it, parts of a shard can be read by themselves.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from azarr.codecs import KNOWN, Pipeline
from azarr.codecs.base import ChunkSpec
from azarr.codecs.sharding import Sharding, ShardLayout
from azarr.codecs.transpose import Transpose
from azarr.grid import Grid, RegularAxis
from azarr.limits import DEFAULT_LIMITS, Limits
from azarr.metadata import ArrayMetadata, without_unknown


class Layout(NamedTuple):
    """The chunks of one array. `inner` is the grid of inner chunks, None where there are no shards to look into.

    `permutation` says which axis of the array each axis inside a shard is; transposes stand before the sharding codec if `plain` is false.
    """

    metadata: ArrayMetadata
    """Without document, attributes and names: arrays that are alike share one layout."""
    limits: Limits
    lenient: bool
    inner: Grid | None
    permutation: tuple[int, ...]
    pipelines: dict[tuple[int, ...], Pipeline]
    key_format: str
    """The key of a chunk is `key_format % coords`."""
    only: Pipeline | None
    """The chain of every chunk, where all have one shape."""
    plain: bool
    """Whether axes inside a shard are in the array's order."""
    even: bool = False
    """Whether all chunks (inner chunks) have one shape, several rows of it and a fixed size in bytes."""
    read_nbytes: int = 1
    """Decoded bytes of one chunk (inner chunk); of the largest, where they differ."""

    def pipeline(self, coords: tuple[int, ...]) -> Pipeline:
        """The chain of the chunk (or whole shard) at `coords`."""
        return self.only or self.pipeline_of(self.metadata.grid.chunk_shape(coords))

    def pipeline_of(self, shape: tuple[int, ...]) -> Pipeline:
        """The chain of chunks of one shape."""
        found = self.pipelines.get(shape)
        if found is None:
            chunk = ChunkSpec(shape, self.metadata.dtype.numpy, self.metadata.dtype.kind, self.metadata.fill, self.limits, self.lenient)
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

    def chunk_nbytes(self, grid: Grid) -> int:
        """Decoded bytes of the largest chunk of `grid`."""
        sizes = [axis.chunk if isinstance(axis, RegularAxis) else max(size for size, _ in axis.runs) for axis in grid.axes]
        return max(1, math.prod(sizes) * self.metadata.dtype.numpy.itemsize)


MOST_KNOWN = 256
_known: dict[tuple[Any, ...], Layout] = {}
"""Layouts by the very objects that they are made of: documents that are alike share them (see `metadata`)."""


def compile_layout(metadata: ArrayMetadata, where: str, *, limits: Limits = DEFAULT_LIMITS, lenient: bool = False) -> Layout:
    """The layout of an array, with its codecs made and checked. `where` names it in warnings.

    Errors: `UnknownCodec`, `MetadataError`, `LimitExceeded`.
    """
    alike = (id(metadata.grid), id(metadata.codecs), id(metadata.dtype), id(metadata.key_encoding), id(metadata.fill), id(limits), lenient)
    if (known := _known.get(alike)) is None:
        readable = without_unknown(metadata, KNOWN, where)
        known = _compiled(readable._replace(document={}, attributes={}, dimension_names=None), limits, lenient)
        if readable is not metadata or readable.grid.chunks is None:  # it warns each time; it may be large
            return known
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[alike] = known
    return known


def _compiled(metadata: ArrayMetadata, limits: Limits, lenient: bool) -> Layout:
    permutation = tuple(range(metadata.ndim))
    key_format = metadata.key_encoding.key(("%d",) * metadata.ndim)  # pyright: ignore[reportArgumentType]  # places for coordinates
    layout = Layout(metadata, limits, lenient, None, permutation, {}, key_format, None, True)
    pipeline = layout.pipeline_of(metadata.grid.chunk_shape((0,) * metadata.ndim))
    layout = layout._replace(only=None if metadata.grid.chunks is None else pipeline, read_nbytes=layout.chunk_nbytes(metadata.grid))
    transposes = [codec for codec in pipeline.filters if isinstance(codec, Transpose)]
    if not isinstance(pipeline.serializer, Sharding) or pipeline.wrappers or len(transposes) < len(pipeline.filters):
        several = math.prod(pipeline.chunk.shape[:-1]) > 1 and pipeline.chunk.nbytes > 0
        return layout._replace(even=several and layout.only is not None and metadata.dtype.fixed)
    for codec in transposes:
        permutation = tuple(permutation[axis] for axis in codec.permutation(metadata.ndim))
    sizes = pipeline.serializer.chunk_shape
    inner = Grid.regular(metadata.shape, tuple(sizes[permutation.index(axis)] for axis in range(metadata.ndim)))
    plain, nbytes = permutation == layout.permutation, layout.chunk_nbytes(inner)
    even = plain and layout.only is not None and math.prod(sizes[:-1]) > 1 and metadata.dtype.fixed
    return layout._replace(inner=inner, permutation=permutation, plain=plain, read_nbytes=nbytes, even=even)
