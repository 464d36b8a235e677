"""Comparing a result with the truth: bit by bit where elements have a fixed width, by element where they do not."""

from typing import Any

import numpy as np
from recipe import Recipe, Values


def difference(recipe: Recipe, expected: Values, actual: Any) -> str | None:
    """Where a result differs from what is expected, or None: the same dtype, shape and bits, or equal elements."""
    got = _as_array(actual, expected)
    if got.shape != expected.shape:
        return f"shape {got.shape}, expected {expected.shape}"
    # json2, msgpack2 and categorize say nothing about a dtype, so strings of theirs may come as strings.
    if got.dtype != expected.dtype and not (recipe.dtype == "object" and got.dtype.kind == "T"):
        return f"dtype {got.dtype}, expected {expected.dtype}"
    wrong = _unequal_elements(got, expected) if expected.dtype.kind in "OT" else _unequal_bits(got, expected)
    if not wrong:
        return None
    where = tuple(int(index) for index in np.unravel_index(wrong[0], expected.shape))
    return f"{len(wrong)} of {expected.size} elements; first at {where}: {_shown(got, wrong[0])}, expected {_shown(expected, wrong[0])}"


def _as_array(value: Any, expected: Values) -> Values:
    """A result as an array. A lone element of text has forgotten its width, and one of objects may be an array."""
    lone_object = expected.dtype.kind == "O" and not expected.ndim
    if isinstance(value, np.ndarray) and not (lone_object and value.dtype.kind not in "OT"):
        return value
    if expected.dtype.kind not in "OTSU":
        return np.asarray(value)
    box = np.empty(1, expected.dtype)
    box[0] = value
    return box.reshape(())


def _unequal_bits(got: Values, expected: Values) -> list[int]:
    raw, wanted = got.tobytes(), expected.tobytes()
    if raw == wanted:
        return []
    width = expected.dtype.itemsize
    rows = [np.frombuffer(part, np.uint8).reshape(-1, width) for part in (raw, wanted)]
    return np.flatnonzero((rows[0] != rows[1]).any(axis=1)).tolist()


def _unequal_elements(got: Values, expected: Values) -> list[int]:
    pairs = zip(_elements(got), _elements(expected), strict=True)
    return [position for position, (one, other) in enumerate(pairs) if not _equal(one, other)]


def _elements(values: Values) -> list[Any]:
    return list(values.flat)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(other, np.ndarray):
        return isinstance(one, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and bool(one == other)


def _shown(values: Values, position: int) -> str:
    element = values.ravel()[position]
    if values.dtype.kind in "OT":
        return repr(element)
    width = values.dtype.itemsize
    return f"{element!r} (bytes {values.tobytes()[position * width : (position + 1) * width].hex()})"
