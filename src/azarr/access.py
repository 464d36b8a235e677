"""How nodes are reached: a store, and what was said when the first of them was opened. Knows no node."""

from typing import Any, NamedTuple

from azarr.context import Context


class Access(NamedTuple):
    """The same for a group and all below it. `consolidated` metadata: None takes what there are, True insists, False does not look."""

    store: Any
    context: Context
    mode: str = "r"
    zarr_format: int | None = None
    consolidated: bool | None = None
    lenient: bool = False
