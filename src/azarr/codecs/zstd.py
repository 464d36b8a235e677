"""`zstd`: Zstandard frames, by libblosc2's decoder where it is installed, else by the standard library's (or its backport)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from azarr.codecs.base import integer, one_of, only
from azarr.codecs.native import zstd_decoder
from azarr.codecs.registry import load
from azarr.errors import ChunkDecodeError
from azarr.scratch import Buffer, Bytes, Scratch, view

__all__ = ["Zstd"]


class Zstd:
    """Level -131072 to 22; `checksum` adds one to each frame, which is verified where it stands."""

    kind: Literal["bytes-bytes"] = "bytes-bytes"
    __slots__ = ("checksum", "level")

    def __init__(self, level: int, checksum: bool) -> None:
        self.level, self.checksum = level, checksum

    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> Zstd:
        only(configuration, ("level", "checksum"), name)
        level = integer(configuration, "level", name, least=-131072, most=22, default=3)
        return cls(level, one_of(configuration, "checksum", name, (False, True), False))

    def encoded_size(self, size: int) -> int | None:
        return None

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        raw = view(data)
        native = zstd_decoder(scratch) if size else None
        if native is not None and size is not None:
            into = np.empty(size, np.uint8) if out is None else out
            found = native(raw, into)
            if found != size:
                raise ChunkDecodeError(f"zstd data do not give the {size:,} bytes that are expected" + (f", but {found:,}" if found >= 0 else ""))
            return into
        return self._stepwise(raw.tobytes(), bound if size is None else size)

    def encode(self, data: Buffer) -> Buffer:
        zstd = _module()
        options = {zstd.CompressionParameter.compression_level: self.level, zstd.CompressionParameter.checksum_flag: int(self.checksum)}
        return zstd.compress(view(data), options=options)

    def _stepwise(self, rest: bytes, room: int) -> bytes:
        zstd, parts = _module(), list[bytes]()
        while rest:
            decompressor = zstd.ZstdDecompressor()
            try:
                parts.append(decompressor.decompress(rest, room + 1))
            except zstd.ZstdError as error:
                raise ChunkDecodeError(f"not valid zstd data ({error})") from error
            room -= len(parts[-1])
            if room < 0:
                raise ChunkDecodeError("zstd holds more bytes than are expected")
            if not decompressor.eof:
                raise ChunkDecodeError("zstd data end too early")
            rest = decompressor.unused_data
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _module() -> Any:
    if sys.version_info >= (3, 14):
        return load("compression.zstd", "zstd", "use a Python that was built with zstd")
    return load("backports.zstd", "zstd", "pip install backports.zstd")
