"""What is to be written, as NumPy has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def plain(values: Any, dtype: Any = None) -> npt.NDArray[Any]:
    """`values` as an array. Errors: `TypeError` for masked elements, in whose place anything might be stored."""
    if np.ma.is_masked(values):
        raise TypeError("masked elements are not stored: say what stands in their place, values.filled(...)")
    return np.asarray(values, dtype)
