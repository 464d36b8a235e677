"""References: places in a hierarchy that are not opened yet. They ask for nothing until they are awaited.

`await ref` opens the node; `ref["path"]` and `ref.name` are places further below; `ref[selection]` opens and then selects.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from typing import Any, Generic, NoReturn, TypeVar

from azarr._engine import Block, Tell
from azarr.array import Array, Selectable, Selection, refuse, tool
from azarr.errors import NodeNotFound, NotAnArray, StoreError
from azarr.grid import check_path

Open = Callable[[str], Awaitable[Any]]
"""Opens the node at a path."""
Node = TypeVar("Node", covariant=True)


class Ref(Selectable["PendingSelection"], Generic[Node]):
    """A node that will be opened each time it is awaited: `await ref` gives the `Array` or `Group`."""

    __slots__ = ("_open", "_path", "_store")
    _shown = "ref[...]"

    def __init__(self, open_node: Open, path: str, store: Any) -> None:
        self._open, self._path, self._store = open_node, path, store

    def __await__(self) -> Generator[Any, None, Node]:
        return self.open().__await__()

    async def open(self) -> Node:
        """The node: an `Array` or a `Group`. Errors: `NodeNotFound`, `MetadataError`, `StoreError`."""
        try:
            node = await self._open(self._path)
        except (NodeNotFound, StoreError, TypeError) as error:
            await tool("mistakes").explain(error, self._store, self._path)
            raise
        array: Any = node
        if isinstance(array, Array):
            array.layout  # noqa: B018  # made here, so that a codec nobody knows is an error of opening
        return node

    def _then(self, select: Callable[[Selection], Selection]) -> PendingSelection:
        return PendingSelection(self, select)

    def __getitem__(self, key: Any) -> Any:
        """A deeper reference for a path; for anything else a selection of the array that stands here."""
        below: Any = Ref
        return below(self._open, check_path(f"{self._path}/{key}"), self._store) if isinstance(key, str) else super().__getitem__(key)

    def __getattr__(self, name: str) -> Ref[Any]:
        if name.startswith("_") or name == "then":  # JavaScript takes what has a `then` for a promise
            raise AttributeError(name)
        return self[name]

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise tool("mistakes").no_method(self._path)

    __iter__ = __len__ = __contains__ = refuse("not opened yet: await it first")

    def __repr__(self) -> str:
        return f"<Ref {self._path or '/'} of {self._store!r}; not opened yet: await it>"


class PendingSelection(Selectable["PendingSelection"]):
    """A selection of an array that is not opened yet: `await` opens the array, and reads."""

    __slots__ = ("_ref", "_select")

    def __init__(self, ref: Ref[Any], select: Callable[[Selection], Selection]) -> None:
        self._ref, self._select = ref, select

    def __await__(self) -> Generator[Any, None, Any]:
        return self.read().__await__()

    async def open(self) -> Selection:
        """The `Selection`, once the array is open. Errors: those of opening; `SelectionError`; `NotAnArray`."""
        node = await self._ref.open()
        if not isinstance(node, Array):
            raise NotAnArray(f"a group stands at {self._ref!r}; only arrays are selected from")
        return self._select(node[...])

    async def read(self, out: Any = None, *, progress: Tell = None) -> Any:
        """Open, then read: as `Selection.read`."""
        return await (await self.open()).read(out, progress=progress)

    async def write(self, values: Any, *, write_empty: bool = False, progress: Tell = None) -> None:
        """Open, then write: as `Selection.write`."""
        await (await self.open()).write(values, write_empty=write_empty, progress=progress)

    async def blocks(self, *, ordered: bool = False, memory: int | str | None = None, progress: Tell = None) -> AsyncGenerator[Block, None]:
        """Open, then stream: as `Selection.blocks`."""
        async with aclosing((await self.open()).blocks(ordered=ordered, memory=memory, progress=progress)) as blocks:
            async for block in blocks:
                yield block

    def _then(self, select: Callable[[Selection], Selection]) -> PendingSelection:
        return PendingSelection(self._ref, lambda chosen: select(self._select(chosen)))

    def __repr__(self) -> str:
        return f"<selection of {self._ref!r}>"
