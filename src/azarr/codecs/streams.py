"""`gzip`, `zstd`, and the older compressors of v2: `zlib`, `bz2`, `lzma`. All from the standard library, all bounded.

Before Python 3.14 `zstd` is a backport, and wherever libblosc2 is installed, it decodes chunks of known size.
"""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from azarr.codecs.base import BytesBytes, Configuration, check_size, settings
from azarr.codecs.native import decoder
from azarr.codecs.registry import load
from azarr.errors import ChunkDecodeError, MetadataError
from azarr.limits import DEFAULT_LIMITS
from azarr.scratch import Buffer, Bytes, Scratch, view

STREAMS: dict[str, tuple[str, str, dict[str, int], str, range, float]] = {
    "gzip": ("zlib", "decompressobj", {"wbits": 31}, "level", range(-1, 10), 0.3),
    "zlib": ("zlib", "decompressobj", {"wbits": 15}, "level", range(-1, 10), 0.3),
    "bz2": ("bz2", "BZ2Decompressor", {}, "compresslevel", range(1, 10), 0.02),
}
"""Module (a Python can lack one), what makes a decompressor, options of it and of `compress`, how that calls a level, levels, GB/s."""
NEW = sys.version_info >= (3, 14)
ZSTD = ("compression.zstd", "zstd", "use a Python built with zstd") if NEW else ("backports.zstd", "zstd", "pip install backports.zstd")
LEVEL, CHECKSUM = 100, 201
"""ZSTD_c_compressionLevel and ZSTD_c_checksumFlag of zstd.h."""
FRAME, SKIPPED, LONGEST = b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", 18
"""What a frame of zstd begins with, and one to be skipped, before its size; bytes of the longest head of a frame (RFC 8878)."""
PRESETS = (None, *range(10), *(level | 1 << 31 for level in range(10)))


class Stream(BytesBytes):
    """The codecs that have a level, and nothing else; and what all have in common."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        self.name = name.removeprefix("numcodecs.")
        module, start, options, entry, levels, self.speed = STREAMS[self.name]
        (level,) = settings(name, configuration, level=(levels, 1))
        library = load(module, self.name, f"use a Python built with {module}")
        self.start, self.compress = partial(getattr(library, start), **options), partial(library.compress, **options, **{entry: level})

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        most = bound if size is None else size
        rest, parts, room = view(data).tobytes(), list[bytes](), most + 1
        while rest:  # there may be several members (frames), one after the other
            decompressor = self.start()
            try:
                parts.append(decompressor.decompress(rest, min(room, sys.maxsize)))
            except Exception as error:  # zlib.error, OSError, LZMAError, ZstdError
                raise ChunkDecodeError(f"not valid {self.name} data ({error})") from error
            room -= len(parts[-1])
            if not room:
                raise ChunkDecodeError(f"{self.name} holds more than the {most:,} bytes that are expected")
            if not decompressor.eof:
                raise ChunkDecodeError(f"{self.name} data end too early")
            rest = decompressor.unused_data
        check_size(most + 1 - room, size, self.name)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def encode(self, data: Buffer) -> Buffer:
        return self.compress(view(data))


class Lzma(Stream):
    """All the settings of Python's `lzma`: format, check, preset, filters (as numcodecs has them)."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        known = {"format": (range(1, 4), 1), "check": ((-1, 0, 1, 4, 10), -1), "preset": (PRESETS, None), "filters": (None, None)}
        form, check, preset, filters = settings(name, configuration, **known)
        library = load("lzma", "lzma", "use a Python built with lzma")
        self.name, self.speed = "lzma", 0.05
        self.start = partial(library.LZMADecompressor, form, filters=filters if form == library.FORMAT_RAW else None)
        self.compress = partial(library.compress, format=form, check=check, preset=preset, filters=filters)
        try:
            self.start()
        except (ValueError, TypeError, library.LZMAError) as error:
            raise MetadataError(str(error), field=f"codecs.{name}", value=dict(configuration)) from error


class Zstd(Stream):
    """Level -131072 to 22; `checksum` adds one to each frame, which is verified where it stands."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        level, checksum = settings(name, configuration, level=(range(-131072, 23), 3), checksum=((False, True), False))
        self.name, self.speed = "zstd", 0.9
        self.start = partial(_zstd, "ZstdDecompressor")
        self.compress = partial(_zstd, "compress", options={LEVEL: level, CHECKSUM: int(checksum)})

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        try:
            if not size or (native := decoder("zstd", scratch)) is None:
                return super().decode(data, size, bound, out, scratch)
            into = np.empty(size, np.uint8) if out is None else out
            if (found := native(view(data), into)) != size:
                raise ChunkDecodeError(f"zstd data are damaged, or do not hold {size:,} bytes (result {found:,})")
            return into
        except ChunkDecodeError:
            DEFAULT_LIMITS.check("chunk", _stated(data), "what the zstd frame states to hold")
            raise


    def decode_many(self, memory: Bytes, starts: Sequence[int], sizes: Sequence[int], out: Bytes, scratch: Scratch) -> bool:
        """As one row of frames, of which each states its size, with others between them that are to be skipped."""
        begins, ends, nbytes = np.array(starts), np.array(starts) + sizes, out.shape[1]
        gaps = np.append(begins[1:] - ends[:-1], 0)
        if min(sizes) < LONGEST or ends.max() > memory.size or np.any((gaps < 8) & (gaps != 0)):
            return False
        form = int(memory[starts[0] + 4])
        at, width = 6 - (form >> 5 & 1) + (0, 1, 2, 4)[form & 3], (form >> 5 & 1, 2, 4, 8)[form >> 6]
        stated = (nbytes - 256 * (width == 2)) % (1 << 64)
        heads = memory[begins[:, None] + np.arange(at + width)]
        alike = np.all(heads[:, :5] == [*FRAME, form]) and np.all(heads[:, at:] == list(stated.to_bytes(8, "little")[:width]))
        if not width or stated >> 8 * width or not alike or (native := decoder("zstd", scratch)) is None:
            return False
        for end, gap in zip(ends[gaps > 0].tolist(), gaps[gaps > 0].tolist(), strict=True):
            memory[end : end + 8] = list(SKIPPED + (gap - 8).to_bytes(4, "little"))
        return native(memory[starts[0] : ends[-1]], out.reshape(-1)) == out.size


def _zstd(name: str, *arguments: Any, **options: Any) -> Any:
    return getattr(load(*ZSTD), name)(*arguments, **options)


def _stated(data: Buffer) -> int:
    """What the first frame of `data` states to hold, 0 where it does not."""
    zstd = load(*ZSTD)
    try:
        return zstd.get_frame_info(view(data)).decompressed_size or 0
    except zstd.ZstdError:
        return 0
