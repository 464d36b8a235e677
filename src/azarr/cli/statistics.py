"""Statistics of an array that may be larger than memory: it is read block by block. Knows azarr's handles and NumPy; never a terminal."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import azarr
from azarr.errors import AzarrError
from azarr.viewer.colours import absent
from azarr.viewer.describing import apart

PIECE = 1 << 18
"""Elements that are worked on at a time, so that what comes beside a block is small."""


@dataclass(slots=True)
class Statistics:
    """What is known of the values so far. `missing`: equal to one that stands for none. Those and NaN are left out of all else.

    `mean` and `std` (of all, not of a sample) are in float64, and None for times.
    """

    missing_values: tuple[Any, ...]
    fill_value: Any
    count: int = 0
    nan: int = 0
    missing: int = 0
    fill: int = 0
    least: Any = None
    greatest: Any = None
    mean: float | None = None
    squares: float = 0.0
    """The sum of squared differences from the mean."""

    @property
    def valid(self) -> int:
        """Values that the least, the greatest, the mean and the deviation are of."""
        return self.count - self.nan - self.missing

    @property
    def std(self) -> float | None:
        """The standard deviation."""
        return None if self.mean is None else math.sqrt(self.squares / self.valid)

    def add(self, values: NDArray[Any]) -> None:
        """Take values in."""
        flat = values.reshape(-1)
        for start in range(0, flat.size, PIECE):
            self._add(flat[start : start + PIECE])

    def _add(self, values: NDArray[Any]) -> None:
        before = self.valid
        nan, none = absent(values, ()), absent(values, self.missing_values)
        self.count, self.nan = self.count + values.size, self.nan + int(nan.sum())
        self.missing += int(none.sum()) - int(nan.sum())
        self.fill += int(np.count_nonzero(values == self.fill_value))
        kept = values[~none]
        if not kept.size:
            return
        least, greatest = kept.min(), kept.max()
        self.least = least if self.least is None else min(self.least, least)
        self.greatest = greatest if self.greatest is None else max(self.greatest, greatest)
        if kept.dtype.kind in "mM":
            return
        with np.errstate(all="ignore"):  # infinities have no mean, and that is what is told
            numbers = kept.astype(np.float64)
            mean = float(numbers.mean())
            squares, apart_by = float(np.square(numbers - mean).sum()), mean - (self.mean or 0.0)
        # Chan, Golub and LeVeque (1979): the parts need no second look.
        self.squares += squares + (apart_by**2 * before * kept.size / self.valid if before else 0.0)
        self.mean = mean if self.mean is None else self.mean + apart_by * kept.size / self.valid

    def facts(self) -> dict[str, Any]:
        """All by name."""
        return {
            "min": self.least, "max": self.greatest, "mean": self.mean, "std": self.std, "count": self.count, "nan": self.nan,
            "missing": self.missing, "fill": self.fill,
        }  # fmt: skip


async def statistics_of(
    selection: azarr.Selection,
    *,
    without_fill: bool = False,
    memory: int | str = "256 MiB",
    progress: Callable[[int, int], None] | None = None,
) -> Statistics:
    """Read `selection` in at most `memory` bytes. What CF's attributes `_FillValue` and `missing_value` name is missing; with
    `without_fill` the fill value is, too. Errors: `AzarrError` for what is neither numbers nor times, and those of reading."""
    if selection.dtype.kind not in "biufmM":
        raise AzarrError(f"statistics are of numbers and of times; this array has the data type {selection.dtype}")
    array = selection.array
    found = Statistics(apart(array, without_fill), array.fill_value)
    async for block in selection.blocks(memory=memory, progress=progress):
        await asyncio.to_thread(found.add, np.asarray(block.data))
    return found
