"""Reading files as far as they are in memory, by calls of Linux that never wait for a disk: `OSError` is raised instead.

That a file is not there is an answer too, where the kernel remembers it. File systems in memory, and those of networks, answer nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

OPENAT2, AT_FDCWD, RESOLVE_CACHED = 437, -100, 0x20
HOW = struct.pack("=QQQ", os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0), 0, RESOLVE_CACHED)
NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)
"""0 where there is no such thing: whoever asks `is_quick` before does not read there."""


@cache
def _openat2() -> Callable[..., int]:
    call = ctypes.PyDLL(None, use_errno=True).syscall  # keeps the GIL, as it does not wait
    call.restype, call.argtypes = ctypes.c_long, (ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
    return call


def open_cached(path: bytes) -> int | None:
    """A descriptor to read from; None if there is no such file."""
    if (file := _openat2()(OPENAT2, AT_FDCWD, path, HOW, len(HOW))) >= 0:
        return file
    if (code := ctypes.get_errno()) == errno.ENOENT:
        return None
    raise OSError(code, os.strerror(code))


def read_cached(file: int, start: int, *buffers: Any) -> int:
    """Bytes read, which may be fewer than there are."""
    return os.preadv(file, buffers, start, NOWAIT)


def is_quick(file: int) -> bool:
    """Whether the file system of `file`, which is open and not empty, can be read so. This very question may wait."""
    try:
        return bool(NOWAIT) and read_cached(file, 0, bytearray(1)) > 0
    except OSError as error:
        return error.errno == errno.EAGAIN
