"""The filters and compressors of numcodecs that azarr has no file for, by their numcodecs id. Only ids listed in `registry`.

v2 filters work on bytes (`ForeignBytes`), the v3 codecs of the same names on arrays (`ForeignFilter`).
"""

import math
from typing import Any

import numpy as np

from azarr import dtypes
from azarr.codecs.base import Array, ArrayArray, ArrayBytes, BytesBytes, ChunkSpec, Configuration, check_size
from azarr.codecs.registry import load
from azarr.dtypes import NumPyDType
from azarr.errors import ChunkDecodeError, MetadataError, MissingPackage
from azarr.scratch import Buffer, Bytes, Scratch, view
from azarr.v2 import TYPED

PACKAGES = {"zfpy": "zfpy", "pcodec": "pcodec", "msgpack2": "msgpack", "crc32c": "crc32c"}
ADDED = {"shuffle": 0, "fletcher32": 4, "crc32": 4, "crc32c": 4, "adler32": 4, "jenkins_lookup3": 4}
"""Bytes by which the codec makes its input longer; others vary."""
OBJECTS = {"json2": ("json", "loads"), "msgpack2": ("msgpack", "unpackb")}
DECODED = {"delta": "dtype", "fixedscaleoffset": "dtype", "quantize": "dtype", "astype": "decode_dtype"}
ENCODED = {"delta": "astype", "fixedscaleoffset": "astype", "astype": "encode_dtype"}
"""The entries that name the data types of what a filter gives when it decodes, and of what it takes."""


class Foreign:
    """A numcodecs codec, made when it is used."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        self.name, self.id = name, name.removeprefix("numcodecs.").removeprefix("v2:")
        self.configuration: dict[str, Any] = {key: value for key, value in configuration.items() if value is not None}

    def codec(self, dtype: NumPyDType | None = None) -> Any:
        registry = load("numcodecs.registry", self.name, "pip install numcodecs")
        defaults = {DECODED[self.id]: dtype.str} if dtype is not None and self.id in DECODED else {}
        try:
            return registry.get_codec({**defaults, **self.configuration, "id": self.id})
        except (TypeError, ValueError) as error:
            if self.id in PACKAGES and "not available" in str(error):
                raise MissingPackage(f"the codec {self.name!r}", PACKAGES[self.id], f"pip install {PACKAGES[self.id]}") from error
            raise MetadataError(str(error), field=f"codecs.{self.name}", value=self.configuration) from error

    def run(self, data: Any, dtype: NumPyDType | None = None) -> Array:
        """`data` decoded, as an array of whatever data type the codec gives."""
        codec = self.codec(dtype)
        try:
            found = codec.decode(data)
        except Exception as error:  # numcodecs raises what its libraries raise: RuntimeError, ValueError, struct.error, ...
            raise ChunkDecodeError(f"{self.name} cannot decode this ({error})") from error
        return found if hasattr(found, "dtype") else np.frombuffer(found, np.uint8)

    def made(self, data: Any, dtype: NumPyDType | None = None, elements: NumPyDType | None = None) -> Array:
        """`data` encoded; where `elements` are given, it is bytes of such."""
        codec = self.codec(dtype)
        try:
            return np.ascontiguousarray(codec.encode(data if elements is None else data.view(elements)))
        except Exception as error:  # as above
            raise ChunkDecodeError(f"{self.name} cannot encode this ({error})") from error


class ForeignBytes(Foreign, BytesBytes):
    """A codec of bytes, or a filter of v2, which may store elements of one byte as elements of sixteen."""

    growth = 16.0

    def __init__(self, name: str, configuration: Configuration) -> None:
        super().__init__(name, configuration)
        self.elements = np.dtype(self.configuration.pop("dtype", "u1")) if self.id in TYPED else None

    def encoded_size(self, size: int) -> int | None:
        return size + ADDED[self.id] if self.id in ADDED else None

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        if self.id == "lz4" and int.from_bytes(view(data)[:4].tobytes(), "little") > bound:
            raise ChunkDecodeError(f"lz4 states a size above the {bound:,} bytes that are expected")
        found = self.run(view(data))
        if found.dtype.hasobject:
            raise MetadataError("a filter gives numbers or bytes here", field=f"codecs.{self.name}", value=self.configuration)
        check_size(found.nbytes, size, self.name)
        return view(np.ascontiguousarray(found))

    def encode(self, data: Buffer) -> Buffer:
        return view(self.made(view(data), elements=self.elements))


class ForeignFilter(Foreign, ArrayArray):
    """A codec of arrays: what v3 calls `numcodecs.delta`, ..., and `bitround`."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        super().__init__(name, configuration)
        entries = {*DECODED.values(), *ENCODED.values()} & set(self.configuration)
        try:  # native, because what is stored has the byte order of the serializer, whatever is named here
            self.configuration.update({entry: dtypes.from_numpy(np.dtype(self.configuration[entry])).numpy.str for entry in entries})
        except (TypeError, MetadataError) as error:
            raise MetadataError(f"not a data type of filters ({error})", field=f"codecs.{name}", value=self.configuration) from error

    def resolve(self, chunk: ChunkSpec) -> ChunkSpec:
        if self.id == "packbits":
            return chunk._replace(shape=(1 + -(-chunk.size // 8),), dtype=np.dtype("u1"))
        return chunk._replace(dtype=np.dtype(self.configuration.get(ENCODED.get(self.id, ""), chunk.dtype)))

    def decode(self, array: Array, chunk: ChunkSpec) -> Array:
        found = self.run(np.ascontiguousarray(array, self.resolve(chunk).dtype), chunk.dtype)
        check_size(found.size, chunk.size, f"{self.name} (in elements)")
        return found.reshape(chunk.shape).astype(chunk.dtype, copy=False)

    def encode(self, array: Array, chunk: ChunkSpec) -> Array:
        encoded = self.resolve(chunk)
        return self.made(np.ascontiguousarray(array), chunk.dtype).reshape(-1).view(encoded.dtype).reshape(encoded.shape)


class ForeignSerializer(Foreign, ArrayBytes):
    """Object codecs of v2 (`json2`, `msgpack2`, `vlen-array`, `categorize`), and compressors of arrays (`zfpy`, `pcodec`)."""

    def decode(self, data: Buffer, chunk: ChunkSpec, scratch: Scratch) -> Array:
        raw = view(data).tobytes()
        if self.id == "vlen-array":  # as many items are allocated as the first u32 says
            check_size(int.from_bytes(raw[:4], "little"), chunk.size, f"{self.name} (in elements)")
        found = self._objects(raw, chunk) if self.id in OBJECTS else self.run(raw)
        check_size(found.size, chunk.size, f"{self.name} (in elements)")
        return found.reshape(chunk.shape)

    def _objects(self, raw: bytes, chunk: ChunkSpec) -> Array:
        """A list of items, a data type, and a shape, which numcodecs would allocate whatever it says."""
        module, name = OBJECTS[self.id]
        parse = getattr(load(module, self.name, f"pip install {module}"), name)
        try:
            *items, _, shape = parse(raw)
            check_size(math.prod(shape), chunk.size, "the shape (in elements)")
            found = np.empty(shape, object)
            if shape:
                found[:] = items
            else:
                found[()] = items[0]
        except Exception as error:  # what the libraries raise, and what comes of lists that are something else
            raise ChunkDecodeError(f"{self.name} cannot decode this ({error})") from error
        return found

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        return view(self.made(np.ascontiguousarray(array) if chunk.kind == "fixed" else array.reshape(-1).astype(object)))
