"""Asking a server for many small objects by few calls, as `rings` reads files: io_uring sends requests and receives answers.

One request after the other on each connection, on all connections at the same time. What is received is looked at between the calls;
what the looker does not like ends the use of that connection.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from azarr.integrations.rings import ENTER, ENTRIES, ENTRY, GET_EVENTS, LINK, MOST, Ring, address_of, called
from azarr.scratch import KEPT, Bytes, aligned

SEND, RECEIVE, QUIET, TELLS_TIME = 26, 27, 1 << 6, 1 << 3
"""Calls of the kernel; no answer if all is well; how long to wait is told."""
NO_SIGNAL, ALL, FLAGS_AT = 0x4000, 0x100, 28
"""That a connection has ended is an error, not a signal; nothing less than all is sent; where an entry has these."""
TEXT = 2048
"""Bytes that a request may have."""
TICK = 20_000_000
"""Nanoseconds after which it is asked whether to go on."""
SHARE = 4
"""The kernel is asked again when so large a share of the answers has come."""
ODD = -1
"""What a `Look` gives for an answer that is not to be used, nor its connection any more."""
Look = Callable[[int, Bytes, int], int]
"""Told the number of a request, the row where its answer comes, and the bytes so far; gives how many more may come, 0 for none."""


class SocketRing(Ring):
    """What one thread and the kernel share to talk over many connections."""

    def __init__(self) -> None:
        super().__init__()
        self._texts, entries = bytearray(MOST * TEXT), self._entries.reshape(-1)[: 2 * MOST].reshape(MOST, 2)
        entries[...] = np.zeros((), ENTRY)
        entries["call"], entries["flags"] = [SEND, RECEIVE], [LINK | QUIET, 0]
        entries["number"] = np.arange(2 * MOST).reshape(MOST, 2)
        raw = entries.view(np.uint8).reshape(MOST, 2, ENTRY.itemsize)
        raw[:, 0, FLAGS_AT : FLAGS_AT + 4] = np.array([NO_SIGNAL | ALL], np.uint32).view(np.uint8)
        self._sending, self._receiving = entries[:, 0], entries[:, 1]
        self._sending["address"] = address_of(self._texts) + TEXT * np.arange(MOST, dtype=np.uint64)
        self._time = bytearray(struct.pack("=qq", 0, TICK))
        self._wait = bytearray(struct.pack("=QIIQ", 0, 0, 0, address_of(self._time)))
        self._asked, self._got, self._ready = [0] * MOST, [0] * MOST, list[int]()
        self.open, self.good = set[int](), True
        """The connections on which the kernel may receive; whether nothing was sent in vain, so that it says nothing more of what was."""

    def exchange(
        self, files: Sequence[int], texts: Iterable[bytes], rooms: Bytes, look: Look, goes_on: Callable[[bool], bool]
    ) -> list[bool]:
        """Send `texts` over the sockets `files`, at most MOST, and receive into `rooms`, a row for each. Which of them are still good.

        `goes_on` is told now and then whether anything came, and says whether to go on; if not, all connections are shut down.
        When it returns, or raises with none `open`, nothing writes into `rooms` any more.
        """
        left, good = iter(enumerate(texts)), [True] * len(files)
        self._sending["folder"][: len(files)] = self._receiving["folder"][: len(files)] = files
        try:
            for slot in range(len(files)):
                self._begin(slot, left, rooms)
            while self.open:
                came = self._turn()
                for slot, nbytes in came:
                    self._got[slot] += max(0, nbytes)
                    wanted = look(self._asked[slot], rooms[slot], self._got[slot]) if nbytes > 0 else ODD
                    if wanted == 0:
                        self._begin(slot, left, rooms)
                    elif 0 < wanted <= rooms.shape[1] - self._got[slot]:
                        self._more(slot, rooms, wanted)
                    else:
                        good[slot] = False
                if not goes_on(bool(came)):
                    return [False] * len(files)
            return good
        finally:
            self._shut(files)

    def _begin(self, slot: int, left: Iterator[tuple[int, bytes]], rooms: Bytes) -> None:
        """Make the next request on a connection, if there is one left."""
        if (found := next(left, None)) is not None:
            self._asked[slot], text = found
            self._texts[TEXT * slot : TEXT * slot + len(text)] = text
            self._sending["length"][slot], self._got[slot] = len(text), 0
            self._ready.append(2 * slot)
            self._more(slot, rooms, rooms.shape[1])

    def _more(self, slot: int, rooms: Bytes, wanted: int) -> None:
        self._receiving["address"][slot] = rooms.ctypes.data + rooms.shape[1] * slot + self._got[slot]
        self._receiving["length"][slot] = wanted
        self._ready.append(2 * slot + 1)
        self.open.add(slot)

    def _turn(self) -> list[tuple[int, int]]:
        """Give the kernel what is ready, wait for a while, and take what it has received: the connections, and the bytes or errors."""
        ready, self._ready = self._ready, []
        tail, head, taken = int(self._tail[0]), int(self._head[0]), 0
        self._order[(tail + np.arange(len(ready))) % ENTRIES] = ready
        self._tail[0] = (tail + len(ready)) & 0xFFFFFFFF
        wait, size = (ctypes.c_char * len(self._wait)).from_buffer(self._wait), ctypes.c_size_t(len(self._wait))
        while True:
            try:
                least = max(1, len(self.open) // SHARE)
                taken += called(ENTER, self._file, len(ready) - taken, least, GET_EVENTS | TELLS_TIME, wait, size)
            except OSError as error:
                if error.errno not in (errno.ETIME, errno.EINTR):
                    self._ready = ready[taken:]
                    raise
            if taken == len(ready):
                break
        count = (int(self._end[0]) - head) & 0xFFFFFFFF
        answers = self._answers[(head + np.arange(count)) % len(self._answers)]
        self._head[0] = (head + count) & 0xFFFFFFFF
        found: list[tuple[int, int]] = []
        for number, result in zip(answers["number"].tolist(), answers["result"].tolist(), strict=True):
            slot, receiving = divmod(number, 2)
            self.good &= receiving == 1
            if slot in self.open:  # of sending, only what fails is answered, and then for receiving, too, or no more
                self.open.remove(slot)
                found.append((slot, result if receiving else ODD))
        return found

    def _shut(self, files: Sequence[int]) -> None:
        """Shut the connections down if the kernel still receives, and wait until it does no more."""
        self.open.difference_update([entry // 2 for entry in self._ready if entry % 2])  # it was not told of these
        self._ready = []
        if self.open:
            for file in files:
                _libc.shutdown(file, 2)
        while self.open:
            self._turn()


_libc = ctypes.CDLL(None)
_own = threading.local()
"""The ring of each thread, and where it receives, if that is not much."""
_lost: list[tuple[SocketRing, Bytes]] = []
"""Rings that failed, with memory that the kernel may still write to: it is never used again."""


def exchange_by_ring(
    files: Sequence[int], texts: Iterable[bytes], room: int, look: Look, goes_on: Callable[[bool], bool]
) -> list[bool]:  # fmt: skip
    """As `SocketRing.exchange`, by the ring of this thread, into rows of `room` bytes; a forked process makes its own.

    Errors: `OSError` where the kernel refuses.
    """
    ring: SocketRing | None = getattr(_own, "ring", None)
    memory: Bytes | None = getattr(_own, "memory", None)
    _own.ring = _own.memory = None  # until it is known that they may be used again
    if ring is None or ring.process != os.getpid():
        ring = SocketRing()
    if memory is None or memory.size < len(files) * room:
        memory = aligned(MOST * room if MOST * room <= KEPT else len(files) * room)
    try:
        good = ring.exchange(files, texts, memory[: len(files) * room].reshape(len(files), room), look, goes_on)
    finally:
        if ring.open:
            _lost.append((ring, memory))
    _own.ring, _own.memory = ring if ring.good else None, memory if memory.size <= KEPT else None
    return good
