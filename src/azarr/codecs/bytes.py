"""`bytes`: the elements of a chunk one after the other, C order, in the byte order that the configuration names.

A v2 array may store a struct whose fields differ in byte order; then the configuration carries the stored `dtype`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from azarr.codecs.base import Array, ChunkSpec, check_size, one_of, only
from azarr.dtypes import NumPyDType
from azarr.errors import ChunkDecodeError, MetadataError
from azarr.scratch import Buffer, Scratch, view

__all__ = ["Bytes"]

ENDIANS = {"little": "<", "big": ">"}


class Bytes:
    """The serializer of data types of fixed size. Decoding is a view; bytes are swapped when the view is copied."""

    kind: Literal["array-bytes"] = "array-bytes"
    __slots__ = ("endian", "stored")

    def __init__(self, endian: str | None = None, stored: NumPyDType | None = None) -> None:
        self.endian, self.stored = endian, stored

    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> Bytes:
        only(configuration, ("endian", "dtype"), name)
        if isinstance(configuration.get("dtype"), np.dtype):
            return cls(stored=configuration["dtype"])
        return cls(one_of(configuration, "endian", name, ("little", "big", None)))

    def stored_dtype(self, chunk: ChunkSpec) -> NumPyDType:
        if chunk.kind != "fixed":
            raise MetadataError("the codec 'bytes' needs a data type of fixed size", field="codecs.bytes", value=chunk.kind)
        if self.stored is not None:
            return self.stored
        stored = chunk.dtype.newbyteorder(ENDIANS[self.endian or "little"])
        if self.endian is None and chunk.dtype.names is None and stored != chunk.dtype.newbyteorder(">"):  # of structs in the wild it is absent
            raise MetadataError("mandatory for types of several bytes", field="codecs.bytes.endian", value=None)
        return stored

    def is_memory(self, chunk: ChunkSpec) -> bool:
        """Whether stored bytes are what NumPy has in memory, so that they can be read right into a result."""
        return self.stored_dtype(chunk) == chunk.dtype and chunk.dtype.kind != "b"

    def encoded_size(self, chunk: ChunkSpec) -> int | None:
        return chunk.nbytes

    def decode(self, data: Buffer, chunk: ChunkSpec, scratch: Scratch) -> Array:
        nbytes = chunk.size * chunk.dtype.itemsize
        check_size(len(data), nbytes, "the chunk")
        if not nbytes:
            return np.zeros(chunk.shape, chunk.dtype)
        raw = view(data)
        if chunk.dtype.kind == "b" and raw.max() > 1:
            if not chunk.lenient:
                raise ChunkDecodeError(f"a bool is 0 or 1, not {raw.max()}; open with lenient=True to read others as true")
            return (raw != 0).reshape(chunk.shape)
        stored = self.stored_dtype(chunk)
        if chunk.dtype.kind in "Mm" and stored != chunk.dtype:  # NumPy does not copy such times in every way, so swap them as integers
            return raw.view(">i8").astype("<i8").view(chunk.dtype).reshape(chunk.shape)
        return raw.view(stored).reshape(chunk.shape)

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        if not chunk.size * chunk.dtype.itemsize:
            return b""
        return np.ascontiguousarray(array, self.stored_dtype(chunk)).reshape(-1).view(np.uint8)
