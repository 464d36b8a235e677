"""`crc32c`: four bytes of checksum, little-endian, after what they guard. Verified on every read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from azarr.codecs.base import only
from azarr.codecs.registry import load
from azarr.errors import ChecksumError, ChunkDecodeError
from azarr.scratch import Buffer, Bytes, Scratch, view

__all__ = ["Crc32c"]

SIZE = 4


class Crc32c:
    """The checksum of RFC 3720, by google-crc32c, or by the package crc32c where that is installed instead."""

    kind: Literal["bytes-bytes"] = "bytes-bytes"
    __slots__ = ()

    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> Crc32c:
        only(configuration, (), name)
        return cls()

    def encoded_size(self, size: int) -> int | None:
        return size + SIZE

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        if len(data) < SIZE:
            raise ChunkDecodeError(f"{len(data)} bytes are too few to hold a checksum")
        raw = view(data)
        stated, actual = int.from_bytes(raw[-SIZE:].tobytes(), "little"), checksum(raw[:-SIZE])
        if stated != actual:
            raise ChecksumError(f"crc32c is {actual:08x}, but {stated:08x} is stored with it")
        return raw[:-SIZE]

    def encode(self, data: Buffer) -> Buffer:
        raw = view(data).tobytes()
        return raw + checksum(view(raw)).to_bytes(SIZE, "little")


def checksum(data: Bytes) -> int:
    module = load("google_crc32c", "crc32c", "pip install google-crc32c")
    return module.value(data.tobytes() if not data.flags.writeable else data)
