"""Arrays and selections of them: frozen handles on metadata, a store and a path. They hold no data, and read when awaited."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, NoReturn, SupportsIndex, TypeVar

import numpy as np
import numpy.typing as npt

from azarr import selection
from azarr._engine import Block, IndexCache, Target, Tell, read, write
from azarr.access import Access, writable
from azarr.document import is_list
from azarr.dtypes import NumPyDType
from azarr.errors import MetadataError, SelectionError, UnknownCodec
from azarr.grid import Grid
from azarr.layout import Layout, compile_layout
from azarr.metadata import ArrayMetadata, CodecSpec
from azarr.selection import Region

if TYPE_CHECKING:
    from azarr.tools.plans import Plan

Selected = TypeVar("Selected")
COMPUTING = """add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod divmod rdivmod pow rpow matmul rmatmul and rand or
    ror xor rxor lshift rlshift rshift rrshift lt le gt ge neg pos abs invert round int float complex contains array_function"""


def refuse(text: str) -> Callable[..., Any]:
    """A method for what Python would do at once: a `TypeError` that shows the line to write instead."""

    def refused(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        shown = getattr(self, "_shown", "")
        raise TypeError(text.format(shown, shown.removesuffix("[...]")))

    return refused


class Selectable(ABC, Generic[Selected]):
    """The ways to select, which arrays, selections, and references to them share. `_shown` is what errors call it."""

    __slots__ = ()
    _shown = "selection"

    @abstractmethod
    def _then(self, select: Callable[[Selection], Selection]) -> Selected:
        """What `select` makes of this."""

    def __getitem__(self, key: Any) -> Selected:
        """NumPy's basic selection, one index array or mask; or the name of a field, or a list of names, of a struct."""
        return self._then(lambda chosen: _by_key(chosen, key))

    @property
    def oindex(self) -> Indexer[Selected]:
        """`oindex[...]`: an index array, mask, slice or integer for each axis by itself."""
        return Indexer(lambda key: self._then(lambda chosen: chosen.of(selection.orthogonal(chosen.region, key))))

    @property
    def vindex(self) -> Indexer[Selected]:
        """`vindex[...]`: index arrays taken together, point by point; their shape comes first in the result."""
        return Indexer(lambda key: self._then(lambda chosen: chosen.of(selection.vectorised(chosen.region, key))))

    def isel(self, **indexers: Any) -> Selected:
        """By dimension name: `array.isel(time=0, x=slice(5))`. Each axis by itself. Errors: `SelectionError` for a name not there once."""
        return self._then(lambda chosen: _by_name(chosen, indexers))

    __setitem__ = refuse("writing waits, so it is awaited: await {1}[key].write(value)")
    __array__ = refuse("reading waits, so it is awaited: np.asarray(await {0})")
    __iter__ = refuse("reading waits: for x in await {0}: ..., or async for block in {0}.blocks(): ...")
    __bool__ = refuse("the truth of an array is in its values: bool(np.any(await {0}))")


def _same(chosen: Any, other: object) -> bool:
    return chosen is other if other is None or isinstance(other, Selectable) else _compute(chosen)


def _unknown(chosen: Any, name: str) -> NoReturn:
    more = "" if name.startswith("_") else tool("mistakes").no_attribute(chosen, chosen._shown, name)
    raise AttributeError(f"{type(chosen).__name__!r} object has no attribute {name!r}{more}", name=name, obj=chosen)


_compute = refuse("reading waits, so it is awaited: x = await {0}, and then compute with x")
for _name, _method in {**dict.fromkeys(COMPUTING.split(), _compute), "eq": _same, "getattr": _unknown}.items():
    setattr(Selectable, f"__{_name}__", _method)  # not in the class: `__hash__` stays, and type checkers still see what is not there


class Indexer(Generic[Selected]):
    """What `oindex` and `vindex` give: something to put a key in brackets after."""

    __slots__ = ("_select",)

    def __init__(self, select: Callable[[Any], Selected]) -> None:
        self._select = select

    def __getitem__(self, key: Any) -> Selected:
        return self._select(key)


def tool(name: str) -> Any:
    """A module of `azarr.tools`, loaded at first use."""
    return import_module(f"azarr.tools.{name}")


class Array(Selectable["Selection"]):
    """A chunked n-dimensional array in a store. `await array[5:]` reads; `array[5:]` alone asks for nothing."""

    __slots__ = ("_prefix", "_target", "access", "document", "metadata", "path", "store")
    _shown = "array[...]"

    def __init__(self, metadata: ArrayMetadata, access: Access, path: str) -> None:
        self.metadata, self.access, self.store, self.path = metadata, access, access.store, path
        self._prefix = f"{path}/" if path else ""
        self._target: Target | None = None
        self.document = self._prefix + ("zarr.json" if metadata.zarr_format == 3 else ".zarray")

    @property
    def target(self) -> Target:
        """Where chunks come from, for the engine; made at first use. Errors: `UnknownCodec`, `MetadataError`, `LimitExceeded`."""
        if self._target is None:
            try:
                where = f"{self.document} of {self.store!r}"
                layout = compile_layout(self.metadata, where, limits=self.access.context.limits, lenient=self.access.lenient)
            except MetadataError as error:
                raise error.within(self.document) from error.__cause__
            self._target = Target(layout, self.store, self._prefix, IndexCache())
        return self._target

    @property
    def layout(self) -> Layout:
        """What the metadata mean for the chunks. Errors: as for `target`."""
        return self.target.layout

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
    def nbytes(self) -> int:
        """Bytes of the array in memory; for strings and objects, of NumPy's references to them."""
        return self.size * self.dtype.itemsize

    @property
    def _inner(self) -> Grid | None:
        """The grid of inner chunks; without compiling the layout where no codec makes shards."""
        return self.layout.inner if any(codec.name == "sharding_indexed" for codec in self.codecs) else None

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """The shape of what is decoded at a time: a chunk, or where there are shards an inner chunk. None if chunks differ."""
        return (self._inner or self.metadata.grid).chunks

    @property
    def shards(self) -> tuple[int, ...] | None:
        """The shape of a shard, or None where there are no shards."""
        return self.metadata.grid.chunks if self._inner else None

    @property
    def nchunks(self) -> int:
        """Chunks of the array; inner chunks, where there are shards."""
        return (self._inner or self.metadata.grid).nchunks

    @property
    def fill_value(self) -> Any:
        """What absent chunks read as, as a NumPy scalar (`str` or `bytes` for types of varying size)."""
        return self.metadata.fill[()]

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The attributes, as they were read."""
        return tool("attributes").Attributes(self.metadata.attributes)

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

    def _then(self, select: Callable[[Selection], Selection]) -> Selection:
        return select(Selection(self, selection.whole(self.shape)))

    def blocks(self, *, ordered: bool = False, memory: int | str | None = None, progress: Tell = None) -> AsyncGenerator[Block, None]:
        """The whole array, block by block: as `Selection.blocks`."""
        return self[...].blocks(ordered=ordered, memory=memory, progress=progress)

    async def update_attrs(self, attributes: Mapping[str, Any]) -> Array:
        """Merge `attributes` into those that are stored; the array with them. Errors: `ReadOnly`, `WriteConflict`, `StoreError`."""
        return Array(await tool("changes").update_attributes(self.access, self.path, self.metadata, attributes), self.access, self.path)

    async def resize(self, shape: SupportsIndex | Iterable[SupportsIndex], *, clear: bool = False) -> Array:
        """The array in another shape, as a new handle. Chunks that lie outside then are deleted.

        What a chunk at the edge holds beyond it stays, and is seen again if the array grows again, unless that is done with `clear`.
        Errors: `ReadOnly`, `MetadataError`, `WriteConflict`, `StoreError`.
        """
        lengths = tuple(tool("creation").lengths(shape, "shape"))
        return Array(await tool("changes").resize(self.access, self.path, self.metadata, lengths, clear=clear), self.access, self.path)

    async def append(self, values: Any, axis: int = 0) -> Array:
        """Add `values` at the end of `axis`; the larger array, as a new handle. Concurrent appends each have their rows, none lost.

        On local disk and in memory rows are seen once they are stored. Elsewhere their place is reserved first, and reads as the fill
        value until then. Errors: `ReadOnly`, `WriteConflict`, `StoreError`; `ValueError` for values that do not fit.
        """
        rows = tool("values").plain(values, self.dtype)
        return Array(await tool("changes").append(self.access, self.path, self.metadata, rows, axis), self.access, self.path)

    async def presence(self) -> npt.NDArray[np.bool_]:
        """Which chunks (inner chunks) are stored: one element for each, in as many dimensions as the array has.

        Asks for no chunk; for the index of each shard. Where the store cannot list, it asks for the first byte of each chunk.
        Errors: `StoreError`; `LimitExceeded` for more chunks than a result may have bytes.
        """
        return await tool("surveying").presence(self.target, self.access.context)

    async def nbytes_stored(self) -> int:
        """Bytes of all chunks or shards that are stored, metadata aside."""
        return await tool("surveying").stored_nbytes(self.target, self.access.context)

    async def compact(self) -> int:
        """Close the gaps in shards that other writers left; the bytes that this freed. azarr itself leaves none.

        Each shard is replaced as a whole or not at all, and no concurrent write is lost. Errors: as for `Selection.write`.
        """
        writable(self.access, self.path)
        return await tool("surveying").compact(self.target, self.access.context)

    def to_dask(self, chunks: Any = "auto") -> Any:
        """A `dask.array.Array` that reads when it is computed: as `azarr.integrations.dask.from_array`. Errors: `MissingPackage`."""
        return import_module("azarr.integrations.dask").from_array(self, chunks)

    def __reduce__(self) -> Any:  # small: what the metadata mean is worked out where it is read
        return Array, (self.metadata, self.access, self.path)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __repr__(self) -> str:
        return tool("display").array_text(self)

    def _repr_html_(self) -> str:
        return tool("display").array_html(self)


class Selection(Selectable["Selection"]):
    """Some elements of `array`: those of `region`, or of them the fields `names`. Immutable; `await` reads them, each time again."""

    __slots__ = ("array", "names", "region")

    def __init__(self, array: Array, region: Region, names: str | list[str] | None = None) -> None:
        self.array, self.region, self.names = array, region, names

    def of(self, region: Region) -> Selection:
        """The same of another region."""
        return Selection(self.array, region, self.names)

    @property
    def _element(self) -> NumPyDType:
        names: Any = self.names  # a list gives several fields, which NumPy's types do not say
        return self.array.dtype if names is None else self.array.dtype[names]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result; a field that is an array itself adds its axes at the end."""
        return self.region.shape + self._element.shape

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
    def nbytes(self) -> int:
        """Bytes of the result."""
        return self.size * self.dtype.itemsize

    def _then(self, select: Callable[[Selection], Selection]) -> Selection:
        return select(self)

    def __await__(self) -> Generator[Any, None, Any]:
        return self.read().__await__()

    async def read(self, out: npt.NDArray[Any] | None = None, *, progress: Tell = None) -> Any:
        """The elements, as a NumPy array of this shape (a scalar if the shape is `()`, as NumPy gives), or into `out`.

        `out` has this shape and dtype, in any memory order. `progress(done, total)` is told chunks (inner chunks, where there are shards).
        Errors: `StoreError` and those below it, which name store and key.
        """
        found = await read(self.array.target, self.region, self.array.access.context, fields=self.names, out=out, progress=progress)
        return found[()] if out is None else found

    async def write(self, values: Any, *, write_empty: bool = False, progress: Tell = None) -> None:
        """Store `values`, broadcast to this shape, as these elements. Do not change `values` until it returns.

        Each chunk (each shard) is replaced as a whole or not at all; those that are covered in part are read, changed and put back, and
        no concurrent write is lost. Chunks of nothing but the fill value, bit for bit, are not stored unless `write_empty`.
        Where a position is selected several times, the last value stays. `progress(done, total)` is told chunks or shards.
        Errors: `ReadOnly`, `WriteConflict`, `StoreError`;
        `PartialWrite`, which has the keys, where some chunks were stored before one failed.
        """
        writable(self.array.access, self.array.path)
        if unknown := [codec.name for codec in self.array.codecs if codec not in self.array.layout.metadata.codecs]:
            raise UnknownCodec("to write, known codecs are needed", field="codecs", value=unknown, document=self.array.document)
        given = tool("values").plain(values, self._element.base)
        try:
            source = np.broadcast_to(given, self.shape)
        except ValueError:
            raise ValueError(f"values of shape {given.shape} could not be broadcast to the selection's shape {self.shape}") from None
        context = self.array.access.context
        await write(self.array.target, self.region, source, context, fields=self.names, empty=write_empty, progress=progress)

    def blocks(self, *, ordered: bool = False, memory: int | str | None = None, progress: Tell = None) -> AsyncGenerator[Block, None]:
        """Stream the elements, a block for each chunk or shard; `block.region` says where in this selection `block.data` stand.

        Blocks come as they are read, or with `ordered` in the selection's order. At most `memory` bytes of blocks (by default
        the context's) are read or waiting at a time, and one block at least. `progress(done, total)` is told blocks.
        """
        target, context, itemsize = self.array.target, self.array.access.context, self._element.itemsize
        how: dict[str, Any] = {"ordered": ordered, "memory": memory, "progress": progress}
        return tool("blocks").blocks_of(target, self.region, itemsize, context, fields=self.names, **how)

    def plan(self) -> Plan:
        """What a read would do: chunks, objects, bytes. Nothing is asked for."""
        return tool("plans").plan(self.array.target, self.region, self._element)

    def __repr__(self) -> str:
        field = "" if self.names is None else f" field {self.names!r}"
        return f"<Selection {self.shape} {self.dtype}{field} of {self.array!r}; await it to read>"


def _by_key(chosen: Selection, key: Any) -> Selection:
    """What `[key]` means: a field or fields by name, or a basic selection."""
    names = [key] if isinstance(key, str) else key
    if not is_list(names) or not names or not all(isinstance(name, str) for name in names):
        return chosen.of(selection.basic(chosen.region, key))
    if isinstance(chosen.names, str):
        raise SelectionError(f"{key!r} of the field {chosen.names!r} cannot be selected: read the field, and index the result")
    known = chosen.dtype.names or ()
    if not set(names) <= set(known):
        raise SelectionError(f"no field of name {key!r}; there are {', '.join(known) or 'no fields'}")
    return Selection(chosen.array, chosen.region, key)


def _by_name(chosen: Selection, indexers: dict[Any, Any]) -> Selection:
    names = chosen.array.dimension_names or ()
    of = [names[entry] if names and isinstance(entry, int) else None for entry in chosen.region.layout]
    for name in indexers:
        if (count := of.count(name)) != 1:
            raise SelectionError(f"{count or 'no'} dimensions are called {name!r}; there are {', '.join(map(str, names)) or 'no names'}")
    return chosen.of(selection.orthogonal(chosen.region, tuple([indexers.get(name, slice(None)) for name in of])))
