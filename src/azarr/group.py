"""Groups: frozen handles on metadata, a store and a path. They hold no members, and ask for them when awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from azarr import _display, _nodes
from azarr.array import Array
from azarr.context import Context
from azarr.errors import StoreError
from azarr.grid import check_path
from azarr.metadata import GroupMetadata
from azarr.ref import Ref
from azarr.stores.base import Listing

__all__ = ["Group"]


class Group:
    """A group in a store. `group["a/b"]` and `group.a` are references, to be awaited; `await group.members()` asks the store."""

    def __init__(self, metadata: GroupMetadata, store: Any, path: str, *, context: Context, mode: str = "r", lenient: bool = False) -> None:
        self.metadata, self.store, self.path = metadata, store, path
        self.context, self.mode, self.lenient = context, mode, lenient

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The attributes, as they were read."""
        return MappingProxyType(dict(self.metadata.attributes))

    @property
    def zarr_format(self) -> int:
        return self.metadata.zarr_format

    @property
    def known(self) -> list[str]:
        """Names of members that are known without asking the store: those in consolidated metadata."""
        consolidated = self.metadata.consolidated or {}
        return list(dict.fromkeys(path.partition("/")[0] for path in consolidated))

    async def keys(self) -> list[str]:
        """Names of the members."""
        return list(await self.members())

    async def members(self) -> dict[str, Array | Group]:
        """The arrays and groups right below, by name: from consolidated metadata, else by listing the store.

        Errors: `StoreError` where there is no consolidated metadata and the store cannot list, as over plain HTTP.
        """
        names = await self._names()
        nodes = await _nodes.open_members(self, names)
        return {name: _as_node(node, self) for name, node in nodes.items()}

    async def walk(self) -> AsyncIterator[tuple[str, Array | Group]]:
        """Everything below: (path from here, node), a group before its members."""
        for name, node in (await self.members()).items():
            yield name, node
            if isinstance(node, Group):
                async for path, below in node.walk():
                    yield f"{name}/{path}", below

    async def tree(self) -> _display.Tree:
        """A picture of everything below: text by `str`, HTML in a notebook."""
        return _display.Tree.of(self.path or "/", [item async for item in self.walk()])

    async def _names(self) -> list[str]:
        if self.metadata.consolidated is not None:
            return self.known
        if not isinstance(self.store, Listing):
            raise StoreError("this store cannot list, and the group has no consolidated metadata; open members by name", store=repr(self.store), key=self.path)
        return [name[:-1] async for name in self.store.list_dir(self.path) if name.endswith("/") and _nodes.may_be_node(name[:-1])]

    def __getitem__(self, path: str) -> Ref:
        """A reference to a member, or to a node further below; nothing is asked for until it is awaited."""
        return self._ref(path)

    def __getattr__(self, name: str) -> Ref:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._ref(name)

    def _ref(self, path: str) -> Ref:
        async def open_node(path: str, kind: str) -> Array | Group:
            return _as_node((check_path(f"{self.path}/{path}"), await _nodes.find_below(self, path, kind)), self)

        return Ref(open_node, check_path(path), "node", repr(self.store))

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self.known if name.isidentifier())]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.metadata.consolidated or {})

    def __setitem__(self, name: str, value: Any) -> NoReturn:
        raise TypeError("writing waits, so it is awaited: await azarr.create_array(group.store, path, ...)")

    def __iter__(self) -> NoReturn:
        raise TypeError("listing waits, so it is awaited: for name in await group.keys(): ...")

    def __contains__(self, name: object) -> NoReturn:
        raise TypeError("looking waits, so it is awaited: name in await group.keys()")

    def __repr__(self) -> str:
        return _display.group_text(self)

    def _repr_html_(self) -> str:
        return _display.group_html(self)


def _as_node(metadata: Any, parent: Group) -> Array | Group:
    path, found = metadata
    return make_node(found, parent.store, path, context=parent.context, mode=parent.mode, lenient=parent.lenient)


def make_node(metadata: Any, store: Any, path: str, *, context: Context, mode: str, lenient: bool) -> Array | Group:
    """The handle for what a document describes."""
    kind = Group if isinstance(metadata, GroupMetadata) else Array
    return kind(metadata, store, path, context=context, mode=mode, lenient=lenient)
