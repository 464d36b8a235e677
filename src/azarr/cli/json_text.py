"""Values as JSON: what `--json` prints. Knows NumPy's values; prints nothing."""

import json
import math
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray


def json_text(value: Any) -> str:
    """`value` as JSON that every program reads."""
    return json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False)


def jsonable(value: Any) -> Any:
    """What JSON has for `value`: "NaN" and "Infinity" as in fill values of Zarr v3, lists for complex numbers and structs, base64."""
    if isinstance(value, Mapping):
        return {str(name): jsonable(item) for name, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, np.ndarray | np.generic):
        array: NDArray[Any] = np.asarray(cast("Any", value))
        value = (array.astype(str) if array.dtype.kind in "mM" else array).tolist()
        if array.dtype.kind in "biuU":  # nothing in it is to be changed
            return value
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in cast("list[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, complex):
        return [jsonable(value.real), jsonable(value.imag)]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value if value is None or isinstance(value, str | int | float) else str(value)
