"""Writing many small files by one call, as `rings` reads them: each is staged under a name of its own, and then renamed.

Making, writing and closing a file are three calls, and each hands the GIL over. Here the kernel does so for up to MOST files at a time,
in threads of its own. What it does not do for all of them is done again one by one, which tells what is wrong.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from azarr.integrations.rings import CLOSE, ENTRY, HARD_LINK, LINK, MOST, OF_RING, Ring, address_of, has_rings
from azarr.scratch import Buffer, Bytes, view
from azarr.stores.base import ANY, check_key
from azarr.stores.staging import NEW, Writer

OPENAT, WRITE, MODE = 18, 23, 0o666
OPENED_AS = 28
"""Where an entry has the flags of what it does."""
NAMES = [str(number) for number in range(MOST)]
NAME = 4
"""Bytes of such a name, with what ends it."""
LEAST = 4
"""Files that are worth a call."""


class WriteRing(Ring):
    """What one thread and the kernel share to make files in one folder."""

    def __init__(self) -> None:
        super().__init__()
        self._called = bytearray(b"".join([name.encode().ljust(NAME, b"\0") for name in NAMES]))
        entries, files = self._entries, np.arange(MOST, dtype=np.uint64)
        entries[...] = np.zeros((), ENTRY)
        entries["call"], entries["flags"] = [OPENAT, WRITE, CLOSE], [LINK, HARD_LINK | OF_RING, 0]
        entries["number"] = self._numbers.reshape(MOST, 3)
        opening, closing = entries[:, 0], entries[:, 2]
        opening["address"], opening["length"] = address_of(self._called) + NAME * files, MODE
        opening["place"] = closing["place"] = files + 1
        flags = np.array(NEW & ~os.O_CLOEXEC, np.uint32)  # the files are the ring's own, which no other process gets
        entries.view(np.uint8).reshape(MOST, 3, ENTRY.itemsize)[:, 0, OPENED_AS : OPENED_AS + 4] = flags.reshape(1).view(np.uint8)
        self._writing, self._opening = entries[:, 1], opening
        self._writing["folder"] = files

    def write(self, folder: int, data: Sequence[Bytes]) -> bool:
        """Make one file for each of `data` in `folder`, called by their numbers. Whether all of them were; else none may be relied on."""
        self._opening["folder"] = folder
        self._writing["address"][: len(data)] = [part.ctypes.data for part in data]
        self._writing["length"][: len(data)] = sizes = [part.size for part in data]
        results = self._submitted(3 * len(data))
        return bool(np.all(results[::3] >= 0) and np.all(results[1::3] == sizes))


class RingWriter(Writer):
    """Puts many small objects at a time, too."""

    __slots__ = ()

    def put_many(self, keys: Sequence[str], data: Sequence[Buffer | None], done: Callable[[str], None]) -> None:
        """Replace the objects, whatever is there, and tell of each; what is None is deleted."""
        for key, each in zip(keys, data, strict=True):
            if each is None:
                self.put(key, None)
                done(key)
        there = [(key, view(each)) for key, each in zip(keys, data, strict=True) if each is not None]
        for first in range(0, len(there), MOST):
            self._put_some(there[first : first + MOST], done)

    def _put_some(self, objects: list[tuple[str, Bytes]], done: Callable[[str], None]) -> None:
        if len(objects) < LEAST or not self._staged([data for _, data in objects]):
            for key, data in objects:
                self.put(key, data)
                done(key)
            return
        staged = dict(zip(NAMES, [key for key, _ in objects], strict=False))
        try:
            while staged:
                self._rename(staged, done)
        finally:
            self._unlink(list(staged))

    def _rename(self, staged: dict[str, str], done: Callable[[str], None]) -> None:
        """Put the first in its place, and under one lock those that belong beside it; what is put is taken from `staged`."""
        name, key = next(iter(staged.items()))
        above, last = os.path.split(self._prefix + check_key(key))
        folder, moved = key[: len(key) - len(last)], list[str]()
        try:
            self._commit(above, last, ANY, staged=name)
            moved.append(name)
            fcntl.flock(self._folder, fcntl.LOCK_EX)
            try:
                for name, key in staged.items():
                    if name != moved[0] and key.startswith(folder) and "/" not in (last := check_key(key)[len(folder) :]):
                        os.replace(name, last, src_dir_fd=self._own, dst_dir_fd=self._folder)
                        moved.append(name)
            except (FileNotFoundError, IsADirectoryError):
                pass  # the folder was deleted meanwhile: the next one makes it again
            finally:
                fcntl.flock(self._folder, fcntl.LOCK_UN)
        except OSError as error:
            raise self._error(error, key) from error
        finally:
            for name in moved:
                done(staged.pop(name))

    def _staged(self, data: list[Bytes]) -> bool:
        """Whether all of `data` are in files of the writer's own folder."""
        if self._own < 0:
            self._settle()
        try:
            if write_by_ring(self._own, data):
                now = time.time_ns()  # as for a single object
                for name in NAMES[: len(data)]:
                    os.utime(name, ns=(now, now), dir_fd=self._own)
                return True
        except BaseException:
            self._unlink(NAMES[: len(data)])
            raise
        self._unlink(NAMES[: len(data)])
        return False

    def _unlink(self, names: Sequence[str]) -> None:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._own)


_own = threading.local()
"""The ring of each thread."""


def write_by_ring(folder: int, data: Sequence[Bytes]) -> bool:
    """As `WriteRing.write`, by the ring of this thread; a forked process makes its own. Not if there is none."""
    ring: WriteRing | None = getattr(_own, "ring", None)
    _own.ring = None  # until it is known that it works
    with contextlib.suppress(OSError):
        if ring is None or ring.process != os.getpid():
            ring = WriteRing()
        made = ring.write(folder, data)
        _own.ring = ring
        return made
    return False


def writer_class() -> type[Writer]:
    """What writes into local folders."""
    return RingWriter if has_rings() else Writer
