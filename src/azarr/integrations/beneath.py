"""Opening what lies below a folder, and nothing else, whatever symbolic links there are, and whenever they were made.

A path without links is opened by one call that refuses links: `openat2` of Linux, or part by part. Where there are some, the path they lead
to is compared with the folder, and then opened by the same call: who puts a link there between the two is refused.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

from azarr.stores.base import check_key

OPENAT2, AT_FDCWD, NO_SYMLINKS, RESOLVE_CACHED = 437, -100, 0x04, 0x20
FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
LINKED = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
"""How systems say that a part of a path is a link; or, some, that it is a file."""


def open_below(root: str, path: str, flags: int) -> int:
    """A descriptor of `path` below the folder `root`, or of that; with O_NOFOLLOW, no link is followed.

    Errors: `OSError`, of which EXDEV says that a link leads out.
    """
    if path:
        check_key(path)
    try:
        return open_unlinked(root, path, flags)
    except OSError as error:
        if error.errno not in LINKED or flags & NOFOLLOW:
            raise
    real_root, real = os.path.realpath(root), os.path.realpath(os.path.join(root, path))
    if real != real_root and not real.startswith(os.path.join(real_root, "")):
        raise OSError(errno.EXDEV, "a symbolic link leads out of the folder, which only follow_symlinks='anywhere' allows")
    return open_unlinked(real_root, os.path.relpath(real, real_root) if real != real_root else "", flags)


class Opener:
    """Opens paths below the folder `root`, with the flags of `os.open`. `follow_symlinks` is "inside" or "anywhere"."""

    def __init__(self, root: str, follow_symlinks: str) -> None:
        if follow_symlinks not in ("inside", "anywhere"):
            raise ValueError(f"follow_symlinks is 'inside' or 'anywhere', not {follow_symlinks!r}")
        self.root, self.anywhere = root, follow_symlinks == "anywhere"

    @cached_property
    def prefix(self) -> str:
        """What all paths begin with: the folder, without links, and a separator. The disk is asked for it when it is needed first."""
        return os.path.join(os.path.realpath(self.root), "")

    def __call__(self, path: str, flags: int) -> int:
        if self.anywhere:
            return os.open(self.prefix + (check_key(path) if path else ""), flags)
        return open_below(self.prefix, path, flags)

    def near(self) -> Callable[[str, int], int]:
        """The same for one thread, and as long as one read takes."""
        return self if self.anywhere else _Near(self)


class _Near:
    """Keeps open the folder of the file before, as the next one is beside it most often: then no path has to be looked through."""

    __slots__ = ("_above", "_begins", "_folder", "_open")

    def __init__(self, opener: Opener) -> None:
        self._open, self._folder, self._above, self._begins = opener, -1, "/", 1  # no path begins so

    def __call__(self, path: str, flags: int) -> int:
        if self._folder < 0 or not path.startswith(self._above) or not (name := path[self._begins :]).isalnum():  # as chunks are called
            if not self._is_beside(path):
                return self._open(path, flags)
            name = path[self._begins :]
        try:
            return os.open(name, flags | NOFOLLOW, dir_fd=self._folder)
        except FileNotFoundError:
            if os.fstat(self._folder).st_nlink:
                raise
            self._close()  # the folder was deleted: another one may be there
        except OSError as error:
            if error.errno not in LINKED:
                raise
        return self._open(path, flags)

    def _is_beside(self, path: str) -> bool:
        """Whether `path` is in the folder of the one before, which is open then."""
        above = path[: path.rfind("/") + 1]
        if above != self._above:
            self._close()
            self._above, self._begins = above, len(above)
            return False
        check_key(path)
        if self._folder < 0:
            self._folder = self._open(above[:-1], FOLDER)
        return True

    def _close(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    __del__ = _close


def open_unlinked(root: str, path: str, flags: int) -> int:
    """A descriptor of `path` below `root`, where no part of either is a link."""
    if not can_openat2():
        return _walked(root, path, flags)
    place = os.path.join(root, path)
    sys.audit("open", place, None, flags)  # as all that Python opens
    while (file := call_openat2(openat2(cached=False), os.fsencode(place), how(flags, cached=False))) < 0:
        if file != -errno.EINTR:
            raise OSError(-file, os.strerror(-file), place)
    return file


def call_openat2(call: Any, path: bytes, how_opened: bytes) -> int:
    """A descriptor, or the number of the error, below 0."""
    file = call(OPENAT2, AT_FDCWD, path, how_opened, len(how_opened))
    return file if file >= 0 else -ctypes.get_errno()


@cache
def how(flags: int, *, cached: bool) -> bytes:
    """What `openat2` is told: to follow no links, and with `cached` not to wait either."""
    return struct.pack("=QQQ", flags, 0, NO_SYMLINKS | RESOLVE_CACHED * cached)


@cache
def openat2(*, cached: bool) -> Any:
    """The call of Linux. What is told not to wait keeps the GIL: to get it back takes longer than the call."""
    call = (ctypes.PyDLL if cached else ctypes.CDLL)(None, use_errno=True).syscall
    call.restype, call.argtypes = ctypes.c_long, (ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
    return call


@cache
def can_openat2() -> bool:
    """Whether there is that call, and it is not forbidden."""
    if sys.platform != "linux" or (file := call_openat2(openat2(cached=True), b"/", how(FOLDER, cached=True))) < 0:
        return False
    os.close(file)
    return True


def _walked(root: str, path: str, flags: int) -> int:
    """The same, part by part."""
    file = os.open(root, FOLDER if path else flags)
    parts = path.split("/") if path else []
    for number, part in enumerate(parts, 1):
        try:
            file, above = os.open(part, (flags if number == len(parts) else FOLDER) | NOFOLLOW, dir_fd=file), file
        except OSError:
            os.close(file)
            raise
        os.close(above)
    return file
