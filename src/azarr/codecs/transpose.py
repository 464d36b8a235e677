"""`transpose`: the axes of a chunk in another order. Decoding is a view, never a copy."""

import numpy as np

from azarr.codecs.base import Array, ArrayArray, ChunkSpec, Configuration, settings
from azarr.errors import MetadataError
from azarr.grid import integers


class Transpose(ArrayArray):
    """The spec: "order" is a permutation; "C" and "F" were withdrawn, but stand in old files."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        (order,) = settings(name, configuration, order=(None, None))
        self.order: str | tuple[int, ...] = order if order in ("C", "F") else integers(order, "codecs.transpose.order", least=0)
        if not isinstance(self.order, str) and sorted(self.order) != list(range(len(self.order))):
            raise MetadataError("a permutation of the axes is needed", field="codecs.transpose.order", value=order)

    def permutation(self, ndim: int) -> tuple[int, ...]:
        """Which axis of the array each axis of the encoded chunk is."""
        if isinstance(self.order, str):
            return tuple(range(ndim)) if self.order == "C" else tuple(range(ndim))[::-1]
        if len(self.order) != ndim:
            raise MetadataError(f"one entry per dimension is needed ({ndim})", field="codecs.transpose.order", value=self.order)
        return self.order

    def resolve(self, chunk: ChunkSpec) -> ChunkSpec:
        return chunk._replace(shape=tuple(chunk.shape[axis] for axis in self.permutation(len(chunk.shape))))

    def decode(self, array: Array, chunk: ChunkSpec) -> Array:
        return array.transpose(np.argsort(self.permutation(array.ndim)))

    def encode(self, array: Array, chunk: ChunkSpec) -> Array:
        return array.transpose(self.permutation(array.ndim))
