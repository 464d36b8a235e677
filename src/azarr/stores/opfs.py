"""The browser's own files: the origin private file system, or a folder that the user picked. In a page and in workers alike.

Missing means that the browser said so of the name; all else raises. An object is there as a whole or not at all; conditional changes
exclude each other in all tabs and workers of a site.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from azarr.errors import StoreError
from azarr.integrations.javascript import outcome, script
from azarr.scratch import Buffer, view
from azarr.stores.base import ANY, ByteRange, Value, check_key

REASONS = {
    "QuotaExceededError": "the browser gives this site no more space; delete something, or ask for navigator.storage.persist()",
    "AbortError": "the browser could not write all of it, most likely because it gives this site no more space",
    "NotAllowedError": "the user has not allowed it; ask by handle.requestPermission({mode: 'readwrite'}) when something is clicked",
    "TypeMismatchError": "an object stands where a folder should be, or a folder where an object should be",
}
"""What errors of the browser mean, by their names."""


class OPFSStore:
    """Objects as files below `root`: a path in the origin private file system, or the `FileSystemDirectoryHandle` of a folder.

    Nothing is read or made until it is asked for. What is written is there after a reload, until the user or the browser clears the site.
    """

    def __init__(self, root: Any = "") -> None:
        path = root if isinstance(root, str) else None
        store = script("stores/opfs.js", "OPFSStore has the browser's own files; LocalStore has those of an operating system")
        if path:
            check_key(path)
        self.root, self._files = root, store(path or "", root if path is None else None)

    def __repr__(self) -> str:
        return f"OPFSStore({self.root if isinstance(self.root, str) else self.root.name!r})"

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        found = await self._run("get", check_key(key), *(byte_range or (0, None)))
        if found is None:
            return None
        data, version, size = found
        return Value(data.to_bytes(), version, size)  # the one copy, from the browser's memory

    async def replace(self, key: str, data: Buffer | None, version: str | None) -> bool:
        return await self._run("put", check_key(key), None if data is None else view(data), version)

    async def set(self, key: str, data: Buffer) -> None:
        await self.replace(key, data, ANY)

    async def delete(self, key: str) -> None:
        await self.replace(key, None, ANY)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        for key in await self._run("list", check_key(prefix) if prefix else "", True):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for name in await self._run("list", check_key(prefix) if prefix else "", False):
            yield name

    @contextlib.asynccontextmanager
    async def hold(self, key: str) -> AsyncGenerator[None]:
        operation = self._files.hold(check_key(key))
        try:
            await self._done(operation, key)
            yield
        finally:
            operation[1]()  # lets go

    async def clean(self) -> None:
        await self._done(self._files.clean())

    async def _run(self, verb: str, key: str, *arguments: Any) -> Any:
        return await self._done(getattr(self._files, verb)(key, *arguments), key)

    async def _done(self, operation: Any, key: str = "") -> Any:
        name, value = await outcome(operation)
        if name:
            raise StoreError(f"{name}: {REASONS.get(name, value)}", store=repr(self), key=key)
        return value
