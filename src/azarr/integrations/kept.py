"""Writing a file that keeps parts of the one it is to replace: the operating system copies them, and they never come to this process.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable

from azarr.scratch import Buffers, Parts
from azarr.stores.staging import version_of, write_all

COPIED = 1 << 20
"""Bytes that are copied at a time where the operating system does not do it."""


def write(file: int, parts: Parts, opened: Callable[[], int], version: str | None) -> bool:
    """Write all of the parts; ranges are of the file that `opened` opens. Not if that is gone, or of another version."""
    with contextlib.ExitStack() as closing:
        try:
            closing.callback(os.close, source := opened())
        except FileNotFoundError:
            return False
        if version_of(os.fstat(source)) != version:
            return False
        buffers: Buffers = []
        for part in parts:
            if not isinstance(part, range):
                buffers.append(part)
                continue
            write_all(file, buffers)
            buffers, left = [], part
            while left:
                left = left[copied(source, file, left) :]
        write_all(file, buffers)
        return True


def copied(source: int, file: int, part: range) -> int:
    """Copy some bytes of `part` of the file `source` to where `file` is written; how many."""
    with contextlib.suppress(AttributeError, OSError):  # not on this system, or not between these files
        if count := os.copy_file_range(source, file, len(part), part.start):
            return count
    if data := os.pread(source, min(len(part), COPIED), part.start):
        return os.write(file, data)
    raise OSError(errno.EIO, "the file is shorter than it was")
