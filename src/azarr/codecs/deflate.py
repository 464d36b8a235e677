"""`gzip`, and the older compressors of v2: `zlib`, `bz2`, `lzma`. All from the standard library, all bounded."""

from functools import partial

from azarr.codecs.base import BytesBytes, Configuration, inflated, settings
from azarr.codecs.registry import load
from azarr.errors import MetadataError
from azarr.scratch import Buffer, Bytes, Scratch, view

STREAMS: dict[str, tuple[str, str, dict[str, int], str, range, float]] = {
    "gzip": ("zlib", "decompressobj", {"wbits": 31}, "level", range(-1, 10), 0.3),
    "zlib": ("zlib", "decompressobj", {"wbits": 15}, "level", range(-1, 10), 0.3),
    "bz2": ("bz2", "BZ2Decompressor", {}, "compresslevel", range(1, 10), 0.02),
}
"""Module (a Python can lack one), what makes a decompressor, options of it and of `compress`, how that calls a level, levels, GB/s."""
PRESETS = (None, *range(10), *(level | 1 << 31 for level in range(10)))


class Stream(BytesBytes):
    """The codecs that have a level, and nothing else."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        self.name = name.removeprefix("numcodecs.")
        module, start, options, entry, levels, self.speed = STREAMS[self.name]
        (level,) = settings(name, configuration, level=(levels, 1))
        library = load(module, self.name, f"use a Python built with {module}")
        self.start, self.compress = partial(getattr(library, start), **options), partial(library.compress, **options, **{entry: level})

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        return inflated(data, size, bound, self.name, self.start)

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
