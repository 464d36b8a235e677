"""What does the work of a package that is not installed, and the lines that install one. Asked only when an import has failed.

In the browser, no package of PyPI has an encoder of Blosc 1, lz4 or crc32c. libblosc2 has the first two; JavaScript is quick at the third.
Bytes are shuffled, as in NetCDF files, by NumPy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from ctypes import CDLL, c_char_p, c_int, c_size_t, c_void_p
from importlib import import_module
from importlib.resources import files
from typing import Any

import numpy as np

from azarr.codecs.blosc import BITSHUFFLED, STORED, WHOLE_BLOCKS, splits
from azarr.codecs.native import decoder, library
from azarr.errors import MissingPackage
from azarr.scratch import Bytes, Scratch, view

BROWSER = sys.platform == "emscripten"
MICROPIP, BLOSC2 = 'import micropip; await micropip.install("{}")', 'import micropip; await micropip.install("blosc2", deps=False)'
"""Of blosc2 only its shared library is used, so its dependencies are not needed."""
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "blosc1_compress": (c_int, [c_int, c_int, c_size_t, c_size_t, c_void_p, c_void_p, c_size_t]),
    "blosc1_set_compressor": (c_int, [c_char_p]),
    "blosc1_set_blocksize": (None, [c_size_t]),
    "blosc1_set_splitmode": (None, [c_int]),
    "LZ4_decompress_safe": (c_int, [c_void_p, c_void_p, c_int, c_int]),
    "LZ4_compress_fast": (c_int, [c_void_p, c_void_p, c_int, c_int, c_int]),
    "LZ4_compressBound": (c_int, [c_int]),
}
BYTES, BITS = 1, 2
"""How elements are shuffled."""
NEVER_SPLIT, SPLIT_AS_BLOSC_1 = 2, 4
"""Into one stream per byte of an element; the second is libblosc2's default."""
OVERHEAD = 32
"""Bytes by which a chunk of Blosc may be longer than what is in it."""


_made: dict[str, Any] = {}


def stand_in(module: str) -> Any:
    """What is used in place of `module`, or None."""
    if module not in _made and BROWSER and module in STAND_INS and (found := _make(STAND_INS[module])) is not None:
        _made[module] = found
    return _made.get(module)


def _make(make: Callable[..., Any]) -> Any:
    return make() if make in (Checksums, Registry) else None if (found := _library()) is None else make(found)


def _library() -> CDLL | None:
    """libblosc2, if it is there."""
    library.cache_clear()  # it may have been installed meanwhile
    if (found := library()) is None:
        return None
    for name, (result, arguments) in SIGNATURES.items():
        getattr(found, name).restype, getattr(found, name).argtypes = result, arguments
    return found


def install_line(codec: str, package: str, line: str) -> str:
    """How to install `package`, which is `line` where there is pip."""
    if not BROWSER:
        return line
    return BLOSC2 if codec.removeprefix("v2:").removeprefix("numcodecs.") in ("blosc", "lz4") else MICROPIP.format(package)


class Checksums:
    """What azarr needs of google_crc32c: the checksum of RFC 3720, computed where the bytes are, in the memory of Python."""

    def __init__(self) -> None:
        heap = import_module("pyodide_js")._module  # it has no other name
        self._sum: Any = import_module("pyodide.code").run_js(files("azarr.integrations").joinpath("crc32c.js").read_text("utf-8"))(heap)

    def value(self, data: Any) -> int:
        raw = view(data)
        return int(self._sum(raw.ctypes.data, raw.size))


class Blosc:
    """What azarr needs of numcodecs.blosc: chunks that Blosc 1 reads, made by libblosc2."""

    def __init__(self, found: CDLL) -> None:
        self._library = found
        os.environ["BLOSC_BLOSC1_COMPAT"] = "1"  # libblosc2 leaves out what only Blosc 2 knows; it has no other switch

    def compress(self, elements: Any, cname: bytes, clevel: int, shuffle: int, blocksize: int) -> Bytes:
        """`elements` as one chunk."""
        size, typesize = elements.nbytes, elements.dtype.itemsize
        if blocksize > typesize:  # of blocks that end inside of an element, libblosc2 makes what nothing can decode
            blocksize -= blocksize % typesize
        out = self._compressed(elements, cname, clevel, shuffle, blocksize, SPLIT_AS_BLOSC_1)
        block = int.from_bytes(out[8:12].tobytes(), "little")
        if shuffle == BITS and (size % (8 * typesize) or (block < size and block % (8 * typesize))):
            # Blosc 1 leaves blocks of other than whole groups of eight elements as they are, which its successor does not.
            return self.compress(elements, cname, clevel, BYTES, blocksize)
        if not out[2] & (STORED | WHOLE_BLOCKS) and not splits(typesize, block):
            return self._compressed(elements, cname, clevel, shuffle, blocksize, NEVER_SPLIT)
        return out

    def _compressed(self, elements: Any, cname: bytes, clevel: int, shuffle: int, blocksize: int, split: int) -> Bytes:
        raw, calls = view(elements), self._library
        out = np.empty(raw.size + OVERHEAD, np.uint8)
        calls.blosc1_set_compressor(cname)
        calls.blosc1_set_blocksize(blocksize)
        calls.blosc1_set_splitmode(split)
        size = calls.blosc1_compress(clevel, shuffle, elements.dtype.itemsize, raw.size, raw.ctypes.data, out.ctypes.data, out.size)
        if size <= 0:
            raise RuntimeError(f"blosc could not encode {raw.size:,} bytes (code {size})")
        out[0] = 2  # the format that it is, and not that of the library
        return out[:size]

    def decompress(self, raw: Bytes, into: Bytes) -> None:
        """`raw`, whose header is validated, into `into`: where libblosc2 came after the first look for it, or cannot do it."""
        typesize, blocksize = int(raw[3]), int.from_bytes(raw[8:12].tobytes(), "little")
        if raw[2] & BITSHUFFLED and (into.size % typesize or blocksize % typesize):
            raise RuntimeError("libblosc2 cannot decode bits that are shuffled in blocks without whole elements; numcodecs can")
        native = decoder("blosc", Scratch())
        if native is None or native(raw, into) != into.size:
            raise RuntimeError("libblosc2 does not decode them")


class Registry:
    """What azarr needs of numcodecs.registry: shuffle, lz4, and nothing else."""

    _library: CDLL | None = None

    def get_codec(self, configuration: Mapping[str, Any]) -> Any:
        """The codec that is meant, if it is known and what it needs is installed."""
        if (name := configuration["id"]) == "shuffle":
            return Shuffle(int(configuration.get("elementsize", 4)))
        if self._library is None and name == "lz4":
            self._library = _library()
        if self._library is None or name != "lz4":
            raise MissingPackage(f"the codec {name!r}", "numcodecs", install_line(name, "numcodecs", ""))
        return LZ4(self._library, int(configuration.get("acceleration", 1)))


class Shuffle:
    """The codec `shuffle` of numcodecs, and of HDF5: the first bytes of all elements, then the second ones, and so on."""

    def __init__(self, elementsize: int) -> None:
        if elementsize < 1:
            raise ValueError(f"elements have at least one byte, not {elementsize}")
        self._size = elementsize

    def decode(self, data: Any) -> Bytes:
        """The elements in `data`. Another number of bytes than that of whole elements raises."""
        return view(data).reshape(self._size, -1).T.reshape(-1)

    def encode(self, data: Any) -> Bytes:
        """The elements of `data`, shuffled."""
        return view(data).reshape(-1, self._size).T.reshape(-1)


class LZ4:
    """The codec `lz4` of numcodecs: four bytes of size, little-endian, then one block."""

    def __init__(self, found: CDLL, acceleration: int) -> None:
        self._library, self._acceleration = found, acceleration

    def decode(self, data: Any) -> Bytes:
        """What is in `data`. A size that is not true raises."""
        raw = view(data)
        size = int.from_bytes(raw[:4].tobytes(), "little") if raw.size > 4 else -1
        if not 0 <= size < 1 << 31:
            raise RuntimeError("lz4 data begin with no size")
        out = np.empty(size, np.uint8)
        if (got := self._library.LZ4_decompress_safe(raw[4:].ctypes.data, out.ctypes.data, raw.size - 4, size)) != size:
            raise RuntimeError(f"lz4 data do not decode to the {size:,} bytes that they state (code {got})")
        return out

    def encode(self, data: Any) -> Bytes:
        """`data` as one block."""
        raw = view(data)
        out = np.empty(4 + self._library.LZ4_compressBound(raw.size), np.uint8)
        out[:4] = np.frombuffer(raw.size.to_bytes(4, "little"), np.uint8)
        into, room = out[4:], out.size - 4
        return out[: 4 + self._library.LZ4_compress_fast(raw.ctypes.data, into.ctypes.data, raw.size, room, self._acceleration)]


STAND_INS: dict[str, Callable[..., Any]] = {"google_crc32c": Checksums, "numcodecs.blosc": Blosc, "numcodecs.registry": Registry}
