"""Groups: frozen handles on metadata, a store and a path. They hold no members, and ask for them when awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from azarr import _nodes
from azarr.access import Access
from azarr.array import Array, refuse, tool
from azarr.errors import NodeNotFound, NotAnArray
from azarr.grid import check_path
from azarr.metadata import ArrayMetadata, GroupMetadata
from azarr.ref import Ref


class Group:
    """A group in a store. `group["a/b"]` and `group.a` are references, to be awaited; `await group.members()` asks the store."""

    __slots__ = ("_prefix", "access", "metadata", "path", "store")

    def __init__(self, metadata: GroupMetadata, access: Access, path: str) -> None:
        self.metadata = metadata if access.consolidated is not False else metadata._replace(consolidated=None)
        self.access, self.store, self.path = access._replace(zarr_format=metadata.zarr_format), access.store, path
        self._prefix = f"{path}/" if path else ""

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The attributes, as they were read."""
        return tool("attributes").Attributes(self.metadata.attributes)

    @property
    def zarr_format(self) -> int:
        return self.metadata.zarr_format

    @property
    def known(self) -> list[str]:
        """Names of members that are known without asking the store: those in consolidated metadata."""
        return list(dict.fromkeys(path.partition("/")[0] for path in self.metadata.consolidated or {}))

    async def keys(self) -> list[str]:
        """Names of the members, also of those that cannot be opened. Errors: `StoreError` as for `members`."""
        return list(await tool("members").seen(self))

    async def members(self, *, strict: bool = False) -> dict[str, Array | Group]:
        """The arrays and groups right below, by name: from consolidated metadata, else by listing the store (HTTP: by pages of folders).

        Arrays of unknown data types are left out, with an `UnknownWarning`; with `strict` they are an error, as when they are opened.
        Errors: `StoreError` where there is no consolidated metadata and the store cannot list, or its server shows no folders.
        """
        return await tool("members").members(self, strict=strict)

    async def update_attrs(self, attributes: Mapping[str, Any]) -> Group:
        """Merge `attributes` into those that are stored; the group with them. Errors: `ReadOnly`, `WriteConflict`, `StoreError`."""
        return Group(await tool("changes").update_attributes(self.access, self.path, self.metadata, attributes), self.access, self.path)

    async def walk(self, *, strict: bool = False) -> AsyncIterator[tuple[str, Array | Group]]:
        """Everything below: (path from here, node), a group before its members. `strict` as for `members`."""
        for name, node in (await self.members(strict=strict)).items():
            yield name, node
            if isinstance(node, Group):
                async for path, below in node.walk(strict=strict):
                    yield f"{name}/{path}", below

    async def tree(self) -> Any:
        """A picture of everything below: text by `str`, HTML in a notebook."""
        return tool("display").tree_of(self.path or "/", [item async for item in self.walk()])

    def __getitem__(self, path: str) -> Ref[Any]:
        """A reference to a member, or to a node further below; nothing is asked for until it is awaited."""
        if not isinstance(path, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # people index groups, too
            raise NotAnArray(f"a group stands at {self.path or '/'} of {self.store!r}; group['name'][...] selects from an array in it")
        return Ref(self._open, check_path(self._prefix + path), self.store)

    async def _open(self, path: str) -> Array | Group:
        if self.metadata.consolidated is None:
            return make_node(await _nodes.find(self.access, path, "node"), self.access, path)
        found = _nodes.member(self.metadata, path[len(self._prefix) :], self._prefix, self.access.lenient)
        if found is None:
            raise NodeNotFound(repr(self.store), path, "it in the consolidated metadata; consolidated=False looks into the store")
        return make_node(found, self.access, path)

    def __getattr__(self, name: str) -> Ref[Any]:
        if name.startswith("_") or name == "then":  # JavaScript takes what has a `then` for a promise
            raise AttributeError(name)
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self.known if name.isidentifier())]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.metadata.consolidated or {})

    __setitem__ = refuse("writing waits, so it is awaited: await azarr.create_array(group.store, f'{{group.path}}/name', ...)")
    __iter__ = refuse("listing waits, so it is awaited: for name in await group.keys(): ...")
    __contains__ = refuse("looking waits, so it is awaited: name in await group.keys()")

    def __repr__(self) -> str:
        return tool("display").group_text(self)

    def _repr_html_(self) -> str:
        return tool("display").group_html(self)


def make_node(metadata: ArrayMetadata | GroupMetadata, access: Access, path: str) -> Array | Group:
    """The handle for what a document describes."""
    return Array(metadata, access, path) if isinstance(metadata, ArrayMetadata) else Group(metadata, access, path)
