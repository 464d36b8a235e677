"""How nodes are reached: a store, and what was said when the first of them was opened. Knows no node."""

from dataclasses import dataclass
from typing import Any

from azarr.context import Context


@dataclass(frozen=True, slots=True)
class Access:
    """The same for a group and all below it. `consolidated` metadata: None takes what there are, True insists, False does not look."""

    store: Any
    context: Context
    mode: str = "r"
    zarr_format: int | None = None
    consolidated: bool | None = None
    lenient: bool = False
