"""Blosc 1 chunks with Snappy inside, which neither libblosc2 nor numcodecs decodes: blocks here, Snappy itself by cramjam."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from azarr.codecs.registry import load
from azarr.errors import ChunkDecodeError
from azarr.scratch import Bytes, view

__all__ = ["decode"]

SHUFFLED, BITSHUFFLED, WHOLE_BLOCKS = 0x1, 0x4, 0x10
"""Flags of the header; the last says that blocks are not split into one stream per byte of an element."""
MOST_SPLITS, LEAST_SPLIT = 16, 128
HEADER, I32 = 16, struct.Struct("<i")


def decode(raw: Bytes, out: Bytes) -> None:
    """Decode `raw`, whose header and block table were validated, into `out`, which has the decoded size."""
    snappy = load("cramjam", "blosc with snappy", "pip install cramjam").snappy
    flags, typesize = int(raw[2]), int(raw[3])
    blocksize = struct.unpack_from("<I", raw, 8)[0]
    count = -(-out.size // blocksize)
    for number, start in enumerate(struct.unpack_from(f"<{count}I", raw, HEADER)):
        block = out[number * blocksize : (number + 1) * blocksize]
        split = not flags & WHOLE_BLOCKS and typesize <= MOST_SPLITS and blocksize // typesize >= LEAST_SPLIT and block.size == blocksize
        block[:] = _unshuffled(_block(raw, start, block.size, typesize if split else 1, snappy), flags, typesize)


def _block(raw: Bytes, position: int, size: int, streams: int, snappy: Any) -> Bytes:
    """The streams of one block: each a length and its bytes, which are as they are where Snappy did not make them shorter."""
    parts: list[Bytes] = []
    for _ in range(streams):
        length = I32.unpack_from(raw, position)[0] if position + 4 <= raw.size else -1
        data = raw[position + 4 : position + 4 + max(length, 0)]
        if length < 0 or data.size != length:
            raise ChunkDecodeError("a blosc block reaches outside the chunk")
        if length != size // streams:
            try:
                data = np.frombuffer(snappy.decompress_raw(data.tobytes(), output_len=size // streams), np.uint8)
            except Exception as error:  # cramjam.DecompressionError, which is not there to name before it is imported
                raise ChunkDecodeError(f"not valid snappy data ({error})") from error
        parts.append(data)
        position += 4 + length
    found = np.concatenate(parts)
    if found.size != size:
        raise ChunkDecodeError(f"a blosc block gave {found.size:,} bytes where {size:,} are expected")
    return found


def _unshuffled(block: Bytes, flags: int, typesize: int) -> Bytes:
    """Shuffle stores first bytes, then second bytes, ...; bitshuffle the same with bits, unless elements do not come in eights."""
    elements = block.size // typesize
    head, tail = block[: elements * typesize], block[elements * typesize :]
    if flags & SHUFFLED and typesize > 1:
        head = head.reshape(typesize, -1).T
    elif flags & BITSHUFFLED and elements % 8 == 0:
        bits = np.unpackbits(head.reshape(8 * typesize, -1), axis=1, bitorder="little")
        head = np.packbits(bits.T, axis=1, bitorder="little")
    return np.concatenate([view(np.ascontiguousarray(head)), tail])
