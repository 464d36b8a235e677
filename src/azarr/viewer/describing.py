"""What the page says about nodes: lines of the tree, rows of facts, axes, the view to begin with. Knows azarr's handles; reads nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np

import azarr
from azarr.metadata import CodecSpec, codecs_from_json
from azarr.viewer.coordinates import Coordinate, cf_date, plain, round_steps

Facts = dict[str, Any]
NONE_OF_CF = ("_FillValue", "missing_value")
TITLES = ("long_name", "title", "standard_name")
MOST_TEXT = 4000
"""Characters of one attribute."""


def entry(path: str, node: azarr.Array | azarr.Group) -> Facts:
    """A line of the tree."""
    name = path.rpartition("/")[2]
    if isinstance(node, azarr.Group):
        return {"path": path, "name": name, "kind": "group"}
    return {"path": path, "name": name, "kind": "array", "shape": times(node.shape) or "scalar", "dtype": node.metadata.dtype.name}


def times(lengths: Iterable[int]) -> str:
    """Lengths as they are read out."""
    return " \N{MULTIPLICATION SIGN} ".join(f"{length:,}" for length in lengths)


def size_text(nbytes: int) -> str:
    """Bytes in a unit that is easy to read."""
    power = min(4, int(math.log(max(nbytes, 1), 1024)))
    return f"{nbytes / 1024**power:.{0 if power == 0 else 1}f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def described(path: str, node: azarr.Array | azarr.Group) -> Facts:
    """The facts of a node, by label, and its attributes."""
    attributes = [[name, attribute_text(value)] for name, value in node.attrs.items() if name != "_ARRAY_DIMENSIONS"]
    facts: Facts = {**entry(path, node), "attributes": attributes}
    title = next((node.attrs[name] for name in TITLES if node.attrs.get(name) not in (None, "", path.rpartition("/")[2])), "")
    facts |= {"title": str(title), "units": str(node.attrs.get("units", ""))}
    if isinstance(node, azarr.Group):
        return facts | {"facts": [["format", f"Zarr v{node.zarr_format} group"]]}
    rows = [["shape", times(node.shape) or "scalar"], ["data type", node.metadata.dtype.name]]
    rows += [["chunks", "of several shapes" if node.chunks is None else times(node.chunks) or "one"]]
    rows += [["shards", times(node.shards)]] if node.shards else []
    rows += [["number of chunks", f"{node.nchunks:,}"], ["size", size_text(node.nbytes)]]
    rows += [["codecs", codecs_text(node.codecs)], ["fill value", plain(node.fill_value)]]
    return facts | {"facts": [*rows, ["format", f"Zarr v{node.zarr_format}"]]}


def codecs_text(codecs: Iterable[CodecSpec]) -> str:
    """The names of a chain; of shards, those inside too."""
    texts = [codec.name for codec in codecs if "codecs" not in codec.configuration]
    inside = [codecs_text(codecs_from_json(codec.configuration["codecs"], "codecs")) for codec in codecs if "codecs" in codec.configuration]
    return ", ".join([*texts, *(f"shards of {chain}" for chain in inside)])


def attribute_text(value: Any) -> str:
    """An attribute as text: a string as it stands, all else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} …"


def dimension_names(array: azarr.Array) -> Sequence[str | None]:
    """The names of the axes; for v2 those that xarray gives them, in an attribute."""
    names: Any = array.dimension_names or array.attrs.get("_ARRAY_DIMENSIONS")
    known = cast("Sequence[str | None]", names) if isinstance(names, (list, tuple)) else ()
    return known if len(known) == array.ndim else (None,) * array.ndim


def axis_names(array: azarr.Array) -> list[str]:
    """What the axes are called; those without a name by their number."""
    return [name or f"axis {axis}" for axis, name in enumerate(dimension_names(array))]


def axis(array: azarr.Array, number: int, coordinate: Coordinate | None) -> Facts:
    """What the page needs to know of an axis."""
    units = coordinate.shown_units if coordinate else ""
    return {"name": axis_names(array)[number], "length": array.shape[number], "units": units, "known": coordinate is not None}


def is_plain(array: azarr.Array) -> bool:
    """Whether the elements are numbers, times or text."""
    return array.dtype.kind in "biufcmMUSTO"


def fields(array: azarr.Array) -> list[str]:
    """The fields of a struct that can be painted."""
    return [name for name in array.dtype.names or () if array.dtype[name].kind in "biufcmM"]


def first_view(array: azarr.Array, coordinates: list[Coordinate | None]) -> Facts:
    """Which axes a picture begins with: the last two that have several elements; and how it is turned and stretched."""
    long = [number for number, length in enumerate(array.shape) if length > 1] or list(range(array.ndim))
    axes = long[-2:] if len(long) > 1 else long
    empty = 0 in array.shape
    facts: Facts = {"view": axes, "fields": fields(array), "fill": plain(array.fill_value), "empty": empty, "up": [], "cells": []}
    facts["fillApart"] = bool(apart(array, True)) and not np.all(array.fill_value == 0) if array.dtype.kind in "biufc" else False
    for coordinate in coordinates:
        numeric = None if coordinate is None else coordinate.numeric
        degrees = coordinate is not None and coordinate.units.startswith("degree")
        rises = numeric is not None and numeric[0] < numeric[-1]
        facts["up"].append(bool(rises and coordinate is not None and coordinate.units.startswith(("degrees_n", "degree_n", "degreesN"))))
        facts["cells"].append(abs(float(numeric[-1] - numeric[0])) / (len(numeric) - 1) if numeric is not None and degrees else 0.0)
    return facts


def apart(array: azarr.Array, fill: bool) -> tuple[Any, ...]:
    """Values that stand for none: those that CF's attributes name, and with `fill` the fill value."""
    if array.dtype.kind not in "biufc":
        return ()
    named = [array.attrs[name] for name in NONE_OF_CF if isinstance(array.attrs.get(name), (int, float))]
    return tuple(dict.fromkeys([*named, *([array.fill_value] if fill else [])]))


def number_text(array: azarr.Array, number: float) -> str:
    """A number of a range, as text; of times, the time."""
    if array.dtype.kind == "M" and math.isfinite(number):
        return plain(np.array(int(number)).astype(array.dtype)[()])
    return f"{number:.4g}" if abs(number) < 1e4 else f"{number:.6g}"


def range_ticks(array: azarr.Array, low: float, high: float, most: int = 5) -> list[tuple[float, str]]:
    """Good numbers between two values, and their texts."""
    units, calendar = (str(array.attrs.get(key, "")) for key in ("units", "calendar"))
    if array.dtype.kind == "M":
        return [(place, number_text(array, place)) for place in (low, high)]
    return [(float(place), cf_date(float(place), units, calendar)) for place in round_steps(low, high, most)]

