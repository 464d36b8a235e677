"""How much memory Python and NumPy took at most while something ran."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


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


@contextmanager
def address_space_of(nbytes: int) -> Iterator[None]:
    """The system gives this process no more than that, however generous it is otherwise."""
    resource: Any = import_module("resource")  # where there are processes
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = nbytes if hard == resource.RLIM_INFINITY else min(nbytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
