"""What people meant, told once a mistake has happened: loaded then, and not before. Knows the handles; raises nothing itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from azarr.array import Array, Selection
from azarr.document import is_object
from azarr.group import Group
from azarr.ref import PendingSelection

METHODS = "a group has keys, members, walk, tree, update_attrs"
MAKING = "arrays are made by azarr.create_array(group.store, f'{group.path}/name', ...)"
HOLDING: Any = (dict, list, tuple)
"""Kinds of values that hold others."""


def no_method(path: str) -> TypeError:
    """The error of calling the reference to `path`: its last name was to be a method of what stands above it."""
    parent, _, name = path.rpartition("/")
    if is_attribute(name):
        return TypeError(f"{parent or '/'} is not opened yet, so it has no method {name!r}: (await ref).{name}(...)")
    return TypeError(f"{name!r} is no method of a group, so it was taken for a member of {parent or '/'}: {METHODS}; {MAKING}")


def no_attribute(chosen: object, shown: str, name: str) -> str:
    """What to write for an attribute that arrays and selections do not have, where it is one of the data."""
    if isinstance(chosen, PendingSelection) and name in dir(Selection):
        return f"; of what is selected, once it is open: (await selection.open()).{name}"
    return f"; of the data: (await {shown}).{name}" if name in dir(np.ndarray) else ""


def likely(name: str, known: Iterable[str]) -> str:
    """Which of the `known` names was meant, if one is much like `name`."""
    alike = get_close_matches(name, {each.removeprefix("v2:") for each in known}, 1)
    return f"; did you mean {alike[0]!r}?" if alike else ""


def no_json(document: Mapping[str, Any], error: Exception) -> str:
    """Why `document` cannot be written, with the first value of it that JSON does not have, and where it stands."""
    found = next((text for place, value in _parts(document) if (text := _foreign(place, value))), "")
    return f"not to be written as JSON ({error}){found}; attributes are text, finite numbers, lists and objects"


def _parts(document: Any) -> Iterator[tuple[str, Any]]:
    """All that is in `document`, and where."""
    waiting, seen = [("", document)], set[int]()
    for place, value in waiting:
        yield place, value
        if isinstance(value, HOLDING) and id(value) not in seen:  # what holds itself is seen once
            seen.add(id(value))
            parts: Any = value.items() if is_object(value) else enumerate(value)
            waiting.extend([(f"{place}[{key!r}]" if place else str(key), part) for key, part in parts])


def _foreign(place: str, value: object) -> str:
    if value is None or isinstance(value, (str, int, dict, list, tuple)) or (isinstance(value, float) and math.isfinite(value)):
        return ""
    way = ".item()" if isinstance(value, np.generic) else ".tolist()" if isinstance(value, np.ndarray) else ""
    return f": {place} is {value!r}" + f", of which {way} is what JSON has" * bool(way)


def is_attribute(name: str) -> bool:
    """Whether arrays or groups have something of this name."""
    return name in dir(Array) or name in dir(Group)
