"""`bytes`: the elements of a chunk one after the other, C order, in the byte order that the configuration names.

A v2 array may store a struct whose fields differ in byte order; then the configuration carries the stored `dtype`, as v2 writes it.
"""

from collections.abc import Iterator

import numpy as np

from azarr.codecs.base import Array, ArrayBytes, ChunkSpec, Configuration, check_size, settings
from azarr.dtypes import NumPyDType, native
from azarr.errors import ChunkDecodeError, MetadataError
from azarr.scratch import Buffer, Scratch, view
from azarr.v2 import dtype_from_json


class Bytes(ArrayBytes):
    """The serializer of data types of fixed size. Decoding is a view; bytes are swapped when the view is copied."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        self.endian, stored = settings(name, configuration, endian=(("little", "big", None), None), dtype=(None, None))
        self.stored = None if stored is None else dtype_from_json(stored)

    def stored_dtype(self, chunk: ChunkSpec) -> NumPyDType:
        if chunk.kind != "fixed":
            raise MetadataError("the codec 'bytes' needs a data type of fixed size", field="codecs.bytes", value=chunk.kind)
        if self.stored is not None:
            return self.stored
        big, little = chunk.dtype.newbyteorder(">"), chunk.dtype.newbyteorder("<")
        if self.endian is None and chunk.dtype.names is None and big != little:  # of structs in the wild it is absent
            raise MetadataError("'little' or 'big' is needed for types of several bytes", field="codecs.bytes.endian", value=None)
        return big if self.endian == "big" else little

    def is_memory(self, chunk: ChunkSpec) -> bool:
        """Whether stored bytes are what NumPy has in memory, so that they can be read right into a result."""
        return self.stored_dtype(chunk) == chunk.dtype and not any(True for _ in _bools(np.empty(0, chunk.dtype)))

    def encoded_size(self, chunk: ChunkSpec) -> int | None:
        stored = self.stored_dtype(chunk)
        if native(stored) != native(chunk.dtype):
            raise MetadataError(f"elements of {chunk.dtype} are needed", field="codecs.bytes.dtype", value=stored)
        return chunk.size * stored.itemsize

    def decode(self, data: Buffer, chunk: ChunkSpec, scratch: Scratch) -> Array:
        nbytes = chunk.nbytes
        check_size(len(data), nbytes, "the chunk")
        if not nbytes:
            return np.zeros(chunk.shape, chunk.dtype)
        raw, stored = view(data), self.stored_dtype(chunk)
        if chunk.dtype.kind in "Mm" and stored != chunk.dtype:  # NumPy does not copy such times in every way, so swap them as integers
            return raw.view(">i8").astype("<i8").view(chunk.dtype).reshape(chunk.shape)
        array = raw.view(stored).reshape(chunk.shape)
        if (most := max((bools.max(initial=0) for bools in _bools(array)), default=0)) > 1:
            if not chunk.lenient:
                raise ChunkDecodeError(f"a bool is 0 or 1, not {most}; open with lenient=True to read others as true")
            array = array.copy()
            for bools in _bools(array):
                np.minimum(bools, 1, out=bools)
        return array

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        if not chunk.nbytes:
            return b""
        stored = self.stored_dtype(chunk)
        if chunk.dtype.kind in "Mm" and stored != chunk.dtype:
            array, stored = np.ascontiguousarray(array, chunk.dtype).view("=i8"), np.dtype(stored.byteorder + "i8")
        return np.ascontiguousarray(array, stored).reshape(-1).view(np.uint8)


def _bools(array: Array) -> Iterator[Array]:
    """The bytes of all bools in `array`: of it itself, or of fields at any depth; views."""
    if array.dtype.kind == "b":
        yield array.view(np.uint8)
    for name in array.dtype.names or ():
        yield from _bools(array[name])
