"""`transpose`: the axes of a chunk in another order. Decoding is a view, never a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from azarr.codecs.base import Array, ChunkSpec, only
from azarr.document import is_list
from azarr.errors import MetadataError

__all__ = ["Transpose"]


class Transpose:
    """The spec: "order" is a permutation; "C" and "F" were withdrawn, but stand in old files."""

    kind: Literal["array-array"] = "array-array"
    __slots__ = ("order",)

    def __init__(self, order: tuple[int, ...] | str) -> None:
        self.order = order

    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> Transpose:
        only(configuration, ("order",), name)
        order = configuration.get("order")
        if order in ("C", "F"):
            return cls(order)
        if not is_list(order) or not all(type(axis) is int for axis in order) or sorted(order) != list(range(len(order))):
            raise MetadataError("a permutation of the axes is needed", field="codecs.transpose.order", value=order)
        return cls(tuple(order))

    def permutation(self, ndim: int) -> tuple[int, ...]:
        """Which axis of the array each axis of the encoded chunk is."""
        if isinstance(self.order, str):
            return tuple(range(ndim)) if self.order == "C" else tuple(range(ndim))[::-1]
        if len(self.order) != ndim:
            raise MetadataError(f"one entry per dimension is needed ({ndim})", field="codecs.transpose.order", value=self.order)
        return self.order

    def resolve(self, chunk: ChunkSpec) -> ChunkSpec:
        return replace(chunk, shape=tuple(chunk.shape[axis] for axis in self.permutation(len(chunk.shape))))

    def decode(self, array: Array, chunk: ChunkSpec) -> Array:
        return array.transpose(np.argsort(self.permutation(array.ndim)))

    def encode(self, array: Array, chunk: ChunkSpec) -> Array:
        return array.transpose(self.permutation(array.ndim))
