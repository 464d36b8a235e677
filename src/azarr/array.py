"""Arrays and selections of them: frozen handles on metadata, a store and a path. They hold no data, and read when awaited."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from azarr import _display, selection
from azarr._engine import Block, IndexCache, Target, read, stream, write
from azarr._engine.reading import plan
from azarr.context import Context, bytes_of
from azarr.dtypes import DataType, NumPyDType
from azarr.errors import ReadOnly, SelectionError
from azarr.layout import Layout, compile_layout
from azarr.metadata import ArrayMetadata, CodecSpec
from azarr.plan import Plan, blocks_of
from azarr.selection import Region

__all__ = ["Array", "Selection"]


class Array:
    """A chunked n-dimensional array in a store. `await array[5:]` reads; `array[5:]` alone asks for nothing."""

    __slots__ = ("_indexes", "_layout", "context", "lenient", "metadata", "mode", "path", "store")

    def __init__(self, metadata: ArrayMetadata, store: Any, path: str, *, context: Context, mode: str = "r", lenient: bool = False) -> None:
        self.metadata, self.store, self.path = metadata, store, path
        self.context, self.mode, self.lenient = context, mode, lenient
        self._layout: Layout | None = None
        self._indexes = IndexCache()

    @property
    def layout(self) -> Layout:
        """What the metadata mean for the chunks; made at first use. Errors: `UnknownCodec`, `MetadataError`, `LimitExceeded`."""
        if self._layout is None:
            where = f"{self.path or '/'} of {self.store!r}"
            self._layout = compile_layout(self.metadata, where, limits=self.context.limits, lenient=self.lenient)
        return self._layout

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.metadata.shape

    @property
    def ndim(self) -> int:
        return self.metadata.ndim

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> NumPyDType:
        """NumPy's data type of what a read gives, in native byte order."""
        return self.metadata.dtype.numpy

    @property
    def data_type(self) -> DataType:
        """Zarr's data type."""
        return self.metadata.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of the array in memory; for strings and objects, of NumPy's references to them."""
        return self.size * self.dtype.itemsize

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """The shape of what is decoded at a time: a chunk, or where there are shards an inner chunk. None if chunks differ."""
        return self.layout.read_shape if self._sharded else self.metadata.grid.chunks

    @property
    def shards(self) -> tuple[int, ...] | None:
        """The shape of a shard, or None where there are no shards."""
        return self.metadata.grid.chunks if self._sharded else None

    @property
    def nchunks(self) -> int:
        """Chunks of the array; inner chunks, where there are shards."""
        inner = self.layout.inner
        return self.metadata.grid.nchunks if inner is None else inner.nchunks

    @property
    def fill_value(self) -> Any:
        """What absent chunks read as, as a NumPy scalar (`str` or `bytes` for types of varying size)."""
        return self.metadata.fill[()]

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The attributes, as they were read."""
        return MappingProxyType(dict(self.metadata.attributes))

    @property
    def dimension_names(self) -> tuple[str | None, ...] | None:
        return self.metadata.dimension_names

    @property
    def codecs(self) -> tuple[CodecSpec, ...]:
        """The chain that a chunk goes through to be stored."""
        return self.metadata.codecs

    @property
    def order(self) -> str:
        """"C" or "F": how a v2 array lays out its chunks. v3 has the codec `transpose` instead."""
        return self.metadata.order

    @property
    def zarr_format(self) -> int:
        return self.metadata.zarr_format

    @property
    def _sharded(self) -> bool:
        return any(codec.name == "sharding_indexed" for codec in self.codecs) and self.layout.inner is not None

    @property
    def target(self) -> Target:
        prefix = f"{self.path}/" if self.path else ""
        return Target(self.layout, self.store, prefix, self._indexes)

    def __getitem__(self, key: Any) -> Selection:
        """NumPy's basic selection, one index array or mask; or the name of a field, or a list of names, of a struct."""
        fields = _fields(self.dtype, key)
        region = selection.whole(self.shape)
        return Selection(self, region, fields) if fields is not None else Selection(self, selection.basic(region, key))

    @property
    def oindex(self) -> _Indexer:
        """`oindex[...]`: an index array, mask, slice or integer for each axis by itself."""
        return Selection(self, selection.whole(self.shape)).oindex

    @property
    def vindex(self) -> _Indexer:
        """`vindex[...]`: index arrays taken together, point by point; their shape comes first in the result."""
        return Selection(self, selection.whole(self.shape)).vindex

    def isel(self, **indexers: Any) -> Selection:
        """By dimension name: `array.isel(time=0, x=slice(5))`. Each axis by itself, as in `oindex`."""
        return Selection(self, selection.whole(self.shape)).isel(**indexers)

    def blocks(self, *, ordered: bool = False, memory: int | str | None = None) -> AsyncIterator[Block]:
        """The whole array, block by block."""
        return self[...].blocks(ordered=ordered, memory=memory)

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TypeError("writing waits, so it is awaited: await array[key].write(value)")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("reading waits, so it is awaited: np.asarray(await array[...])")

    def __iter__(self) -> NoReturn:
        raise TypeError("reading waits: async for block in array.blocks(): ...")

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __bool__(self) -> NoReturn:
        raise TypeError("the truth of an array is in its values: bool(np.any(await array[...]))")

    def __repr__(self) -> str:
        return _display.array_text(self)

    def _repr_html_(self) -> str:
        return _display.array_html(self)


class Selection:
    """Some elements of an array. Immutable; `await` reads them, each time again; `[...]` selects further."""

    __slots__ = ("_fields", "_region", "array")

    def __init__(self, array: Array, region: Region, fields: str | list[str] | None = None) -> None:
        self.array, self._region, self._fields = array, region, fields

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result; a field that is an array itself adds its axes at the end."""
        return self._region.shape + self._element.shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> NumPyDType:
        return self._element.base

    @property
    def _element(self) -> NumPyDType:
        return self.array.dtype if self._fields is None else self.array.dtype[self._fields]  # pyright: ignore[reportArgumentType]  # a list gives several

    @property
    def nbytes(self) -> int:
        """Bytes of the result."""
        return self.size * self.dtype.itemsize

    def __await__(self) -> Generator[Any, None, Any]:
        return self.read().__await__()

    async def read(self, out: npt.NDArray[Any] | None = None) -> Any:
        """The elements, as a NumPy array of this shape (a scalar if the shape is `()`, as NumPy gives), or into `out`.

        `out` has this shape and dtype, in any memory order. Errors: `StoreError` and those below it, which name store and key.
        """
        found = await read(self.array.target, self._region, self.array.context, fields=self._fields, out=out)
        return found[()] if out is None else found

    async def write(self, values: Any) -> None:
        """Store `values`, broadcast to this shape, as whole chunks (whole shards).

        Errors: `ReadOnly`, `PartialChunkWrite` if the edges of the selection are not edges of chunks. Do not change `values` until it returns.
        """
        if self.array.mode == "r":
            raise ReadOnly(f"{self.array.path or '/'} was opened to read; open it with mode='r+' to write")
        if self._fields is not None:
            raise SelectionError("a field cannot be written by itself; write whole elements")
        if not self.array.metadata.dtype.fixed and not isinstance(values, np.ndarray):
            values = np.array(values, self.array.dtype)
        source = np.broadcast_to(np.asarray(values, self.array.dtype), self.shape)
        await write(self.array.target, self._region, source, self.array.context)

    async def blocks(self, *, ordered: bool = False, memory: int | str | None = None) -> AsyncIterator[Block]:
        """Stream the elements, a block for each chunk or shard; `block.region` says where in this selection `block.data` stand.

        Blocks come as they are read, or with `ordered` in the selection's order. At most `memory` bytes of blocks (by default
        the context's) are read or waiting at a time, and one block at least.
        """
        bound = self.array.context.nbytes if memory is None else bytes_of(memory)
        target = self.array.target
        grid = target.layout.metadata.grid
        if target.layout.inner is not None and _chunk_bytes(self.array, grid) > bound // 2:
            grid = target.layout.inner
        most = max(1, bound // (2 * _chunk_bytes(self.array, grid)))

        async def read_block(region: tuple[slice, ...]) -> npt.NDArray[Any]:
            if self._region.points:
                return await read(target, self._region, self.array.context, fields=self._fields)
            return await read(target, selection.basic(self._region, region), self.array.context, fields=self._fields)

        blocks = stream(blocks_of(self._region, grid), read_block, ordered=ordered, most=min(most, self.array.context.requests))
        try:
            async for block in blocks:
                yield block
        finally:
            await blocks.aclose()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # an async generator

    def plan(self) -> Plan:
        """What a read would do: chunks, objects, bytes. Nothing is asked for."""
        return plan(self.array.target, self._region, self._fields)

    def __getitem__(self, key: Any) -> Selection:
        fields = _fields(self.dtype, key)
        if fields is not None:
            return Selection(self.array, self._region, fields)
        return Selection(self.array, selection.basic(self._region, key), self._fields)

    @property
    def oindex(self) -> _Indexer:
        return _Indexer(self, selection.orthogonal)

    @property
    def vindex(self) -> _Indexer:
        return _Indexer(self, selection.vectorised)

    def isel(self, **indexers: Any) -> Selection:
        """By dimension name, each axis by itself. Errors: `SelectionError` for a name that is not there, or there twice."""
        names = self.array.dimension_names or ()
        key: list[Any] = [slice(None)] * self.ndim
        for name, item in indexers.items():
            axes = [place for place, axis in enumerate(self._region.layout) if axis >= 0 and names and names[axis] == name]
            if len(axes) != 1:
                raise SelectionError(f"{len(axes)} dimensions are called {name!r}; there are {', '.join(map(str, names)) or 'no names'}")
            key[axes[0]] = item
        return Selection(self.array, selection.orthogonal(self._region, tuple(key)), self._fields)

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TypeError("writing waits, so it is awaited: await selection[key].write(value)")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("reading waits, so it is awaited: np.asarray(await selection)")

    def __iter__(self) -> NoReturn:
        raise TypeError("reading waits: for x in await selection: ..., or async for block in selection.blocks(): ...")

    def __bool__(self) -> NoReturn:
        raise TypeError("the truth of a selection is in its values: bool(np.any(await selection))")

    def __repr__(self) -> str:
        field = "" if self._fields is None else f" field {self._fields!r}"
        return f"<Selection {self.shape} {self.dtype}{field} of {self.array!r}; await it to read>"


class _Indexer:
    """What `oindex` and `vindex` give: something to put a key in brackets after."""

    __slots__ = ("_select", "_selection")

    def __init__(self, of: Selection, select: Callable[[Region, Any], Region]) -> None:
        self._selection, self._select = of, select

    def __getitem__(self, key: Any) -> Selection:
        of = self._selection
        return Selection(of.array, self._select(of._region, key), of._fields)  # pyright: ignore[reportPrivateUsage]  # one module


def _fields(dtype: NumPyDType, key: Any) -> str | list[str] | None:
    """The field or fields that `key` names, or None where it is a selection."""
    if not isinstance(key, str) and not (isinstance(key, list) and key and all(isinstance(name, str) for name in key)):
        return None
    names = [key] if isinstance(key, str) else key
    if dtype.names is None or any(name not in dtype.names for name in names):
        raise SelectionError(f"no field of name {key!r}; there are {', '.join(dtype.names or ()) or 'no fields'}")
    return key


def _chunk_bytes(array: Array, grid: Any) -> int:
    shape = grid.chunks or tuple(axis.span(0)[1] for axis in grid.axes)
    return max(1, math.prod(shape) * array.dtype.itemsize)


