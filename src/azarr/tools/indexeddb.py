"""What a cache keeps across reloads of a page: a database of the browser, in at most so many bytes, shared by all tabs and workers."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from azarr.errors import StoreError
from azarr.integrations.javascript import outcome, script
from azarr.stores.base import Kept, Value
from azarr.tools.caching import What, packed, place_of, unpacked


class Database:
    """The IndexedDB database `name`. Each change is one transaction, and what was not used for the longest time goes with it."""

    def __init__(self, name: str, most: int, store: str) -> None:
        self.name, self.store = name, store
        self._database = script("tools/indexeddb.js", "IndexedDB is a database of theirs; disk= takes a folder")(f"azarr {name}", most)

    async def read(self, what: What) -> tuple[Kept, float] | None:
        """What is kept, if it is whole; and when it was checked."""
        try:
            found = await self._run("read", self._place(what), time.time())
        except StoreError:  # a browser that refuses has nothing
            return None
        if found is None:
            return None
        data, checked = found
        if (kept := unpacked(what, data.to_bytes())) is not None:
            return kept, checked
        await self.forget(what[0])
        return None

    async def write(self, what: What, value: Value, checked: float) -> None:
        await self._run("write", self._place(what), packed(what, value), checked, time.time())

    async def touch(self, what: What, checked: float) -> None:
        with suppress(StoreError):
            await self._run("touch", self._place(what), checked, time.time())

    async def forget(self, key: str) -> None:
        await self._run("forget", place_of(self.store, (key, None))[0] + "/")

    def _place(self, what: What) -> str:
        return "/".join(place_of(self.store, what))

    async def _run(self, verb: str, *arguments: Any) -> Any:
        name, value = await outcome(getattr(self._database, verb)(*arguments))
        if name:
            raise StoreError(f"the browser's database {self.name!r}: {name}: {value}")
        return value
