"""What is read for a picture or a profile: a window of an array along one or two axes, in a bounded number of bytes. Knows selections.

A read decodes whole chunks, so a step saves none of them: what is too large to be decoded is shown by a window, along chunks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import azarr
from azarr.grid import Grid
from azarr.viewer.colours import Numbers

Span: TypeAlias = tuple[int, int]

DECODED = 64 << 20
"""Bytes that one picture decodes, at most; one chunk it always does."""
CHUNKS = 2048
PIXELS = 1024
"""Elements along one axis of a picture, at most."""
POINTS = 2000
"""Points of a profile, at most."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an array: the whole of `window` along `axes`, in `steps`, at one place `at` of each other axis."""

    axes: tuple[int, ...]
    at: tuple[int, ...]
    window: tuple[Span, ...]
    steps: tuple[int, ...]
    field: str | None = None

    def of(self, array: azarr.Array) -> azarr.Selection:
        """The selection, in the order of the array's axes."""
        key: list[Any] = list(self.at)
        for axis, (start, stop), step in zip(self.axes, self.window, self.steps, strict=True):
            key[axis] = slice(start, stop, step)
        chosen = array[tuple(key)]
        return chosen if self.field is None else chosen[self.field]

    def turned(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What was read, in the order of `axes`."""
        return values if self.axes == tuple(sorted(self.axes)) else values.T


def grid_of(array: azarr.Array) -> Grid:
    """The grid of what is decoded at a time."""
    return array.layout.inner or array.metadata.grid


def fitted(array: azarr.Array, part: Part, about: tuple[int, ...] | None = None) -> Part:
    """`part`, or as much of its window `about` a place (its middle) as may be read at once; in steps, where there are too few pixels."""
    grid = grid_of(array)
    about = about or tuple((start + stop) // 2 for start, stop in part.window)
    while (plan := part.of(array).plan()).decoded > DECODED or plan.chunks > CHUNKS:
        smaller = _smaller(part.window, [grid.axes[axis] for axis in part.axes], about)
        if smaller == part.window:
            break
        part = Part(part.axes, part.at, smaller, part.steps, part.field)
    if len(part.axes) == 1:
        return part
    steps = tuple(max(1, -(-(stop - start) // PIXELS)) for start, stop in part.window)
    return Part(part.axes, part.at, part.window, steps, part.field)


def _smaller(window: tuple[Span, ...], axes: list[Any], about: tuple[int, ...]) -> tuple[Span, ...]:
    """Three quarters of the window along the axis on which it has most chunks, from the edge of a chunk to that of another."""
    spans = zip(window, axes, strict=True)
    touched = [(axis.locate(start), axis.locate(stop - 1) + 1) if start < stop else (0, 0) for (start, stop), axis in spans]
    counts = [last - first for first, last in touched]
    most = counts.index(max(counts))
    if counts[most] < 2:
        return window
    keep = counts[most] * 3 // 4
    first = axes[most].locate(about[most]) - keep // 2
    first = min(max(first, touched[most][0]), touched[most][1] - keep)
    (start, _), (last, size) = axes[most].span(first), axes[most].span(first + keep - 1)
    return (*window[:most], (start, min(last + size, axes[most].length)), *window[most + 1 :])


def window_around(array: azarr.Array, axis: int, window: Sequence[int] | None) -> Span:
    """`window` moved and cut so that it lies on the axis; all of it where none is given."""
    length = array.shape[axis]
    if window is None:
        return 0, length
    size = min(max(1, window[1] - window[0]), length)
    start = min(max(0, window[0]), length - size)
    return start, start + size


def thinned(values: Numbers) -> npt.NDArray[np.intp]:
    """The indices of at most `POINTS` values that draw the same line: all, or the least and the greatest of each stretch."""
    if values.size <= POINTS:
        return np.arange(values.size)
    stretch = math.ceil(values.size / (POINTS // 2))
    padded = np.pad(values, (0, -values.size % stretch), constant_values=np.nan).reshape(-1, stretch)
    low = np.argmin(np.where(np.isnan(padded), np.inf, padded), axis=1)
    high = np.argmax(np.where(np.isnan(padded), -np.inf, padded), axis=1)
    found = np.unique(np.stack([low, high]) + np.arange(len(padded)) * stretch)
    return found[found < values.size]


def note(array: azarr.Array, part: Part, names: list[str]) -> str:
    """What the picture leaves out, in words; nothing if it leaves nothing out."""
    words: list[str] = []
    for axis, (start, stop) in zip(part.axes, part.window, strict=True):
        if stop - start < array.shape[axis]:
            words.append(f"{names[axis]} {start:,} to {stop - 1:,} of {array.shape[axis]:,}")
    words += [f"one in {step} along {names[axis]}" for axis, step in zip(part.axes, part.steps, strict=True) if step > 1]
    return "; ".join(words)
