"""Chunks of Blosc with Snappy inside, which no decoder of Blosc that can be installed knows; cramjam decodes the streams."""

import struct

from azarr.codecs.base import check_size
from azarr.codecs.blosc import HEADER, WHOLE_BLOCKS, splits
from azarr.codecs.registry import load
from azarr.errors import ChunkDecodeError
from azarr.scratch import Bytes, view

U32, LZ4 = struct.Struct("<I"), 1


def unsnapped(raw: Bytes) -> Bytes:
    """A chunk with Snappy inside, which no installed decoder knows, as the chunk of lz4 whose streams lz4 could not make shorter."""
    snappy = load("cramjam", "blosc with snappy", "pip install cramjam").snappy
    version, inner, flags, typesize, nbytes, blocksize, _ = HEADER.unpack_from(raw.data)
    starts = struct.unpack_from(f"<{-(-nbytes // blocksize)}I", raw.data, HEADER.size)
    table, parts, total = list[int](), list[bytes](), HEADER.size + U32.size * len(starts)
    split = not flags & WHOLE_BLOCKS and splits(typesize, blocksize)
    for first, start in zip(range(0, nbytes, blocksize), starts, strict=True):
        length, position = min(blocksize, nbytes - first), start
        streams = typesize if split and length == blocksize else 1
        size = length // streams
        table.append(total)
        for _ in range(streams):
            stored = U32.unpack_from(raw.data, position)[0] if position + U32.size <= raw.size else raw.size
            position += U32.size + stored
            if position > raw.size:
                raise ChunkDecodeError("a blosc block reaches outside the chunk")
            data = raw[position - stored : position].tobytes()
            try:  # what Snappy did not make shorter is stored as it is
                parts += (U32.pack(size), data if stored == size else bytes(snappy.decompress_raw(data, output_len=size)))
            except Exception as error:  # cramjam.DecompressionError, which is not there to name before it is imported
                raise ChunkDecodeError(f"not valid snappy data ({error})") from error
            check_size(len(parts[-1]), size, "a blosc stream")
            total += U32.size + size
    flags = flags & 0xF | LZ4 << 5 | (0 if split else WHOLE_BLOCKS)
    header = HEADER.pack(version, inner, flags, typesize, nbytes, blocksize, total)
    return view(b"".join([header, struct.pack(f"<{len(table)}I", *table), *parts]))
