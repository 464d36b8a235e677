"""What every measurement does: warm up and repeat, await, compare with the truth, ask for resident memory. Knows no library."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.readers import Library

Figures = dict[str, Any]

RUNS = 5  # counted runs, fewer when they take longer than the budget
BUDGET = 5.0  # seconds


class WrongResultError(Exception):
    """A library gave other values than those that were written."""


def runs(seconds: list[float], at_most: int = RUNS) -> Iterator[bool]:
    """False for the warm-up, then True until there are enough `seconds` or the budget is spent."""
    yield False
    while len(seconds) < at_most and sum(seconds) < BUDGET:
        yield True


async def act(library: Library, answer: Any) -> Any:
    """What a call of the library gave, awaited where the library is asynchronous."""
    return await answer if library.waits else answer


def check(result: Any, truth: np.ndarray) -> None:
    """Raise unless `result` is a NumPy array with the values of `truth`; compares slab by slab, to stay small."""
    if not isinstance(result, np.ndarray) or result.shape != truth.shape or result.dtype != truth.dtype:
        raise WrongResultError(f"got {type(result).__name__} of {np.shape(result)}, not an array of {truth.shape}")
    slabs = zip(result, truth, strict=True) if truth.ndim == 3 else [(result, truth)]
    if not all(np.array_equal(slab, expected) for slab, expected in slabs):
        raise WrongResultError("the values differ")


def reset_peak() -> int:
    """Bytes resident now; from here on `resident_peak` counts anew."""
    Path("/proc/self/clear_refs").write_text("5")  # "To reset the peak resident set size" (proc(5))
    return _status("VmRSS:")


def resident_peak() -> int:
    """Bytes resident at most since `reset_peak`."""
    return _status("VmHWM:")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))
