"""Values become pixels: colour maps, ranges, what is missing. Knows NumPy; never what the values mean."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[Any]
Numbers: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]

MAPS = {
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6dcd59 b4de2c fde725",
    "magma": "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf",
    "cividis": "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838",
    "coolwarm": "3b4cc0 5977e3 7b9ff9 9ebeff c0d4f5 dddcdc f2cbb7 f7ac8e ee8468 d65244 b40426",
    "grey": "000000 ffffff",
}
"""Colours at equal distances, between which the map is straight."""
SAMPLE = 200_000
"""Values that an automatic range is made from, at most."""
USUAL = (1, 99)
"""Percentiles at the ends of an automatic range."""


@cache
def table(name: str) -> npt.NDArray[np.uint8]:
    """256 colours (red, green, blue)."""
    points = [bytes.fromhex(point) for point in MAPS[name].split()]
    places = np.linspace(0, len(points) - 1, 256)
    bands = [np.interp(places, range(len(points)), list(band)) for band in zip(*points, strict=True)]
    return (np.stack(bands, axis=1) + 0.5).astype(np.uint8)


def numbers(values: Values) -> Numbers | None:
    """What is painted: of complex values the magnitude, of times their count since 1970; None of what is no number."""
    if values.dtype.kind in "mM":
        return np.where(np.isnat(values), np.nan, values.astype(np.int64).astype(float))
    if values.dtype.kind not in "biufc":
        return None
    return np.abs(values).astype(float) if values.dtype.kind == "c" else values.astype(float)


def absent(values: Values, apart: tuple[Any, ...]) -> Mask:
    """Where there is no value: NaN, NaT, or one of `apart`, which stand for none."""
    test = {"m": np.isnat, "M": np.isnat, "f": np.isnan, "c": np.isnan}.get(values.dtype.kind)
    missing: Mask = np.zeros(values.shape, bool) if test is None else test(values)
    for each in apart:
        missing = missing | (values == each)
    return missing


def usual(painted: Numbers, missing: Mask) -> tuple[float, float]:
    """The range that most values are in."""
    flat = painted[~missing & np.isfinite(painted)]
    if not flat.size:
        return 0.0, 1.0
    low, high = map(float, np.percentile(flat[:: -(-flat.size // SAMPLE)], USUAL))
    if low == high:  # most are the same, so the others are of interest
        low, high = float(flat.min()), float(flat.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def paint(painted: Numbers, missing: Mask, span: tuple[float, float], name: str) -> npt.NDArray[np.uint8]:
    """Red, green, blue and opacity of each value; what is missing can be seen through."""
    low, high = span
    with np.errstate(all="ignore"):
        levels = (painted - low) * (255 / (high - low if high != low else 1))
    levels = np.nan_to_num(levels, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).astype(np.uint8)
    pixels = np.empty((*painted.shape, 4), np.uint8)
    pixels[..., :3] = table(name)[levels]
    pixels[..., 3] = np.where(missing, 0, 255)
    return pixels
