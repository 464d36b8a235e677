"""libblosc2 by ctypes: Blosc chunks and Zstandard frames decoded into a given buffer. Used when the package blosc2 is installed.

Only the shared library of that package is loaded; its Python code never is. A call releases the GIL, allocates nothing, and is
told the size of its source. On chunks of 32 KiB it takes half the time of the packages that azarr falls back to.
"""

import functools
import importlib.util
import weakref
from collections.abc import Callable
from ctypes import CDLL, Structure, addressof, c_char, c_int, c_int16, c_int32, c_size_t, c_ssize_t, c_void_p
from pathlib import Path
from typing import Any

from azarr.scratch import Bytes, Scratch

Decoder = Callable[[Bytes, Bytes], int]
"""Decodes its first argument into its second; the number of bytes, or a negative number for data that do not decode."""


class Parameters(Structure):
    """`blosc2_dparams` of blosc2.h, which is passed by value."""

    _fields_ = (("nthreads", c_int16), ("schunk", c_void_p), ("postfilter", c_void_p), ("postparams", c_void_p), ("typesize", c_int32))


SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "blosc2_create_dctx": (c_void_p, [Parameters]),
    "blosc2_free_ctx": (None, [c_void_p]),
    "blosc2_decompress_ctx": (c_int, [c_void_p, c_void_p, c_int32, c_void_p, c_int32]),
    "ZSTD_createDCtx": (c_void_p, []),
    "ZSTD_freeDCtx": (c_size_t, [c_void_p]),
    "ZSTD_decompressDCtx": (c_ssize_t, [c_void_p, c_void_p, c_size_t, c_void_p, c_size_t]),  # errors count down from 2**64: negative
}


@functools.cache
def library() -> CDLL | None:
    """libblosc2, or None where it is not installed. On some platforms it does not show its functions of Zstandard."""
    spec = importlib.util.find_spec("blosc2")
    folders = (spec and spec.submodule_search_locations) or ()
    files = [path for folder in folders for path in sorted(Path(folder, "lib").glob("libblosc2.*"))]
    path = next((path for path in files if path.suffix in (".so", ".dylib", ".dll")), None)
    if path is None:
        return None
    found = CDLL(str(path))
    for name, (result, arguments) in SIGNATURES.items():
        if hasattr(found, name):
            getattr(found, name).restype, getattr(found, name).argtypes = result, arguments
    found.blosc2_init()
    return found


def decoder(name: str, scratch: Scratch) -> Decoder | None:
    """This worker's decoder for "blosc" (of a header that is validated) or "zstd", None where there is none. For one thread at a time."""
    found = scratch.state.get(name)
    if found is None and (lib := library()) is not None and (name != "zstd" or hasattr(lib, "ZSTD_createDCtx")):
        found = scratch.state[name] = _made(lib, name)
    return found


def _made(lib: CDLL, name: str) -> Decoder:
    if name == "blosc":
        context, free, call = lib.blosc2_create_dctx(Parameters(1, None, None, None, 8)), lib.blosc2_free_ctx, lib.blosc2_decompress_ctx

        def decode(data: Bytes, out: Bytes) -> int:
            return call(context, _address(data), data.size, _address(out), out.size)
    else:
        context, free, call = lib.ZSTD_createDCtx(), lib.ZSTD_freeDCtx, lib.ZSTD_decompressDCtx

        def decode(data: Bytes, out: Bytes) -> int:
            return call(context, _address(out), out.size, _address(data), data.size)

    weakref.finalize(decode, free, context).atexit = False
    return decode


def _address(data: Bytes) -> int:
    try:
        # A third of what `data.ctypes` takes. NumPy's types say that arrays are buffers from Python 3.12 on.
        return addressof(c_char.from_buffer(data))  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):  # read-only, or empty
        return data.ctypes.data
