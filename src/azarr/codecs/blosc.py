"""`blosc`: chunks of Blosc 1, by libblosc2's decoder where it is installed, else by numcodecs.

The header and the table of blocks are validated here, before a native decoder sees them: decoders were seen to read past the end
of a truncated chunk.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from azarr.codecs import snappy
from azarr.codecs.base import integer, one_of, only
from azarr.codecs.native import blosc_decoder
from azarr.codecs.registry import load
from azarr.errors import ChunkDecodeError
from azarr.scratch import Buffer, Bytes, Scratch, view

__all__ = ["Blosc"]

HEADER = struct.Struct("<4B3I")
"""Format version, version of the inner codec, flags, element size; decoded size, block size, compressed size."""
STORED, BITSHUFFLED, VERSIONS, SNAPPY = 0x2, 0x4, (1, 2), 2
"""Two flags, the known formats, and the number in the flags of the one inner codec that no installed library decodes."""
NAMES = ("blosclz", "lz4", "lz4hc", "zlib", "zstd", "snappy")
SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}


class Blosc:
    """v3 names the shuffle and the element size; numcodecs has numbers, where -1 chooses by the element size."""

    kind: Literal["bytes-bytes"] = "bytes-bytes"
    __slots__ = ("blocksize", "clevel", "cname", "shuffle", "typesize")

    def __init__(self, cname: str, clevel: int, shuffle: int, typesize: int, blocksize: int) -> None:
        self.cname, self.clevel, self.shuffle, self.typesize, self.blocksize = cname, clevel, shuffle, typesize, blocksize

    @classmethod
    def from_configuration(cls, name: str, configuration: Mapping[str, Any]) -> Blosc:
        only(configuration, ("cname", "clevel", "shuffle", "typesize", "blocksize"), name)
        cname = one_of(configuration, "cname", name, NAMES, "lz4")
        shuffle = one_of(configuration, "shuffle", name, (*SHUFFLES, -1, 0, 1, 2), 1 if name.startswith("numcodecs") else "noshuffle")
        typesize = integer(configuration, "typesize", name, least=0, most=(1 << 31) - 1, default=1) or 1
        number = SHUFFLES[shuffle] if isinstance(shuffle, str) else shuffle if shuffle >= 0 else (2 if typesize == 1 else 1)
        clevel = integer(configuration, "clevel", name, least=0, most=9, default=5)
        return cls(cname, clevel, number, typesize, integer(configuration, "blocksize", name, least=0, most=(1 << 31) - 1, default=0))

    def encoded_size(self, size: int) -> int | None:
        return None

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        raw = view(data)
        nbytes = validated(raw, size, bound)
        into = out if out is not None and out.size == nbytes else np.empty(nbytes, np.uint8)
        if not nbytes:
            return into
        if not raw[2] & STORED and raw[2] >> 5 == SNAPPY:
            snappy.decode(raw, into)
            return into
        # libblosc2 leaves the last bytes of such a chunk undefined, and says nothing.
        trailing = raw[2] & BITSHUFFLED and nbytes % int(raw[3])
        native = None if trailing else blosc_decoder(scratch)
        if native is not None:
            found = native(raw, into)
            if found != nbytes:
                raise ChunkDecodeError(f"blosc data are damaged (code {found})")
            return into
        module = load("numcodecs.blosc", "blosc", 'pip install "azarr[fast]" or pip install numcodecs')
        try:
            module.decompress(raw, into)
        except (RuntimeError, ValueError) as error:
            raise ChunkDecodeError(f"blosc data are damaged ({error})") from error
        return into

    def encode(self, data: Buffer) -> Buffer:
        module = load("numcodecs.blosc", "blosc", "pip install numcodecs")
        raw = view(data)
        elements = raw.view(f"V{self.typesize}") if raw.size % self.typesize == 0 else raw
        return module.compress(elements, self.cname.encode(), self.clevel, self.shuffle, self.blocksize)


def validated(raw: Bytes, size: int | None, bound: int) -> int:
    """The decoded size that the header states, once header and block table are seen to fit the bytes at hand."""
    if raw.size < HEADER.size:
        raise ChunkDecodeError(f"{raw.size} bytes are too few for a blosc header")
    version, _, flags, typesize, nbytes, blocksize, cbytes = HEADER.unpack_from(raw)
    if version not in VERSIONS or not typesize:
        raise ChunkDecodeError(f"not a chunk of Blosc 1 (format {version}, element size {typesize})")
    if cbytes != raw.size:
        raise ChunkDecodeError(f"blosc states {cbytes:,} compressed bytes, but {raw.size:,} are here")
    if nbytes != size if size is not None else nbytes > bound:
        raise ChunkDecodeError(f"blosc states {nbytes:,} bytes where {bound if size is None else size:,} are expected")
    if flags & STORED or not nbytes:
        if cbytes != HEADER.size + nbytes:
            raise ChunkDecodeError(f"blosc stores {cbytes - HEADER.size:,} bytes, but states {nbytes:,}")
        return nbytes
    if not 0 < blocksize <= nbytes:
        raise ChunkDecodeError(f"blosc states blocks of {blocksize:,} bytes in {nbytes:,}")
    blocks = -(-nbytes // blocksize)
    least = HEADER.size + 4 * blocks
    if cbytes < least:
        raise ChunkDecodeError(f"{cbytes:,} bytes are too few for a table of {blocks:,} blosc blocks")
    starts = struct.unpack_from(f"<{blocks}I", raw, HEADER.size)
    if min(starts) < least or max(starts) > cbytes - 4:
        raise ChunkDecodeError("the table of blosc blocks points outside the chunk")
    return nbytes
