"""Memory that one worker uses again from chunk to chunk. Knows sizes; never what the bytes mean.

A slot belongs to one use (encoded bytes, stage 0 of a chain, ...). What `take` gives is valid until the same slot is taken again.
It stays in the processor's cache, and nothing is allocated per chunk.
"""

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Buffer: TypeAlias = bytes | bytearray | memoryview | Bytes
Buffers: TypeAlias = list[Buffer]
"""Bytes in several places, which are meant one after the other."""
Parts: TypeAlias = Iterator[Buffer | range]
"""The same as it comes, some of it by its place in the object that is replaced."""


KEPT = 16 << 20
"""Bytes of scratch that are worth keeping."""
ROOM = 4096 + 64
"""Bytes before encoded chunks that codecs may overwrite, and behind what is thought to be their size."""
PAGE, LINE = 4096, 64
"""Bytes. To memory that begins 1 to 31 bytes behind a page, where `malloc` has what is large, some processors copy files 4 times slower."""


def aligned(size: int) -> Bytes:
    """New memory of undefined content."""
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size]


def is_slow(memory: npt.NDArray[Any]) -> bool:
    """Whether the operating system is slow to copy files there."""
    return 0 < memory.ctypes.data % PAGE < 32


class Scratch:
    """Reused buffers by slot, and whatever state a native codec keeps for this worker in `state`."""

    def __init__(self) -> None:
        self._slots: dict[object, Bytes] = {}
        self.encoded: Bytes = aligned(1 << 16)
        """What a store reads into; grows with what is read."""
        self.state: dict[str, Any] = {}

    def take(self, slot: object, size: int) -> Bytes:
        """`size` bytes of undefined content, one-dimensional."""
        if (held := self._slots.get(slot)) is None or held.size < size:
            held = self._slots[slot] = aligned(size)
        return held if held.size == size else held[:size]

    def part(self, size: int) -> Bytes:
        """`size` bytes of undefined content, behind ROOM bytes that codecs may overwrite; see `around`."""
        return self.take("part", ROOM + size)[ROOM:]

    def around(self, data: Bytes) -> Bytes | None:
        """`data` with the room before it, if it is what `part` gave."""
        held = self._slots.get("part")
        return None if held is None or held.ctypes.data + ROOM != data.ctypes.data else held[: ROOM + data.size]

    def typed(self, owner: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[Bytes, npt.NDArray[Any]]:
        """Memory for an array, as bytes and as the array; what the same `owner` had last time, as long as nobody else came between."""
        held = self.state.get("typed")
        if held is None or held[0] is not owner:
            raw = self.take("typed", math.prod(shape) * dtype.itemsize)
            held = self.state["typed"] = (owner, raw, raw.view(dtype).reshape(shape))
        return held[1], held[2]

    @property
    def nbytes(self) -> int:
        """What all slots hold."""
        return self.encoded.size + sum(held.size for held in self._slots.values())


_spare: list[Scratch] = []
"""Scratch of workers that have ended, for the next ones."""


def spare_scratch() -> Scratch:
    """Scratch for a worker that begins."""
    try:
        return _spare.pop()
    except IndexError:
        return Scratch()


def keep_scratch(scratch: Scratch) -> None:
    """Scratch of a worker that ends; what is large is not kept."""
    if scratch.nbytes <= KEPT:
        _spare.append(scratch)


def joined(data: Buffer | Buffers) -> Buffer:
    """`data` in one place; a copy where it is in several."""
    return b"".join([view(part).data for part in data]) if isinstance(data, list) else data


def view(data: Buffer) -> Bytes:
    """`data` as one-dimensional bytes, without a copy."""
    if isinstance(data, np.ndarray):
        return data if data.dtype == np.uint8 and data.ndim == 1 else data.reshape(-1).view(np.uint8)
    return np.frombuffer(data, np.uint8)
