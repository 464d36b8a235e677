"""For tests: a store around a store that notes what it is asked for. The number of requests is part of azarr's contract."""

from __future__ import annotations

from azarr.stores.base import ByteRange, Store, Value

__all__ = ["CountingStore"]


class CountingStore:
    """Passes reads on to `inner`; `requests` lists (key, byte range), `nbytes` adds up what came back.

    It always waits, so reads through it take the way of stores on the network.
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
