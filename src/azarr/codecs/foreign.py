"""The filters and compressors of numcodecs that azarr has no file for, by their numcodecs id. Only ids listed in `registry`.

v2 filters work on bytes (`ForeignBytes`), the v3 codecs of the same names on arrays (`ForeignFilter`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from azarr.codecs.base import Array, ChunkSpec, check_size
from azarr.codecs.registry import load
from azarr.errors import ChunkDecodeError, MetadataError, MissingPackage
from azarr.scratch import Buffer, Bytes, Scratch, view

__all__ = ["ForeignBytes", "ForeignFilter", "ForeignObjects", "ForeignSerializer"]

PACKAGES = {"zfpy": "zfpy", "pcodec": "pcodec", "msgpack2": "msgpack", "crc32c": "crc32c"}
ADDED = {"shuffle": 0, "fletcher32": 4, "crc32": 4, "crc32c": 4, "adler32": 4, "jenkins_lookup3": 4}
"""Bytes by which the codec makes its input longer; others vary."""
NEEDS_DTYPE = {"delta": "dtype", "fixedscaleoffset": "dtype", "quantize": "dtype", "astype": "decode_dtype"}


class _Foreign:
    """A numcodecs codec, made when it is first used."""

    __slots__ = ("configuration", "id", "name")

    def __init__(self, name: str, configuration: Mapping[str, Any]) -> None:
        self.name = name
        self.id = name.removeprefix("numcodecs.").removeprefix("v2:")
        self.configuration = {key: value for key, value in configuration.items() if key != "id"}

    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> Any:
        return cls(name, configuration)

    def codec(self, **defaults: Any) -> Any:
        registry = load("numcodecs.registry", self.name, "pip install numcodecs")
        settings = {**defaults, **{key: value for key, value in self.configuration.items() if value is not None}}
        try:
            return registry.get_codec({"id": self.id, **settings})
        except (TypeError, ValueError) as error:
            if self.id in PACKAGES and "not available" in str(error):
                raise MissingPackage(f"the codec {self.name!r}", PACKAGES[self.id], f"pip install {PACKAGES[self.id]}") from error
            raise MetadataError(str(error), field=f"codecs.{self.name}", value=self.configuration) from error

    def run(self, data: Any, **defaults: Any) -> Array:
        """`data` decoded, as an array of whatever data type the codec gives."""
        codec = self.codec(**defaults)
        try:
            found = codec.decode(data)
        except Exception as error:  # numcodecs raises what its libraries raise: RuntimeError, ValueError, struct.error, ...
            raise ChunkDecodeError(f"{self.name} cannot decode this ({error})") from error
        return found if isinstance(found, np.ndarray) else np.frombuffer(found, np.uint8)


class ForeignBytes(_Foreign):
    kind: Literal["bytes-bytes"] = "bytes-bytes"
    __slots__ = ()

    def encoded_size(self, size: int) -> int | None:
        return size + ADDED[self.id] if self.id in ADDED else None

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        if self.id == "lz4" and (len(data) < 4 or int.from_bytes(view(data)[:4].tobytes(), "little") > bound):
            raise ChunkDecodeError(f"lz4 states a size above the {bound:,} bytes that are allowed")
        found = view(np.ascontiguousarray(self.run(view(data))).reshape(-1))
        if size is not None:
            check_size(len(found), size, self.name)
        return found

    def encode(self, data: Buffer) -> Buffer:
        return view(np.ascontiguousarray(np.asarray(self.codec().encode(view(data)))).reshape(-1))


class ForeignFilter(_Foreign):
    kind: Literal["array-array"] = "array-array"
    __slots__ = ()

    def settings(self, chunk: ChunkSpec) -> dict[str, Any]:
        return {NEEDS_DTYPE[self.id]: chunk.dtype.str} if self.id in NEEDS_DTYPE else {}

    def resolve(self, chunk: ChunkSpec) -> ChunkSpec:
        if self.id == "packbits":
            return replace(chunk, dtype=np.dtype("u1"), shape=(1 + math.ceil(chunk.size / 8),))
        if self.id == "quantize":
            return chunk
        named = self.configuration.get("encode_dtype" if self.id == "astype" else "astype")
        return replace(chunk, dtype=np.dtype(named).newbyteorder("=")) if named else chunk

    def decode(self, array: Array, chunk: ChunkSpec) -> Array:
        encoded = np.ascontiguousarray(array, self.resolve(chunk).dtype)
        found = self.run(encoded, **self.settings(chunk))
        check_size(found.size, chunk.size, f"{self.name} (in elements)")
        return found.reshape(chunk.shape).astype(chunk.dtype, copy=False)

    def encode(self, array: Array, chunk: ChunkSpec) -> Array:
        encoded = self.resolve(chunk)
        found = np.asarray(self.codec(**self.settings(chunk)).encode(np.ascontiguousarray(array)))
        return found.reshape(-1).view(encoded.dtype).reshape(encoded.shape)


class ForeignSerializer(_Foreign):
    kind: Literal["array-bytes"] = "array-bytes"
    __slots__ = ()

    def encoded_size(self, chunk: ChunkSpec) -> int | None:
        return None

    def decode(self, data: Buffer, chunk: ChunkSpec, scratch: Scratch) -> Array:
        found = self.run(view(data).tobytes())
        check_size(found.size, chunk.size, f"{self.name} (in elements)")
        return found.reshape(chunk.shape)

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        return self.codec().encode(np.ascontiguousarray(array))


class ForeignObjects(ForeignSerializer):
    """Object codecs of v2: `json2`, `msgpack2`, `vlen-array`, `categorize`. Never `pickle`."""

    __slots__ = ()

    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer:
        return view(np.asarray(self.codec().encode(array.reshape(-1).astype(object))))
