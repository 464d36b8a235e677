"""Sessions of Icechunk as stores of azarr: read, and written to. What becomes of it, a commit or nothing, is for the session to say.

Others never change what a session shows, so in one that is read only, each object is of the version that its snapshot is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib import import_module
from secrets import token_hex
from typing import Any

from azarr.errors import MissingPackage, ReadOnly, StoreError
from azarr.integrations.zarr_stores import ZarrPythonStore
from azarr.stores.base import ByteRange, Value, check_key
from azarr.stores.foreign import translated

try:
    icechunk: Any = import_module("icechunk")
except ImportError as error:
    raise MissingPackage("a session of Icechunk", "icechunk", "pip install 'azarr[icechunk]'") from error


class SessionReadOnly(StoreError, ReadOnly):
    """The session was opened to read, or was committed."""


class IcechunkStore(ZarrPythonStore):
    """What a session of Icechunk holds; `session` or its `store`. `azarr.open` takes both, too.

    It is pickled where the session can be: read only, or forked. Errors: `SessionReadOnly`, also for one that was
    committed; `StoreError`, also for what Icechunk does not keep: Zarr v2, and chunks under other keys than `c/0/0`.
    """

    commits = True
    """Nobody sees what is written before it is committed."""

    def __init__(self, session: Any) -> None:
        if isinstance(session, icechunk.Repository):
            raise TypeError("a repository is opened by a session: repo.readonly_session('main'), or repo.writable_session('main')")
        super().__init__(session.store if isinstance(session, icechunk.Session) else session)

    def __repr__(self) -> str:
        session = self.store.session
        return f"IcechunkStore({session.snapshot_id!r})" if session.read_only else f"IcechunkStore(branch={session.branch!r})"

    @property
    def identity(self) -> str:
        """The same text for stores of the same snapshot."""
        return f"icechunk {self._version or token_hex()}"

    @property
    def _version(self) -> str | None:
        session = self.store.session
        return session.snapshot_id if session.read_only else None

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        version = self._version
        if byte_range is None:
            value = await super().get(key)
            return value and value._replace(version=version)
        if (size := await self._size(check_key(key))) is None:
            return None
        start, stop, _ = slice(*byte_range).indices(size)  # Icechunk takes no range that ends behind the object
        value = await self._read(key, (start, stop)) if start < stop else Value(b"")
        return value and Value(value.data, version, size)

    async def _size(self, key: str) -> int | None:
        try:
            return await self.store.getsize(key) if await self.store.exists(key) else None
        except icechunk.NodeNotFoundError:
            return None
        except Exception as error:
            raise self._error(error) from None

    async def list(self, prefix: str) -> AsyncIterator[str]:
        """Icechunk lists what is below a node; what is below another prefix is found among that."""
        start = f"{check_key(prefix)}/" if prefix else ""
        node, keys = prefix, None
        while keys is None:
            try:
                keys = [key async for key in self.store.list_prefix(f"{node}/" if node else "")]
            except Exception as error:
                if not node or getattr(error, "kind", "") != "bad-key-prefix":
                    raise self._error(error) from None
                node = node.rpartition("/")[0]
        for key in keys:
            if key.startswith(start):
                yield key

    async def _is_object(self, key: str) -> bool:
        try:
            return await self.store.exists(key)
        except Exception as error:
            if getattr(error, "kind", "") == "invalid-key":  # such as the name of a node
                return False
            raise self._error(error) from None

    def _error(self, error: Exception) -> Exception:
        if isinstance(error, icechunk.ReadOnlyError):
            return SessionReadOnly("the session is read only, as all are that were committed; write to repo.writable_session(branch)")
        if isinstance(error, icechunk.IcechunkError):  # what it says first; it has tried again where that may help
            return StoreError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        return translated(error)
