"""The chain of codecs that a chunk of one shape goes through, compiled once and used for every such chunk."""

from __future__ import annotations

from azarr.codecs.base import Array, ArrayArray, ArrayBytes, BytesBytes, ChunkSpec
from azarr.codecs.bytes import Bytes as BytesCodec
from azarr.codecs.registry import ordered
from azarr.errors import ChunkDecodeError
from azarr.metadata import CodecSpec
from azarr.scratch import Buffer, Bytes, Scratch, view

__all__ = ["Pipeline"]

SPEEDS = {"gzip": 0.3, "zlib": 0.3, "bz2": 0.02, "lzma": 0.05, "zstd": 0.9, "blosc": 3.0, "crc32c": 8.0}
"""Decoded GB/s of one core, roughly; only used to choose the number of workers."""


class Pipeline:
    """Decodes chunks of `chunk.shape`.

    `raw`: what is stored is what NumPy has in memory, so that a reader may skip decoding altogether.
    """

    __slots__ = ("chunk", "filters", "inner", "nbytes", "raw", "serializer", "sizes", "stages", "wrappers")

    def __init__(self, specs: tuple[CodecSpec, ...], chunk: ChunkSpec) -> None:
        filters, serializer, wrappers = ordered(specs)
        self.chunk = chunk
        self.filters: list[ArrayArray] = filters
        self.serializer: ArrayBytes = serializer
        self.wrappers: list[BytesBytes] = wrappers
        self.stages: list[ChunkSpec] = [chunk]
        for codec in self.filters:
            self.stages.append(codec.resolve(self.stages[-1]))
        self.inner = self.stages[-1]
        size = self.serializer.encoded_size(self.inner)
        self.sizes: list[int | None] = [size]
        for codec in self.wrappers:
            size = None if size is None else codec.encoded_size(size)
            self.sizes.append(size)
        memory = isinstance(serializer, BytesCodec) and not filters and serializer.is_memory(chunk)
        self.nbytes = chunk.nbytes
        self.raw = memory and not wrappers

    @property
    def encoded_size(self) -> int | None:
        """Bytes of the encoded chunk, where every codec of the chain has a fixed size."""
        return self.sizes[-1]

    @property
    def seconds(self) -> float:
        """What decoding one chunk takes one core, roughly."""
        nbytes = float(self.chunk.size * self.chunk.dtype.itemsize)
        total = nbytes / 10e9
        for codec in self.wrappers:
            name = type(codec).__name__.lower()
            speed = 0.9 if name == "blosc" and getattr(codec, "cname", "") in ("zstd", "zlib") else SPEEDS.get(name, 0.5)
            total += nbytes / (speed * 1e9)
        return total + (0.0 if isinstance(self.serializer, BytesCodec) else 1e-3)

    def decode(self, data: Buffer, scratch: Scratch, out: Array | None = None) -> Array:
        """The chunk in `data`. The result may lie in `data`, in `scratch` (until the next decode), or in `out`.

        `out` is C-contiguous, of the chunk's shape and data type; the last step may decode straight into it.
        Errors: `ChunkDecodeError`, `ChecksumError`, `ShardIndexError`.
        """
        sizes, bound = self.sizes, self.inner.bound
        if sizes[-1] is not None and len(data) != sizes[-1]:
            raise ChunkDecodeError(f"{len(data):,} bytes where {sizes[-1]:,} are expected")
        direct = self._memory(out)
        for position in range(len(self.wrappers) - 1, -1, -1):
            size = sizes[position]
            into = direct if position == 0 and direct is not None else None if size is None else scratch.take((self.chunk.depth, position), size)
            data = self.wrappers[position].decode(data, size, bound, into, scratch)
        if data is direct and out is not None:
            return out
        array = self.serializer.decode(data, self.inner, scratch)
        for position in range(len(self.filters) - 1, -1, -1):
            array = self.filters[position].decode(array, self.stages[position])
        return array

    def encode(self, array: Array) -> Buffer:
        """`array`, of the chunk's shape, as the bytes to store."""
        for codec, chunk in zip(self.filters, self.stages, strict=False):
            array = codec.encode(array, chunk)
        data = self.serializer.encode(array, self.inner)
        for codec in self.wrappers:
            data = codec.encode(data)
        return data

    def _memory(self, out: Array | None) -> Bytes | None:
        """`out` as the bytes that the first wrapper decodes into, where what it decodes is what memory holds."""
        if out is None or not self.wrappers or self.filters or not isinstance(self.serializer, BytesCodec):
            return None
        return view(out) if self.serializer.is_memory(self.inner) else None
