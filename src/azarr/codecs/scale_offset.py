"""`scale_offset`: stored = (value - offset) * scale, in the arithmetic of the data type; what does not fit it is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from azarr import fill_values
from azarr.codecs.base import Array, ChunkSpec, only
from azarr.dtypes import DataType
from azarr.errors import ChunkDecodeError, MetadataError

__all__ = ["ScaleOffset"]


class ScaleOffset:
    """For integers and floats. `scale` and `offset` are written as fill values are."""

    kind: Literal["array-array"] = "array-array"
    __slots__ = ("offset", "scale")

    def __init__(self, offset: Any, scale: Any) -> None:
        self.offset, self.scale = offset, scale

    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> ScaleOffset:
        only(configuration, ("offset", "scale"), name)
        return cls(configuration.get("offset", 0), configuration.get("scale", 1))

    def resolve(self, chunk: ChunkSpec) -> ChunkSpec:
        self._settings(chunk)
        return chunk

    def decode(self, array: Array, chunk: ChunkSpec) -> Array:
        offset, scale = self._settings(chunk)
        values = array.astype(chunk.dtype)
        if chunk.dtype.kind == "f":
            with np.errstate(all="ignore"):
                return values / scale + offset
        wide = values.astype(object)  # Python's integers, so that nothing wraps around
        if np.any(wide % int(scale)):
            raise ChunkDecodeError(f"scale_offset: a stored value is not a multiple of {int(scale)}")
        return _narrowed(wide // int(scale) + int(offset), chunk)

    def encode(self, array: Array, chunk: ChunkSpec) -> Array:
        offset, scale = self._settings(chunk)
        values = array.astype(chunk.dtype)
        if chunk.dtype.kind == "f":
            with np.errstate(all="ignore"):
                return (values - offset) * scale
        return _narrowed((values.astype(object) - int(offset)) * int(scale), chunk)

    def _settings(self, chunk: ChunkSpec) -> tuple[Any, Any]:
        if chunk.dtype.kind not in "iuf":
            raise MetadataError("scale_offset is for integers and floats", field="codecs.scale_offset", value=str(chunk.dtype))
        dtype = DataType(chunk.dtype.name, chunk.dtype)
        offset, scale = (fill_values.from_json(value, dtype)[()] for value in (self.offset, self.scale))
        if not scale:
            raise MetadataError("a scale is not 0", field="codecs.scale_offset.scale", value=self.scale)
        return offset, scale


def _narrowed(wide: Array, chunk: ChunkSpec) -> Array:
    bounds = np.iinfo(chunk.dtype)
    if wide.size and (wide.min() < bounds.min or wide.max() > bounds.max):
        raise ChunkDecodeError(f"scale_offset: a value does not fit {chunk.dtype}")
    return wide.astype(chunk.dtype)
