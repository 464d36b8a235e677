"""Decoded chunks, kept for those who read them again through the same array handle; bounded in bytes, the longest unused go first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy.typing as npt

Kept = tuple[Hashable, npt.NDArray[Any], str | None]
"""Where the object is that a chunk comes from, the chunk, and the version of its shard."""
NOTHING = 256
"""Bytes that keeping a chunk costs, beside its own."""


class ChunkCache:
    """Chunks by array handle, key and coordinates. `writes` counts the times that something was forgotten."""

    def __init__(self, most: int) -> None:
        self.most, self.nbytes, self.writes = most, 0, 0
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, what: Hashable) -> Kept | None:
        with self._lock:
            if (kept := self._kept.get(what)) is not None:
                self._kept.move_to_end(what)
            return kept

    def put(self, what: Hashable, kept: Kept, since: int) -> None:
        """Keep a chunk that was asked for when `writes` was `since`: if something was written after that, it may be an old one."""
        with self._lock:
            if since != self.writes or (size := _size(kept)) > self.most:
                return
            if (before := self._kept.pop(what, None)) is not None:
                self.nbytes -= _size(before)
            self._kept[what] = kept
            self.nbytes += size
            while self.nbytes > self.most:
                self.nbytes -= _size(self._kept.popitem(last=False)[1])

    def forget(self, place: Hashable) -> None:
        with self._lock:
            self.writes += 1
            for what in [what for what, kept in self._kept.items() if kept[0] == place]:
                self.nbytes -= _size(self._kept.pop(what))


def _size(kept: Kept) -> int:
    return NOTHING + kept[1].nbytes
