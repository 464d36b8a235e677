"""`vlen-utf8` and `vlen-bytes`: items of varying length. A u32 count, then for each item a u32 length and its bytes.

The count is compared with the size of the chunk before anything is allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from azarr.codecs.base import Array, ChunkSpec, only
from azarr.errors import ChunkDecodeError, MetadataError
from azarr.scratch import Buffer, Scratch, view

__all__ = ["VLenBytes", "VLenText"]

U32 = struct.Struct("<I")


class VLenBytes:
    kind: Literal["array-bytes"] = "array-bytes"
    data_kind = "bytes"
    __slots__ = ()

    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> VLenBytes:
        only(configuration, (), name)
        return cls()

    def encoded_size(self, chunk: ChunkSpec) -> int | None:
        return None

    def decode(self, data: Buffer, chunk: ChunkSpec, scratch: Scratch) -> Array:
        return _items(self.data_kind, data, chunk, bytes).reshape(chunk.shape)

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        return _packed([bytes(item) for item in array.reshape(-1)])


class VLenText(VLenBytes):
    data_kind = "string"
    __slots__ = ()

    def decode(self, data: Buffer, chunk: ChunkSpec, scratch: Scratch) -> Array:
        try:
            return _items(self.data_kind, data, chunk, lambda raw: str(raw, "utf-8")).reshape(chunk.shape)
        except UnicodeDecodeError as error:
            raise ChunkDecodeError(f"an item is not UTF-8 ({error})") from error

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        return _packed([str(item).encode() for item in array.reshape(-1)])


def _items(kind: str, data: Buffer, chunk: ChunkSpec, make: Callable[[bytes], Any]) -> Array:
    if chunk.kind != kind:
        raise MetadataError(f"this codec is for the data type {kind}", field="codecs", value=str(chunk.dtype))
    raw = view(data).tobytes()
    if len(raw) < U32.size or (count := U32.unpack_from(raw)[0]) != chunk.size:
        found = f"a count of {U32.unpack_from(raw)[0]:,}" if len(raw) >= U32.size else f"{len(raw)} bytes"
        raise ChunkDecodeError(f"{found} where {chunk.size:,} items are expected")
    items, position = np.empty(count, object), U32.size
    for number in range(count):
        end = position + U32.size
        length = U32.unpack_from(raw, position)[0] if end <= len(raw) else len(raw)
        if end + length > len(raw):
            raise ChunkDecodeError(f"item {number} of {count} reaches over the end")
        items[number] = make(raw[end : end + length])
        position = end + length
    if position != len(raw):
        raise ChunkDecodeError(f"{len(raw) - position} bytes are left after the last item")
    return items if chunk.dtype.hasobject and chunk.dtype.kind == "O" else items.astype(chunk.dtype)


def _packed(items: list[bytes]) -> bytes:
    parts = [U32.pack(len(items))]
    for item in items:
        parts += (U32.pack(len(item)), item)
    return b"".join(parts)
