"""The chain of codecs that a chunk of one shape goes through, compiled once and used for every such chunk."""

from collections.abc import Sequence

from azarr.codecs.base import Array, ArrayArray, ArrayBytes, BytesBytes, ChunkSpec
from azarr.codecs.bytes import Bytes as BytesCodec
from azarr.codecs.registry import build
from azarr.document import MAX_INTEGER
from azarr.errors import ChunkDecodeError, MetadataError
from azarr.metadata import CodecSpec
from azarr.scratch import ROOM, Buffer, Bytes, Scratch, view


class Pipeline:
    """Decodes and encodes chunks that are `chunk`; `inner` is what the array-array codecs make of it.

    `raw`: what is stored is what NumPy has in memory, so that a reader may skip decoding altogether. `encoded_size`: bytes of the
    encoded chunk, None unless every codec has a fixed size; `bound`: they are never more. `seconds`: what decoding takes, roughly.
    `warm`: it has decoded something, so that its codecs are loaded.
    """

    def __init__(self, specs: tuple[CodecSpec, ...], chunk: ChunkSpec) -> None:
        self.specs = specs
        codecs = [build(spec) for spec in specs]
        kinds = [codec.kind for codec in codecs]
        if kinds != sorted(kinds) or kinds.count("array-bytes") != 1:
            given = [f"{spec.name} ({kind})" for spec, kind in zip(specs, kinds, strict=True)]
            raise MetadataError("array-array codecs, one array-bytes, then bytes-bytes codecs are needed", field="codecs", value=given)
        middle = kinds.index("array-bytes")
        self.serializer: ArrayBytes = codecs[middle]
        self.filters, self.wrappers = list[ArrayArray](codecs[:middle]), list[BytesBytes](codecs[middle + 1 :])
        self.chunk = self.inner = chunk
        self.stages: list[tuple[ArrayArray, ChunkSpec]] = []
        for codec in self.filters:
            self.stages.append((codec, self.inner))
            self.inner = codec.resolve(self.inner)
        size = self.serializer.encoded_size(self.inner)
        self.bound = self.serializer.bound(self.inner) if size is None else size
        self.seconds = chunk.nbytes / 10e9 + (0.0 if isinstance(self.serializer, BytesCodec) else 1e-3)
        steps: list[tuple[int, BytesBytes, int | None, int]] = []
        for position, codec in enumerate(self.wrappers):
            steps.append((position, codec, size, self.bound))
            size = None if size is None else codec.encoded_size(size)
            self.bound = min(int(self.bound * codec.growth) + 1024, MAX_INTEGER) if size is None else size  # headers have less
            self.seconds += chunk.nbytes / (codec.speed * 1e9)
        self._steps = steps[::-1]
        self.encoded_size = size
        memory = isinstance(self.serializer, BytesCodec) and not self.filters and self.serializer.is_memory(chunk)
        self.raw, self._direct = memory and not steps, memory and bool(steps)
        self.warm = self.raw
        self._quick = memory and len(steps) == 1 and self.encoded_size is None and chunk.nbytes > 0

    def decode(self, data: Buffer, scratch: Scratch, out: Array | None = None) -> Array:
        """The chunk in `data`. The result may lie in `data`, in `scratch` (until the next decode), or in `out`.

        `out` is C-contiguous, of the chunk's shape and data type; the last step may decode straight into it.
        Errors: `ChunkDecodeError`, `ChecksumError`, `ShardIndexError`.
        """
        if self._quick:  # one compressor around what memory holds: most chunks in the world
            raw, array = scratch.typed(self, self.chunk.shape, self.chunk.dtype) if out is None else (view(out), out)
            if (found := self.wrappers[0].decode(data, raw.size, raw.size, raw, scratch)) is not raw:
                raw[:] = view(found)
            return array
        if self.encoded_size is not None and len(data) != self.encoded_size:
            raise ChunkDecodeError(f"{len(data):,} bytes where {self.encoded_size:,} are expected")
        direct = view(out) if out is not None and self._direct else None
        for position, codec, size, bound in self._steps:
            into = None if position else direct
            if into is None and size is not None:
                into = scratch.take((self.chunk.depth, position), size)
            data = codec.decode(data, size, bound, into, scratch)
        if out is not None and data is direct:
            return out
        array = self.serializer.decode(data, self.inner, scratch)
        for codec, chunk in reversed(self.stages):
            array = codec.decode(array, chunk)
        return array

    def unpack(self, data: Buffer, raw: Bytes, scratch: Scratch) -> None:
        """Decode `data` into `raw`, which has the bytes of a chunk in memory."""
        array = raw.view(self.chunk.dtype).reshape(self.chunk.shape)
        if (decoded := self.decode(data, scratch, array)) is not array:
            array[...] = decoded

    def unpack_many(self, part: Bytes, starts: Sequence[int], sizes: Sequence[int | None], out: Bytes, scratch: Scratch) -> bool:
        """Decode the chunks that begin at `starts` in a part of `scratch` into the rows of `out`, by one call. False: it cannot be done."""
        present, memory = [size for size in sizes if size is not None], scratch.around(part)
        if not self._quick or memory is None or not len(present) == len(sizes) > 0:
            return False
        return self.wrappers[0].decode_many(memory, [ROOM + start for start in starts], present, out, scratch)

    def encode(self, array: Array) -> Buffer:
        """`array`, of the chunk's shape, as the bytes to store."""
        for codec, chunk in self.stages:
            array = codec.encode(array, chunk)
        data = self.serializer.encode(array, self.inner)
        for codec in self.wrappers:
            data = codec.encode(data)
        return data
