"""`zstd`: Zstandard frames, by libblosc2's decoder where it is installed, else by the standard library's (or its backport)."""

import sys

import numpy as np

from azarr.codecs.base import BytesBytes, Configuration, inflated, settings
from azarr.codecs.native import decoder
from azarr.codecs.registry import load
from azarr.errors import ChunkDecodeError
from azarr.limits import DEFAULT_LIMITS
from azarr.scratch import Buffer, Bytes, Scratch, view

NEW = sys.version_info >= (3, 14)
PACKAGE = ("compression.zstd", "zstd", "use a Python built with zstd") if NEW else ("backports.zstd", "zstd", "pip install backports.zstd")


class Zstd(BytesBytes):
    """Level -131072 to 22; `checksum` adds one to each frame, which is verified where it stands."""

    speed = 0.9

    def __init__(self, name: str, configuration: Configuration) -> None:
        self.level, self.checksum = settings(name, configuration, level=(range(-131072, 23), 3), checksum=((False, True), False))

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        try:
            if size and (native := decoder("zstd", scratch)) is not None:
                into = np.empty(size, np.uint8) if out is None else out
                if (found := native(view(data), into)) != size:
                    raise ChunkDecodeError(f"zstd data are damaged, or do not hold {size:,} bytes (result {found:,})")
                return into
            return inflated(data, size, bound, "zstd", load(*PACKAGE).ZstdDecompressor)
        except ChunkDecodeError:
            DEFAULT_LIMITS.check("chunk", _stated(data), "what the zstd frame states to hold")
            raise

    def encode(self, data: Buffer) -> Buffer:
        zstd = load(*PACKAGE)
        options = {zstd.CompressionParameter.compression_level: self.level, zstd.CompressionParameter.checksum_flag: int(self.checksum)}
        return zstd.compress(view(data), options=options)


def _stated(data: Buffer) -> int:
    """What the first frame of `data` states to hold, 0 where it does not."""
    zstd = load(*PACKAGE)
    try:
        return zstd.get_frame_info(view(data)).decompressed_size or 0
    except zstd.ZstdError:
        return 0
