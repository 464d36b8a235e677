"""libblosc2 by ctypes: Blosc chunks and Zstandard frames decoded into a given buffer. Used when the package blosc2 is installed.

Only the shared library of that package is loaded; its Python code never is. A call releases the GIL, allocates nothing, and is
told the size of its source. On chunks of 32 KiB it takes half the time of the packages that azarr falls back to.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azarr.scratch import Bytes, Scratch

__all__ = ["blosc_decoder", "zstd_decoder"]

Decoder = Callable[[Bytes, Bytes], int]
"""Decodes its first argument into its second; the number of bytes, or a negative number for data that do not decode."""

ZSTD_ERRORS = 1 << 40
"""ZSTD_decompressDCtx gives a size, or an error code counted down from 2**64."""


class _Parameters(ctypes.Structure):
    """`blosc2_dparams` of blosc2.h, which is passed by value."""

    _fields_ = (
        ("nthreads", ctypes.c_int16),
        ("schunk", ctypes.c_void_p),
        ("postfilter", ctypes.c_void_p),
        ("postparams", ctypes.c_void_p),
        ("typesize", ctypes.c_int32),
    )


class _Context:
    """A native context, freed with the worker that owns it. One thread at a time may use it."""

    __slots__ = ("free", "pointer")

    def __init__(self, pointer: int, free: Callable[[int], Any]) -> None:
        self.pointer, self.free = pointer, free

    def __del__(self) -> None:
        self.free(self.pointer)


@functools.cache
def library() -> ctypes.CDLL | None:
    """libblosc2, or None where it is not installed."""
    spec = importlib.util.find_spec("blosc2")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted((Path(folder) / "lib").glob("libblosc2.*")):
            if path.suffix in (".so", ".dylib", ".dll"):
                return _typed(ctypes.CDLL(str(path)))
    return None


def _typed(lib: ctypes.CDLL) -> ctypes.CDLL:
    pointer, size = ctypes.c_void_p, ctypes.c_int32
    lib.blosc2_create_dctx.restype, lib.blosc2_create_dctx.argtypes = pointer, [_Parameters]
    lib.blosc2_free_ctx.restype, lib.blosc2_free_ctx.argtypes = None, [pointer]
    lib.blosc2_decompress_ctx.restype, lib.blosc2_decompress_ctx.argtypes = ctypes.c_int, [pointer, pointer, size, pointer, size]
    if hasattr(lib, "ZSTD_decompressDCtx"):
        lib.ZSTD_createDCtx.restype, lib.ZSTD_createDCtx.argtypes = pointer, []
        lib.ZSTD_freeDCtx.restype, lib.ZSTD_freeDCtx.argtypes = ctypes.c_size_t, [pointer]
        length = ctypes.c_size_t
        lib.ZSTD_decompressDCtx.restype = length
        lib.ZSTD_decompressDCtx.argtypes = [pointer, pointer, length, pointer, length]
    lib.blosc2_init()
    return lib


def blosc_decoder(scratch: Scratch) -> Decoder | None:
    """The Blosc decoder of this worker. The caller has validated the header."""
    found = scratch.state.get("blosc", False)
    if found is False:
        found = scratch.state["blosc"] = _make_blosc(library())
    return found


def zstd_decoder(scratch: Scratch) -> Decoder | None:
    """The Zstandard decoder of this worker."""
    found = scratch.state.get("zstd", False)
    if found is False:
        found = scratch.state["zstd"] = _make_zstd(library())
    return found


def _make_blosc(lib: ctypes.CDLL | None) -> Decoder | None:
    if lib is None:
        return None
    context = _Context(lib.blosc2_create_dctx(_Parameters(1, None, None, None, 8)), lib.blosc2_free_ctx)
    call = lib.blosc2_decompress_ctx

    def decode(data: Bytes, out: Bytes) -> int:
        return call(context.pointer, address(data), data.size, address(out), out.size)

    return decode


def _make_zstd(lib: ctypes.CDLL | None) -> Decoder | None:
    if lib is None or not hasattr(lib, "ZSTD_decompressDCtx"):
        return None
    context = _Context(lib.ZSTD_createDCtx(), lib.ZSTD_freeDCtx)
    call = lib.ZSTD_decompressDCtx

    def decode(data: Bytes, out: Bytes) -> int:
        size = call(context.pointer, address(out), out.size, address(data), data.size)
        return size if size < ZSTD_ERRORS else -1

    return decode


def address(data: Bytes) -> int:
    return data.__array_interface__["data"][0]
