"""`vlen-utf8` and `vlen-bytes`: items of varying length. A u32 count, then for each item a u32 length and its bytes.

The count is compared with the size of the chunk before anything is allocated.
"""

import struct
from typing import Any

import numpy as np

from azarr.codecs.base import Array, ArrayBytes, ChunkSpec, Configuration, settings
from azarr.errors import ChunkDecodeError, MetadataError
from azarr.scratch import Buffer, Scratch, view

U32 = struct.Struct("<I")
BYTES: tuple[type, ...] = (bytes, bytearray, memoryview)


class VLen(ArrayBytes):
    """The serializer of strings, or of variable bytes."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        settings(name, configuration)
        self.name, self.data_kind = name, "string" if name == "vlen-utf8" else "bytes"

    def encoded_size(self, chunk: ChunkSpec) -> int | None:
        if chunk.kind != self.data_kind:
            raise MetadataError(f"this codec is for the data type {self.data_kind}", field=f"codecs.{self.name}", value=str(chunk.dtype))
        return None

    def decode(self, data: Buffer, chunk: ChunkSpec, scratch: Scratch) -> Array:
        raw = view(data).tobytes()
        count = U32.unpack_from(raw)[0] if len(raw) >= U32.size else -1
        if count != chunk.size:
            raise ChunkDecodeError(f"{len(raw):,} bytes state {'no count' if count < 0 else count} where {chunk.size:,} items are expected")
        items, end = list[Any](), U32.size
        try:
            for _ in range(chunk.size):
                start = end + U32.size
                end = start + U32.unpack_from(raw, end)[0]
                items.append(raw[start:end])
            if end != len(raw):
                raise ChunkDecodeError(f"the items end at byte {end:,} of {len(raw):,}")
            if self.data_kind == "string":
                items = [item.decode() for item in items]
        except (struct.error, OverflowError, UnicodeDecodeError) as error:
            raise ChunkDecodeError(f"the items are damaged ({error})") from error
        return np.array(items, chunk.dtype).reshape(chunk.shape)

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        parts = [U32.pack(array.size)]
        for item in array.reshape(-1):
            if self.data_kind == "bytes" and not isinstance(item, BYTES):  # `bytes(3)` is three zeros
                raise TypeError(f"an array of bytes holds bytes, not {type(item).__name__}: {item!r:.80}")
            raw = bytes(item) if self.data_kind == "bytes" else str(item).encode()
            parts += (U32.pack(len(raw)), raw)
        return b"".join(parts)
