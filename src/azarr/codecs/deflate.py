"""`gzip`, and the older compressors of v2: `zlib`, `bz2`, `lzma`. All from the standard library, all bounded.

Each decompresses in steps and stops one byte after the expected size, however much more the input claims to hold.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from azarr.codecs.base import integer, only
from azarr.errors import ChunkDecodeError, MetadataError
from azarr.scratch import Buffer, Bytes, Scratch, view

__all__ = ["Bz2", "Gzip", "Lzma", "Zlib"]


class Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class _Stream:
    """What the four have in common."""

    kind: Literal["bytes-bytes"] = "bytes-bytes"
    __slots__ = ("configuration", "name")

    def __init__(self, name: str, configuration: Mapping[str, Any]) -> None:
        self.name, self.configuration = name, configuration

    def encoded_size(self, size: int) -> int | None:
        return None

    def start(self) -> Decompressor:
        raise AssertionError("each codec starts its own decompressor")

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        rest, parts, room = view(data).tobytes(), list[bytes](), (bound if size is None else size) + 1
        while rest:  # a file may hold several members, one after the other
            decompressor = self.start()
            try:
                parts.append(decompressor.decompress(rest, room))
            except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
                raise ChunkDecodeError(f"not valid {self.name} data ({error})") from error
            room -= len(parts[-1])
            if room <= 0:
                raise ChunkDecodeError(f"{self.name} holds more than the {bound if size is None else size:,} bytes that are expected")
            if not decompressor.eof:
                raise ChunkDecodeError(f"{self.name} data end too early")
            rest = decompressor.unused_data
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Gzip(_Stream):
    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> Gzip:
        only(configuration, ("level",), name)
        integer(configuration, "level", name, least=-1, most=9, default=1)
        return cls(name, configuration)

    def start(self) -> Decompressor:
        return zlib.decompressobj(31)

    def encode(self, data: Buffer) -> Buffer:
        compressor = zlib.compressobj(self.configuration.get("level", 1), zlib.DEFLATED, 31)
        return compressor.compress(view(data)) + compressor.flush()


class Zlib(_Stream):
    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> Zlib:
        only(configuration, ("level",), name)
        integer(configuration, "level", name, least=-1, most=9, default=1)
        return cls(name, configuration)

    def start(self) -> Decompressor:
        return zlib.decompressobj()

    def encode(self, data: Buffer) -> Buffer:
        return zlib.compress(view(data), self.configuration.get("level", 1))


class Bz2(_Stream):
    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> Bz2:
        only(configuration, ("level",), name)
        integer(configuration, "level", name, least=1, most=9, default=1)
        return cls(name, configuration)

    def start(self) -> Decompressor:
        return bz2.BZ2Decompressor()

    def encode(self, data: Buffer) -> Buffer:
        return bz2.compress(view(data), self.configuration.get("level", 1))


class Lzma(_Stream):
    """All the settings of Python's `lzma`: format, check, preset, filters (as numcodecs has them)."""

    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> Lzma:
        only(configuration, ("format", "check", "preset", "filters"), name)
        integer(configuration, "format", name, least=1, most=3, default=1)
        return cls(name, configuration)

    def start(self) -> Decompressor:
        form, filters = self.configuration.get("format", 1), self.configuration.get("filters")
        try:
            return lzma.LZMADecompressor(form, filters=filters if form == lzma.FORMAT_RAW else None)
        except (ValueError, TypeError, lzma.LZMAError) as error:
            raise MetadataError(str(error), field="codecs.lzma", value=dict(self.configuration)) from error

    def encode(self, data: Buffer) -> Buffer:
        settings = self.configuration
        check, preset = settings.get("check", -1), settings.get("preset")
        return lzma.compress(view(data), settings.get("format", 1), check, preset, settings.get("filters"))
