"""`blosc`: chunks of Blosc 1, by libblosc2's decoder where it is installed, else by numcodecs.

The header and the table of blocks are validated here, before a native decoder sees them: decoders were seen to read past the end
of a truncated chunk.
"""

import struct
from collections.abc import Sequence
from importlib import import_module

import numpy as np

from azarr.codecs.base import BytesBytes, Configuration, settings
from azarr.codecs.native import decoder
from azarr.codecs.registry import load
from azarr.errors import ChunkDecodeError, UnknownCodec
from azarr.scratch import Buffer, Bytes, Scratch, view

HEADER, INTEGERS = struct.Struct("<4B3I"), np.dtype("<u4")
"""The header has format version, version of the inner codec, flags, element size; decoded size, block size, compressed size."""
SHUFFLED, STORED, BITSHUFFLED, WHOLE_BLOCKS, SNAPPY = 0x1, 0x2, 0x4, 0x10, 2
"""Flags (the fourth: blocks are not split into one stream per byte of an element), and one of the inner codecs."""
NAMES = ("blosclz", "lz4", "lz4hc", "zlib", "zstd", "snappy")
SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
SIZES = range(1 << 31)


class Blosc(BytesBytes):
    """v3 names the shuffle and the element size; numcodecs has numbers, where -1 chooses by the element size."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        known = {"cname": (NAMES, "lz4"), "clevel": (range(10), 5), "typesize": (SIZES, 1), "blocksize": (SIZES, 0)}
        shuffles = ((*SHUFFLES, -1, 0, 1, 2), 1 if name.startswith("numcodecs") else "noshuffle")
        self.cname, self.clevel, typesize, self.blocksize, shuffle = settings(name, configuration, **known, shuffle=shuffles)
        self.typesize = typesize or 1
        self.shuffle = (2 if self.typesize == 1 else 1) if shuffle == -1 else SHUFFLES.get(shuffle, shuffle)
        self.speed = 0.9 if self.cname in ("zlib", "zstd") else 3.0

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        raw = view(data)
        nbytes, flags, whole, short = validated(raw, size, bound)
        into = np.empty(nbytes, np.uint8) if out is None else out
        if not nbytes:
            return into
        if not flags & STORED and flags >> 5 == SNAPPY:
            raw = import_module("azarr.integrations.snappy").unsnapped(raw)
        elif short:
            raw = raw.copy()
            raw[2] |= WHOLE_BLOCKS  # libblosc2 goes by the flag alone
        # libblosc2 leaves the last bytes of a bitshuffled block undefined, and says nothing, where they are no whole element.
        native = decoder("blosc", scratch) if whole or not flags & BITSHUFFLED else None
        if native is not None:
            if (found := native(raw, into)) != nbytes:
                del scratch.state["blosc"]  # what damaged data did to its state is not known
                raise ChunkDecodeError(f"blosc data are damaged (code {found})")
            return into
        module = load("numcodecs.blosc", "blosc", 'pip install "azarr[fast]" or pip install numcodecs')
        try:
            module.decompress(raw, into)
        except (RuntimeError, ValueError) as error:
            raise ChunkDecodeError(f"blosc data are damaged ({error})") from error
        return into

    def decode_many(self, memory: Bytes, starts: Sequence[int], sizes: Sequence[int], out: Bytes, scratch: Scratch) -> bool:
        """As one chunk of all their blocks: it has a header and a table of its own, right before the first of them."""
        begins, ends, nbytes, alike = np.array(starts)[:, None], np.array(sizes), out.shape[1], HEADER.size - 4
        if ends.min() < HEADER.size or (begins[:, 0] + ends).max() > memory.size:
            return False
        heads = memory[begins + np.arange(alike)]
        try:
            _, flags, whole, short = validated(memory[starts[0] : starts[0] + sizes[0]], nbytes, nbytes)
        except ChunkDecodeError:
            return False  # to be met again one by one, with its key
        block, first = int(heads[0].view(INTEGERS)[2]), min(starts)
        least, before = HEADER.size + 4 * (nbytes // block), HEADER.size + 4 * (nbytes // block) * len(sizes)
        odd = flags & STORED or flags >> 5 == SNAPPY or short or not whole or nbytes % block or before > first or ends.min() < least
        if odd or np.any(heads != heads[0]) or (native := decoder("blosc", scratch)) is None:
            return False
        stated, behind = memory[begins + np.arange(alike, least)].view(INTEGERS), begins + ends[:, None]
        at, right = begins + stated[:, 1:], np.all(stated[:, 0] == ends) and np.all(stated[:, 1:] >= least)
        for _ in range(1 if flags & WHOLE_BLOCKS else heads[0, 3]):  # streams of a block: alone, what follows the chunk is out of reach
            if not right or np.any(at > behind - 4):
                return False
            at = at + 4 + memory[at[..., None] + np.arange(4)].view(INTEGERS)[..., 0]
        if np.any(at > behind):
            return False
        joined = memory[first - before : behind.max()]
        HEADER.pack_into(joined.data, 0, *heads[0, :4].tolist(), nbytes * len(sizes), block, joined.size)
        joined[HEADER.size : before].view(INTEGERS)[:] = (stated[:, 1:] + (begins - first + before)).reshape(-1)
        if native(joined, out.reshape(-1)) == out.size:
            return True
        del scratch.state["blosc"]  # what damaged data did to its state is not known
        return False

    def encode(self, data: Buffer) -> Buffer:
        if self.cname == "snappy":
            raise UnknownCodec("no package writes Snappy inside Blosc: 'snappy' is read only", field="codecs.blosc.cname", value=self.cname)
        module = load("numcodecs.blosc", "blosc", "pip install numcodecs")
        raw = view(data)
        elements = raw.view(f"V{self.typesize}") if raw.size % self.typesize == 0 else raw
        return module.compress(elements, self.cname.encode(), self.clevel, self.shuffle, self.blocksize)


def validated(raw: Bytes, size: int | None, bound: int) -> tuple[int, int, bool, bool]:
    """Decoded size and flags, whether blocks hold whole elements, and whether they are too short to be split, which no flag tells.

    Header and block table are seen to fit the bytes at hand.
    """
    if raw.size < HEADER.size:
        raise ChunkDecodeError(f"{raw.size} bytes are too few for a blosc header")
    version, _, flags, typesize, nbytes, blocksize, cbytes = HEADER.unpack_from(raw.data)
    if version not in (1, 2) or not typesize or (flags & SHUFFLED and flags & BITSHUFFLED):  # both: a header of Blosc 2 goes on
        raise ChunkDecodeError(f"not a chunk of Blosc 1 (format {version}, flags {flags:#x}, element size {typesize})")
    if cbytes != raw.size:
        raise ChunkDecodeError(f"blosc states {cbytes:,} compressed bytes, but {raw.size:,} are here")
    if nbytes != size if size is not None else nbytes > bound:
        raise ChunkDecodeError(f"blosc states {nbytes:,} bytes where {bound if size is None else size:,} are expected")
    if flags & STORED or not nbytes:
        if cbytes != HEADER.size + nbytes:
            raise ChunkDecodeError(f"blosc stores {cbytes - HEADER.size:,} bytes, but states {nbytes:,}")
        return nbytes, flags, True, False
    if not 0 < blocksize <= nbytes:
        raise ChunkDecodeError(f"blosc states blocks of {blocksize:,} bytes in {nbytes:,}")
    blocks = -(-nbytes // blocksize)
    least = HEADER.size + 4 * blocks
    starts = struct.unpack_from(f"<{blocks}I", raw.data, HEADER.size) if cbytes >= least else (0,)
    if min(starts) < least or max(starts) > cbytes - 4:
        raise ChunkDecodeError(f"the table of {blocks:,} blosc blocks points outside the chunk of {cbytes:,} bytes")
    short = not flags & WHOLE_BLOCKS and not splits(typesize, blocksize)
    return nbytes, flags, not (nbytes % typesize or blocksize % typesize), short


def splits(typesize: int, blocksize: int) -> bool:
    """Whether blocks are split into one stream per byte of an element, where no flag says that they are whole."""
    return typesize <= 16 and blocksize // typesize >= 128
