"""How much memory Python and NumPy took at most while something ran."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


class Peak:
    """`nbytes`: the most that was held beyond what was held before. Set when the block ends."""

    nbytes = 0


@contextmanager
def measured() -> Iterator[Peak]:
    peak = Peak()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield peak
    finally:
        peak.nbytes = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
