"""How nodes are reached: a store, and what was said when the first of them was opened. Knows no node."""

from typing import Any, NamedTuple

from azarr.context import Context
from azarr.errors import ReadOnly
from azarr.stores.base import WritableStore


class Access(NamedTuple):
    """The same for a group and all below it. `consolidated` metadata: None takes what there are, True insists, False does not look."""

    store: Any
    context: Context
    mode: str = "r"
    zarr_format: int | None = None
    consolidated: bool | None = None
    lenient: bool = False


def writable(access: Access, path: str) -> WritableStore:
    """The store, if this may write to it."""
    if access.mode == "r":
        raise ReadOnly(f"{path or '/'} was opened to read; open it with mode='r+' to write")
    if not isinstance(access.store, WritableStore):
        raise ReadOnly(f"{access.store!r} cannot be written to")
    return access.store
