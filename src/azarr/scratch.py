"""Memory that one worker uses again from chunk to chunk. Knows sizes; never what the bytes mean.

A slot belongs to one use (encoded bytes, stage 0 of a chain, ...). What `take` gives is valid until the same slot is taken again.
It stays in the processor's cache, and nothing is allocated per chunk.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Buffer", "Bytes", "Scratch", "view"]

Bytes: TypeAlias = npt.NDArray[np.uint8]
Buffer: TypeAlias = bytes | bytearray | memoryview | Bytes


class Scratch:
    """Reused buffers by slot, and whatever state a native codec keeps for this worker in `state`."""

    __slots__ = ("_slots", "state")

    def __init__(self) -> None:
        self._slots: dict[object, Bytes] = {}
        self.state: dict[str, Any] = {}

    def take(self, slot: object, size: int) -> Bytes:
        """`size` bytes of undefined content, one-dimensional."""
        held = self._slots.get(slot)
        if held is None or held.size < size:
            held = self._slots[slot] = np.empty(size, np.uint8)
        return held if held.size == size else held[:size]

    @property
    def nbytes(self) -> int:
        return sum(held.size for held in self._slots.values())


def view(data: Buffer) -> Bytes:
    """`data` as one-dimensional bytes, without a copy."""
    if isinstance(data, np.ndarray):
        return data if data.dtype == np.uint8 and data.ndim == 1 else data.reshape(-1).view(np.uint8)
    return np.frombuffer(data, np.uint8)
