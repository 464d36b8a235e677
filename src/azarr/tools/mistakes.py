"""What people meant, told once a mistake has happened: loaded then, and not before. Knows the handles; raises nothing itself."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import numpy as np

from azarr.array import Array, Selection
from azarr.group import Group
from azarr.ref import PendingSelection

METHODS = "a group has keys, members, walk, tree, update_attrs"
MAKING = "arrays are made by azarr.create_array(group.store, f'{group.path}/name', ...)"


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


def is_attribute(name: str) -> bool:
    """Whether arrays or groups have something of this name."""
    return name in dir(Array) or name in dir(Group)
