"""azarr: the async Zarr library. Chunked n-dimensional arrays, read and written with `await`.

    import azarr

    g = azarr.open_group("https://host/data.zarr")
    part = await g.var[5:]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from azarr import errors, stores
from azarr._engine import Block
from azarr._open import create_array, create_group, open, open_array, open_consolidated, open_group  # noqa: A004  # the verb of the field
from azarr.array import Array, Selection
from azarr.context import Context, Counters, Event, Retries
from azarr.group import Group
from azarr.limits import Limits
from azarr.ref import Ref

if TYPE_CHECKING:
    from azarr.tools.caching import Cached
    from azarr.tools.copying import copy
    from azarr.tools.plans import Plan
    from azarr.tools.progress import progress
    from azarr.tools.verbs import consolidate, delete, load, read_many, save
    from azarr.tools.verification import Report, verify

__version__ = "0.1.0"
_LATER = {
    "Cached": "caching",
    "copy": "copying",
    "Plan": "plans",
    "progress": "progress",
    **dict.fromkeys(("verify", "Report"), "verification"),
    **dict.fromkeys(("consolidate", "delete", "load", "read_many", "save"), "verbs"),
}
"""Names that are imported when they are first asked for, and their modules of `tools`."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'azarr' has no attribute {name!r}")
    return getattr(import_module(f"azarr.tools.{_LATER[name]}"), name)


# fmt: off
__all__ = [
    "open", "open_group", "open_array", "open_consolidated", "create_array", "create_group", "save", "load", "delete",
    "consolidate", "copy", "verify", "read_many", "progress", "Cached", "Ref", "Group", "Array", "Selection",
    "Block", "Plan", "Report", "Context", "Counters", "Event", "Retries", "Limits", "errors", "stores", "__version__",
]
