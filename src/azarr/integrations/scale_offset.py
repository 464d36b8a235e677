"""`scale_offset`: stored = (value - offset) * scale, in the arithmetic of the data type; what does not fit it is an error."""

from typing import Any

import numpy as np

from azarr import fill_values
from azarr.codecs.base import Array, ArrayArray, ChunkSpec, Configuration, settings
from azarr.dtypes import DataType
from azarr.errors import ChunkDecodeError, MetadataError


class ScaleOffset(ArrayArray):
    """For integers and floats. `scale` and `offset` are written as fill values are."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        self.offset, self.scale = settings(name, configuration, offset=(None, 0), scale=(None, 1))

    def resolve(self, chunk: ChunkSpec) -> ChunkSpec:
        try:  # shards that follow are filled with what is stored for the fill value
            with np.errstate(invalid="ignore"):  # another filter may have changed the data type
                fill = chunk.fill.astype(chunk.dtype)
            return chunk._replace(fill=np.asarray(self.encode(fill, chunk), chunk.dtype))
        except ChunkDecodeError:
            return chunk._replace(fill=np.empty(0, chunk.dtype))

    def decode(self, array: Array, chunk: ChunkSpec) -> Array:
        offset, scale = self._numbers(chunk)
        if chunk.dtype.kind == "f":
            with np.errstate(all="ignore"):
                return array.astype(chunk.dtype) / scale + offset
        wide = array.astype(object)  # Python's integers, so that nothing wraps around
        if np.any(wide % scale):
            raise ChunkDecodeError(f"scale_offset: a stored value is not a multiple of {scale}")
        return _narrowed(wide // scale + offset, chunk)

    def encode(self, array: Array, chunk: ChunkSpec) -> Array:
        offset, scale = self._numbers(chunk)
        if chunk.dtype.kind == "f":
            with np.errstate(all="ignore"):
                return (array.astype(chunk.dtype) - offset) * scale
        return _narrowed((array.astype(object) - offset) * scale, chunk)

    def _numbers(self, chunk: ChunkSpec) -> tuple[Any, Any]:
        if chunk.dtype.kind not in "iuf":
            raise MetadataError("scale_offset is for integers and floats", field="codecs.scale_offset", value=str(chunk.dtype))
        dtype = DataType(chunk.dtype.name, chunk.dtype)
        offset, scale = (fill_values.from_json(value, dtype).item() for value in (self.offset, self.scale))
        if not scale:
            raise MetadataError("a scale other than 0 is needed", field="codecs.scale_offset.scale", value=self.scale)
        return offset, scale


def _narrowed(wide: Array, chunk: ChunkSpec) -> Array:
    wide, bounds = np.asarray(wide, object), np.iinfo(chunk.dtype)  # without axes it has become an integer of Python
    if wide.min() < bounds.min or wide.max() > bounds.max:
        raise ChunkDecodeError(f"scale_offset: a value does not fit {chunk.dtype}")
    return wide.astype(chunk.dtype)
