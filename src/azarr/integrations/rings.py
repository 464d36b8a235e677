"""Reading many small files by one call: io_uring of Linux (6.1 and later, where it is not forbidden, as it is in many containers).

Opening, reading and closing a file one after the other are three calls, and each hands the GIL over, which takes about as long as reading
32 KiB. Here the kernel is given up to MOST files at a time. It is done when the call returns, so that nothing happens to memory behind
anybody's back. What is not in memory is read from the disk side by side.

The layout of what is shared with the kernel is that of io_uring.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import struct
import sys
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from azarr.integrations.beneath import FOLDER, NO_SYMLINKS
from azarr.scratch import Bytes
from azarr.stores.base import check_key
from azarr.stores.local import FolderReader, LocalStore

SETUP, ENTER, REGISTER, REGISTER_FILES = 425, 426, 427, 2
SINGLE_ISSUER, DEFER_TASKRUN, GET_EVENTS = 1 << 12, 1 << 13, 1
OPENAT2, READ, CLOSE = 28, 22, 19
OF_RING, LINK, HARD_LINK = 1 << 0, 1 << 2, 1 << 3
"""The file is one of the ring's own; the next waits for this, and is given up if this fails; the next waits, and is done in any case."""
BENEATH = 0x08
ENTRIES_AT = 0x10000000
PARAMETERS = struct.Struct("=10I10I10I")
"""First what was asked for and is given, then where things are in the queue of entries, and in that of answers."""
MOST, ENTRIES, NAME = 64, 256, 256
"""Files at a time; places in the queue, three for each; bytes of a path."""
FIELDS = {"call": 0, "flags": 1, "folder": 4, "offset": 8, "address": 16, "length": 24, "number": 32, "place": 44}
FORMATS = ["u1", "u1", "i4", "u8", "u8", "u4", "u8", "u4"]
ENTRY = np.dtype({"names": list(FIELDS), "formats": FORMATS, "offsets": list(FIELDS.values()), "itemsize": 64})
ANSWER = np.dtype([("number", "u8"), ("result", "i4"), ("flags", "u4")])


class Ring:
    """What one thread and the kernel share. Errors: `OSError` where there is no such thing."""

    def __init__(self) -> None:
        self.process, given = os.getpid(), bytearray(PARAMETERS.size)
        struct.pack_into("=I", given, 8, SINGLE_ISSUER | DEFER_TASKRUN)
        self._file = called(SETUP, ENTRIES, (ctypes.c_char * len(given)).from_buffer(given))
        try:
            called(REGISTER, self._file, REGISTER_FILES, (ctypes.c_int * MOST)(*[-1] * MOST), MOST)
            numbers = PARAMETERS.unpack(given)
            (_, tail, *_, order), (head, end, _, _, _, answers), most = numbers[10:17], numbers[20:26], numbers[1]
            queue = mmap.mmap(self._file, max(order + 4 * ENTRIES, answers + ANSWER.itemsize * most))
            entries = mmap.mmap(self._file, ENTRY.itemsize * ENTRIES, offset=ENTRIES_AT)
        except BaseException:
            os.close(self._file)
            raise
        words = np.frombuffer(queue, np.uint32, len(queue) // 4)
        self._tail, self._head, self._end = words[tail // 4 :], words[head // 4 :], words[end // 4 :]
        self._order, self._answers = words[order // 4 :][:ENTRIES], np.frombuffer(queue, ANSWER, most, answers)
        self._entries = np.frombuffer(entries, ENTRY)[: 3 * MOST].reshape(MOST, 3)
        self._names, self._how, self._prepared = bytearray(MOST * NAME), bytearray(24), (-1, False, 0, 0)
        self._results, self._numbers = np.empty(3 * MOST, np.int32), np.arange(3 * MOST, dtype=np.uint32)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def _prepare(self, folder: int, rows: Bytes, follow: bool) -> None:
        """Entries for MOST files. They are the same for all batches but for the names that they point to."""
        if self._prepared == (prepared := (folder, follow, rows.ctypes.data, rows.shape[1])):
            return
        struct.pack_into("=QQQ", self._how, 0, os.O_RDONLY, 0, 0 if follow else NO_SYMLINKS | BENEATH)
        files, entries = np.arange(MOST, dtype=np.uint64), self._entries
        entries[...] = np.zeros((), ENTRY)
        entries["call"], entries["flags"] = [OPENAT2, READ, CLOSE], [LINK, HARD_LINK | OF_RING, 0]
        entries["number"] = self._numbers.reshape(MOST, 3)
        opening, reading, closing = entries[:, 0], entries[:, 1], entries[:, 2]
        opening["folder"], opening["address"], opening["offset"] = folder, address_of(self._names) + NAME * files, address_of(self._how)
        opening["length"], opening["place"] = len(self._how), files + 1
        reading["folder"], reading["address"], reading["length"] = files, rows.ctypes.data + rows.shape[1] * files, rows.shape[1]
        closing["place"] = files + 1
        self._prepared = prepared

    def read(self, folder: int, paths: Sequence[bytes], rows: Bytes, *, follow: bool) -> list[int]:
        """Read files below the descriptor `folder` into `rows`: the bytes of each, or the number of its error, below 0.

        At most MOST `paths`, each shorter than NAME. A file that fills its row may have more. Unless `follow`, links are errors.
        `OSError` says that the kernel did not take them all, and that this ring is not to be used again.
        """
        self._prepare(folder, rows, follow)
        self._names[: NAME * len(paths)] = b"".join([path.ljust(NAME, b"\0") for path in paths])
        results = self._submitted(3 * len(paths))
        opened, read = results[::3], results[1::3]
        return np.where(opened < 0, opened, read).tolist()

    def _submitted(self, wanted: int) -> NDArray[np.int32]:
        """Have the kernel do the first `wanted` entries; what it answers to each, when all are done."""
        taken, failed = 0, None
        tail, head, numbers = int(self._tail[0]), int(self._head[0]), self._numbers[:wanted]
        self._order[(tail + numbers) % ENTRIES] = numbers
        self._tail[0] = (tail + wanted) & 0xFFFFFFFF
        while (done := (int(self._end[0]) - head) & 0xFFFFFFFF) < wanted:
            try:
                taken += called(ENTER, self._file, wanted - taken, wanted - done, GET_EVENTS, None, 0)
            except InterruptedError:
                continue
            except OSError as error:  # what was taken is waited for all the same: it writes into `rows`
                wanted, failed = taken, failed or error
        if failed is not None:
            raise failed
        answers = self._answers[(head + numbers) % len(self._answers)]
        self._results[answers["number"]] = answers["result"]
        self._head[0] = (head + wanted) & 0xFFFFFFFF
        return self._results[:wanted]


class RingReader(FolderReader):
    """Reads many files at a time, too."""

    __slots__ = ("_root",)

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store)
        self._root = -1

    def into_many(self, keys: Sequence[str], rows: Bytes) -> list[int | None]:
        """As `into`, for the rows of `rows`. What is no plain file, or fills its row, is read by itself."""
        paths, sizes = [os.fsencode(check_key(key)) for key in keys], list[int]()
        if max(map(len, paths)) < NAME:
            with contextlib.suppress(OSError):
                if self._root < 0:
                    self._root = self._store.open("", FOLDER)
                for first in range(0, len(paths), MOST):
                    some = slice(first, first + MOST)
                    sizes += read_by_ring(self._root, paths[some], rows[some], follow=self._store.open.anywhere)
        sizes += [-errno.EAGAIN] * (len(keys) - len(sizes))
        return [
            size if 0 <= size < row.size else None if size == -errno.ENOENT else self.into(key, row)
            for key, row, size in zip(keys, rows, sizes, strict=True)
        ]

    def __del__(self) -> None:
        if self._root >= 0:
            os.close(self._root)


_own = threading.local()
"""The ring of each thread."""


def read_by_ring(folder: int, paths: Sequence[bytes], rows: Bytes, *, follow: bool) -> list[int]:
    """As `Ring.read`, by the ring of this thread; a forked process makes its own."""
    ring: Ring | None = getattr(_own, "ring", None)
    if ring is None or ring.process != os.getpid():
        ring = Ring()
    _own.ring = None  # until it is known that it works
    sizes = ring.read(folder, paths, rows, follow=follow)
    _own.ring = ring
    return sizes


def reader_of(store: LocalStore) -> FolderReader:
    """One worker's way into the folder."""
    return RingReader(store) if has_rings() else FolderReader(store)


@cache
def has_rings() -> bool:
    """Whether there is io_uring, as new as it must be, and it is not forbidden."""
    with contextlib.suppress(OSError):
        return sys.platform == "linux" and Ring().process > 0
    return False


@cache
def _syscall() -> Any:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    return call


def called(*arguments: Any) -> int:
    """A call of the operating system, by its number. Errors: `OSError`."""
    if (result := _syscall()(*arguments)) < 0:
        raise OSError(number := ctypes.get_errno(), os.strerror(number))
    return result


def address_of(memory: bytearray) -> int:
    """Where it lies, as the kernel is told."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
