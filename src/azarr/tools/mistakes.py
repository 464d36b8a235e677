"""What people meant, told once a mistake has happened: loaded then, and not before. Knows the handles; raises nothing itself."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from azarr._platform import offload
from azarr.array import Array, Selection
from azarr.document import is_object
from azarr.errors import MetadataError, NodeNotFound
from azarr.grid import RESERVED
from azarr.group import Group
from azarr.ref import PendingSelection
from azarr.stores import SCHEMES

METHODS = "a group has keys, members, walk, tree, update_attrs"
MAKING = "arrays are made by azarr.create_array(group.store, f'{group.path}/name', ...)"
MOST_NAMES = 9
"""Names of a folder that are shown."""
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


async def explain(error: Exception, store: Any, path: str) -> None:
    """Add to the text of an error of opening what is known of its reason."""
    if isinstance(error, NodeNotFound) or isinstance(error.__cause__, NotADirectoryError):
        name, where = path.rpartition("/")[2], getattr(store, "root", None)
        more = f"; for the attribute: (await ref).{name}" if is_attribute(name) else ""
        if isinstance(where, Path):
            more += await offload(lambda: _seen(where, path))
        error.args = (f"{error}{more}",)
    elif re.search(r"can't be (used in 'await' expression|awaited)", str(error)):
        error.args = (f"{store!r} is no store: its get must be `async def get(self, key, byte_range=None)` ({error})",)
    elif "create_array() missing" in str(error):
        error.args = (f"nothing stands there, or it is to be replaced, so an array is made, of a shape and a dtype ({error})",)


def _seen(root: Path, path: str) -> str:
    """What of the folder `path` below `root` there is, for who reads that there is no node."""
    if root.name in RESERVED and root.is_file():
        return f"; {str(root)!r} is the metadata document itself: open {str(root.parent)!r}"
    parts = Path(path).parts
    folder = next((place for count in range(len(parts), -1, -1) if (place := root.joinpath(*parts[:count])).exists()), None)
    if folder is None and str(root).partition(":/")[0] in SCHEMES:
        return f"; {str(root)!r} looks like a URL with one '/': a URL is text, never a Path"
    if folder is None:
        return f"; there is no folder {str(root)!r}"
    if not folder.is_dir():
        return f"; {str(folder)!r} is a file"
    names = sorted(each.name + "/" * each.is_dir() for each in itertools.islice(folder.iterdir(), MOST_NAMES))
    held = f"holds {', '.join(names)}{', ...' * (len(names) == MOST_NAMES)}" if names else "is empty"
    return f"; the folder {str(folder)!r} {held}"


def no_text(data: bytes, key: str, why: object) -> MetadataError:
    """The error of `data` that are no document."""
    start = data[:15].decode(errors="replace")
    more = f"; it begins with {start!r}: a page came in its place, is the URL right?" if data[:1] == b"<" else ""
    if data.startswith(b"\xef\xbb\xbf"):
        more = "; it begins with a byte-order mark, which JSON must not have"
    return MetadataError(why if isinstance(why, str) else f"not valid JSON ({why}){more}", document=key)


def credentials(status: int) -> str:
    """What to pass to a store of HTTP whose server answers so."""
    if status not in (401, 403):
        return ""
    return f"; HTTPStore(headers=, auth=) have credentials, missing=({status}, 404) is for servers that answer so to what is not there"


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
