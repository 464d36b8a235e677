"""For tests: the contract that every store keeps, and a store that notes what it is asked for. Only the contract needs pytest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from azarr.errors import MissingPackage
from azarr.stores.base import ByteRange, Store, Value

if TYPE_CHECKING:
    from azarr.testing.contract import StoreContract

__all__ = ["CountingStore", "StoreContract"]


def __getattr__(name: str) -> Any:
    if name != "StoreContract":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import_module("pytest").register_assert_rewrite("azarr.testing.contract")  # so that what fails says what it compared
    except ImportError as error:
        raise MissingPackage("StoreContract", "pytest", "pip install pytest") from error
    return import_module("azarr.testing.contract").StoreContract


class CountingStore:
    """Passes reads on to `inner`; `requests` lists (key, byte range), `nbytes` adds up what came back.

    The number of requests is part of azarr's contract. It always waits, so reads through it take the way of stores on the network.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.requests: list[tuple[str, ByteRange | None]] = []
        self.nbytes = 0

    def __repr__(self) -> str:
        return f"CountingStore({self.inner!r})"

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        self.requests.append((key, byte_range))
        value = await self.inner.get(key, byte_range)
        if value is not None:
            self.nbytes += len(value.data)
        return value
