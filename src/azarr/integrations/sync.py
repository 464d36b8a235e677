"""The bridge for those who cannot await: one function, on every platform.

    from azarr.integrations import sync

    part = sync.run(azarr.open_group("data.zarr").var[5:])
"""

from collections.abc import Awaitable
from typing import TypeVar

from azarr._platform import run_sync

T = TypeVar("T")


def run(awaitable: Awaitable[T]) -> T:
    """What `awaitable` gives, while the caller waits: its event loop, if it has one, stands still.

    In CPython it is awaited on a loop in a thread, which lives as long as the process, and is the same each time. In the browser it is
    awaited on the page's loop, where WebAssembly can switch stacks (JSPI); elsewhere it raises an `AzarrError` at once.
    """
    return run_sync(awaitable)
