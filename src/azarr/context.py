"""The budget that reads and writes share. Knows numbers; whoever is given the same context shares its limits."""

import re
from dataclasses import dataclass
from functools import cache

from azarr.limits import DEFAULT_LIMITS, Limits

UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "KB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass(frozen=True, slots=True)
class Context:
    """What all arrays that were opened with this context may use together, on one event loop."""

    requests: int = 128
    """Requests in flight to stores that wait on the network."""
    memory: int | str = "256 MiB"
    """Bytes in flight: fetched, decoded or buffered, beside the results themselves. An integer, or text such as "1 GiB"."""
    workers: int | None = None
    """Threads that decode, at most; None for one per processor."""
    limits: Limits = DEFAULT_LIMITS
    """Sizes above which a document or a chunk is refused."""

    def __post_init__(self) -> None:
        if self.requests < 1 or self.nbytes < 1 or (self.workers is not None and self.workers < 1):
            raise ValueError("requests, memory and workers of a Context are at least 1")

    @property
    def nbytes(self) -> int:
        """`memory` in bytes."""
        return bytes_of(self.memory)


@cache
def bytes_of(size: int | str) -> int:
    """Bytes that `size` means: an integer, or text such as "256 MiB"."""
    if not isinstance(size, str):
        return int(size)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", size)
    if not found or found[2].upper() not in UNITS:
        raise ValueError(f"{size!r} is not a size; write an integer of bytes, or text such as '256 MiB'")
    return int(float(found[1]) * UNITS[found[2].upper()])
