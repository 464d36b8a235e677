"""Other people's encoders and checksums, to compare with; where they are not to be had (in the browser), what does the same by other means."""

from __future__ import annotations

import gzip
import lzma
import struct
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np

BROWSER = sys.platform == "emscripten"
zstd: Any = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def crc32c(data: bytes) -> int:
    """The checksum of RFC 3720, bit by bit."""
    value = 0xFFFFFFFF
    for byte in bytes(data):
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def lz4_block(data: bytes) -> bytes:
    """`data` as the codec lz4 of numcodecs stores it: the size, then one block, here of literals only."""
    long, rest = divmod(len(data) - 15, 255) if len(data) >= 15 else (0, 0)
    head = bytes([min(len(data), 15) << 4]) + b"\xff" * long + (bytes([rest]) if len(data) >= 15 else b"")
    return struct.pack("<I", len(data)) + head + data


class _Blosc:
    def __init__(self, cname: str = "lz4", clevel: int = 5, shuffle: int = 1, blocksize: int = 0) -> None:
        self.cname, self.clevel, self.shuffle, self.blocksize = cname, clevel, shuffle, blocksize

    def encode(self, data: Any) -> bytes:
        array = np.ascontiguousarray(np.frombuffer(data, np.uint8) if isinstance(data, (bytes, bytearray)) else data)
        standing: Any = import_module("azarr.integrations.stand_ins").stand_in("numcodecs.blosc")
        shuffle = self.shuffle if self.shuffle >= 0 else 2 if array.itemsize == 1 else 1
        return bytes(standing.compress(array, self.cname.encode(), self.clevel, shuffle, self.blocksize))

    def decode(self, data: bytes) -> bytes:
        native: Any = import_module("azarr.codecs.native").decoder("blosc", import_module("azarr.scratch").Scratch())
        out = np.empty(struct.unpack_from("<I", data, 4)[0], np.uint8)
        assert native(np.frombuffer(data, np.uint8), out) == out.size
        return out.tobytes()


class _Vlen:
    """A count, then each item behind its length: 32 bits, little-endian."""

    def encode(self, items: Any) -> bytes:
        encoded = [item.encode() if isinstance(item, str) else bytes(item) for item in items.reshape(-1)]
        return struct.pack("<I", len(encoded)) + b"".join(struct.pack("<I", len(item)) + item for item in encoded)


def _lzma(format: int = 1, check: int = -1, preset: int | None = None, filters: Any = None) -> Any:
    options = {"format": format, "filters": filters}
    return SimpleNamespace(
        encode=lambda data: lzma.compress(data, check=check, preset=preset, **options),
        decode=lambda data: lzma.decompress(data, **options) if format == lzma.FORMAT_RAW else lzma.decompress(data, format),
    )


STANDARD = SimpleNamespace(
    Blosc=_Blosc,
    GZip=lambda level: SimpleNamespace(encode=lambda data: gzip.compress(data, level), decode=gzip.decompress),
    Zstd=lambda level=1: SimpleNamespace(encode=lambda data: zstd.compress(data, level), decode=zstd.decompress),
    LZMA=_lzma,
    VLenUTF8=_Vlen,
    VLenBytes=_Vlen,
)
numcodecs: Any = STANDARD if BROWSER else import_module("numcodecs")
cramjam: Any = None if BROWSER else import_module("cramjam")
