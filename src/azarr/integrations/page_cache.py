"""Reading files as far as they are in memory, by calls of Linux that never wait for a disk: `OSError` is raised instead.

That a file is not there is an answer too, where the kernel remembers it. File systems in memory, and those of networks, answer nothing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from azarr.integrations.beneath import call_openat2, how, openat2
from azarr.scratch import Buffer, Bytes, Scratch
from azarr.stores.base import WouldWait, check_key
from azarr.stores.local import FolderReader, LocalStore

MOST_AT_ONCE = 256 << 10
"""Bytes that the event loop copies from the page cache at a time."""
HOW = how(os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0), cached=True)
NOWAIT: int = getattr(os, "RWF_NOWAIT", 0) if hasattr(os, "preadv") else 0
"""0 where there is no such thing: whoever asks `is_quick` before does not read there."""


def open_cached(path: bytes) -> int | None:
    """A descriptor to read from; None if there is no such file."""
    if (file := call_openat2(openat2(cached=True), path, HOW)) >= 0:
        return file
    if file == -errno.ENOENT:
        return None
    raise OSError(-file, os.strerror(-file))


def read_cached(file: int, start: int, *buffers: Any) -> int:
    """Bytes read, which may be fewer than there are."""
    return os.preadv(file, buffers, start, NOWAIT)


def is_quick(file: int) -> bool:
    """Whether the file system of `file`, which is open and not empty, can be read so. This very question may wait."""
    try:
        return bool(NOWAIT) and read_cached(file, 0, bytearray(1)) > 0
    except OSError as error:
        return error.errno == errno.EAGAIN


class AtOnce(FolderReader):
    """The same for the event loop, by calls that are answered from memory or refused. What is missing, is; all else is left to a worker."""

    def whole(self, key: str, scratch: Scratch) -> Buffer | None:
        return self._whole(key, partial(scratch.take, "part"))

    def into(self, key: str, out: Bytes) -> int | None:
        data = self._whole(key, lambda size: out[:size])
        return None if data is None else data.size

    def _whole(self, key: str, memory: Callable[[int], Bytes]) -> Bytes | None:
        if (file := self._open(key)) is None:
            return None
        try:
            buffer = memory(size := os.fstat(file).st_size)
            if not size or buffer.size < size:  # perhaps it is no file at all
                raise WouldWait
            return buffer[: self._fill(file, 0, buffer)]
        except OSError as error:
            raise WouldWait from error
        finally:
            os.close(file)

    def _open(self, key: str) -> int | None:
        try:
            return open_cached(os.fsencode(self._store.open.prefix + check_key(key)))
        except OSError as error:
            raise WouldWait from error

    def _read(self, file: int, start: int, *buffers: Bytes) -> int:
        return read_cached(file, start, *buffers)

    def _fill(self, file: int, start: int, buffer: Bytes) -> int:
        if buffer.size > MOST_AT_ONCE or self._read(file, start, buffer) < buffer.size:
            raise WouldWait
        return buffer.size

    def _error(self, error: OSError, key: str) -> Exception:
        return WouldWait()


def reader_of(store: LocalStore, file: int) -> AtOnce | Literal[False]:
    """How the event loop may read `store`, of which `file` is one. False: not at all."""
    return is_quick(file) and AtOnce(store)
