"""Groups of Zarr as xarray sees them: variables that are read when they are looked at, with dimensions, attributes and encoding.

xarray asks for data in the middle of making a dataset. What it asks for is noted, and answered with zeros; then all of it is read at
once, and the dataset is made again of what was read. So nothing waits while xarray runs, and nothing is read one after the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextvars import ContextVar
from importlib import import_module
from typing import Any, TypeVar, cast

import numpy as np

import azarr
from azarr._engine import all_of
from azarr.codecs.registry import CODECS
from azarr.errors import MetadataError, MissingPackage, NodeNotFound
from azarr.grid import RectilinearAxis
from azarr.integrations import sync
from azarr.metadata import codecs_from_json

try:
    backends: Any = import_module("xarray.backends")
    coding: Any = import_module("xarray.backends.zarr")  # of it what needs no zarr-python: how xarray's attributes are coded
    indexing: Any = import_module("xarray.core.indexing")
    xarray: Any = import_module("xarray")
except ImportError as error:
    raise MissingPackage("the engine for xarray", "xarray", "pip install 'azarr[xarray]'") from error

T = TypeVar("T")
ARRAY_BYTES = ("codecs.bytes.Bytes", "codecs.vlen.VLen", "codecs.sharding.Sharding", "integrations.numcodecs.ForeignSerializer")

_asked: ContextVar[tuple[dict[str, Any], dict[str, azarr.Selection]] | None] = ContextVar("asked", default=None)
"""While a dataset is made: answers that are there, and what has to be read."""


class StoredVariable(backends.BackendArray):
    """The elements of an array, read as they are indexed: in the loop that awaits them, or else over the bridge `sync.run`."""

    __slots__ = ("_array", "dtype", "shape")

    def __init__(self, array: azarr.Array) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def selected(self, key: Any) -> azarr.Selection:
        """What an indexer of xarray selects."""
        ways = {indexing.OuterIndexer: self._array.oindex, indexing.VectorizedIndexer: self._array.vindex}
        return ways.get(type(key), self._array)[key.tuple]

    async def async_getitem(self, key: Any) -> Any:
        """Read on the running loop. Errors: those of `Selection.read`."""
        return self._with_dtype(await self.selected(key).read())

    def __getitem__(self, key: Any) -> Any:
        if (asked := _asked.get()) is None:
            return sync.run(self.async_getitem(key))
        known, wanted = asked
        chosen, basic = self.selected(key), all(isinstance(each, int | slice) for each in key.tuple)
        part: Any = key.tuple if basic and self._array.nchunks <= 1 else ()  # its chunk is read once, whatever is asked for of it
        spelled = "" if part else [each.tolist() if isinstance(each, np.ndarray) else each for each in key.tuple]
        name = f"{self._array.path} {type(key).__name__ if spelled else ''} {spelled}"
        if name not in known:
            wanted[name] = self._array[...] if part else chosen
            return np.zeros(chosen.shape, chosen.dtype)
        return self._with_dtype(known[name][part] if part else known[name])

    def _with_dtype(self, value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            return cast("Any", value)
        found = np.empty((), self.dtype)  # strings, and whatever else NumPy has no scalars for
        found[()] = value
        return found

    def __deepcopy__(self, memo: object) -> StoredVariable:
        return self  # it holds no data


def made(build: Callable[[], T]) -> Generator[Awaitable[Any], Any, T]:
    """What `build` makes, asking for data that are yielded as something to await, and sent back."""
    known = dict[str, Any]()
    while True:
        wanted = dict[str, azarr.Selection]()
        token = _asked.set((known, wanted))
        try:
            result = build()
        except Exception:
            if not wanted:  # else zeros may be to blame
                raise
        else:
            if not wanted:
                return result
        finally:
            _asked.reset(token)
        known |= zip(wanted, (yield all_of([chosen.read() for chosen in wanted.values()])), strict=True)


async def awaited(build: Callable[[], T]) -> T:
    """The same, where one can await."""
    steps, answer = made(build), None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as ended:
            return ended.value
        answer = await step


def waited(build: Callable[[], T]) -> T:
    """The same, where one cannot; inside of another, that one's answers are used."""
    if _asked.get() is not None:
        return build()
    steps, answer = made(build), None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as ended:
            return ended.value
        answer = sync.run(step)


class StoredGroup(backends.common.AbstractDataStore):
    """A group that is open, and its arrays: all that xarray needs to make a dataset without asking anybody but for data."""

    __slots__ = ("arrays", "group", "mask", "path")

    def __init__(self, group: azarr.Group, arrays: Mapping[str, azarr.Array], path: str, *, mask: bool | None = None) -> None:
        self.group, self.arrays, self.path = group, arrays, path
        self.mask: bool = group.zarr_format == 2 if mask is None else mask

    def get_variables(self) -> dict[str, Any]:
        """The arrays, as variables of xarray. Errors: `MetadataError` for one whose dimensions have no names."""
        return {name: variable(array, mask=self.mask) for name, array in self.arrays.items()}

    def get_attrs(self) -> dict[str, Any]:
        return {name: value for name, value in self.group.attrs.items() if not name.lower().startswith("_nc")}

    def without(self, dropped: Any) -> StoredGroup:
        """The same without the arrays `dropped`, a name or several."""
        names = {dropped} if isinstance(dropped, str) else set(dropped or ())
        arrays = {name: array for name, array in self.arrays.items() if name not in names}
        return StoredGroup(self.group, arrays, self.path, mask=self.mask)


class StoredTree(dict[str, StoredGroup]):
    """Groups by their path from the one that was opened, which is "/"."""

    def __init__(self, groups: Mapping[str, StoredGroup], path: str) -> None:
        super().__init__(groups)
        self.path = path


async def open_stored(
    source: Any, *, group: str | None = None, consolidated: bool | None = None, zarr_format: int | None = None, context: Any = None,
    storage_options: Any = None, use_zarr_fill_value_as_mask: bool | None = None, below: bool = False,
) -> StoredTree:  # fmt: skip
    """A group of `source` and its arrays; with those `below` it. Consolidated metadata may be its own, or those of the root.

    Errors: as for `azarr.open_group`; `StoreError` where a store cannot list, and there are no consolidated metadata.
    """
    options: dict[str, Any] = {"zarr_format": zarr_format, "context": context, "storage_options": storage_options}
    path = (group or "").strip("/")
    consolidated = consolidated if keeps_consolidated(source) else False
    opened: Any = azarr.open_group(source, path, consolidated=consolidated, **options)
    if path and consolidated is not False:
        try:
            opened = (await azarr.open_group(source, consolidated=consolidated, **options))[path]
        except NodeNotFound:
            if consolidated:
                raise
    node = await opened
    if isinstance(node, azarr.Array):
        raise azarr.errors.NotAGroup(f"an array stands at {path or '/'} of {node.store!r}; a dataset is made of a group")
    shown = azarr.errors.redact(str(source)) if isinstance(source, str) or hasattr(source, "__fspath__") else ""
    found = dict[str, StoredGroup]()

    async def gather(node: azarr.Group, name: str) -> None:
        members = await node.members()
        arrays = {name: member for name, member in members.items() if isinstance(member, azarr.Array)}
        found[name or "/"] = StoredGroup(node, arrays, shown, mask=use_zarr_fill_value_as_mask)
        if below:
            await all_of([gather(member, f"{name}/{key}") for key, member in members.items() if isinstance(member, azarr.Group)])

    await gather(node, "")
    return StoredTree(dict(sorted(found.items())), shown)


def keeps_consolidated(source: Any) -> bool:
    """Whether consolidated metadata are kept in a store. Stores of zarr-python say so where they are not, such as those of Icechunk."""
    return getattr(getattr(source, "store", source), "supports_consolidated_metadata", True)


def variable(array: azarr.Array, *, mask: bool) -> Any:
    """A variable of xarray, which reads when it is looked at. `mask`: the fill value means that a value is missing."""
    dimensions, attributes, encoding = dimensions_of(array), dict(array.attrs), encoding_of(array)
    if array.zarr_format == 2:
        attributes = {
            name: value for name, value in attributes.items() if name != coding.DIMENSION_KEY and not name.lower().startswith("_nc")
        }
    encoding["preferred_chunks"] = dict(zip(dimensions, encoding["chunks"], strict=True))
    if mask and (array.zarr_format == 3 or array.metadata.document["fill_value"] is not None):
        attributes["_FillValue"] = array.fill_value
    elif not mask and (coded := attributes.get("_FillValue")) is not None:
        if (array.dtype.kind == "f" and isinstance(coded, str)) or (array.dtype.kind == "c" and isinstance(coded, list)):
            attributes["_FillValue"] = coding.FillValueCoder.decode(coded, array.dtype)
        elif array.dtype.kind in "SO":
            attributes["_FillValue"] = coding.FillValueCoder.decode(coded, "bytes")
    data = indexing.LazilyIndexedArray(StoredVariable(array))
    return xarray.Variable(dimensions, data, attributes, encoding)


def dimensions_of(array: azarr.Array) -> tuple[str | None, ...]:
    """The names of the dimensions: those of Zarr v3, or in v2 of xarray, or of NetCDF. Errors: `MetadataError` if there are none."""
    if array.dimension_names is not None:
        return array.dimension_names
    references = array.metadata.document.get("_NCZARR_ARRAY", {}).get("dimrefs")  # of netCDF-C; full names: /group/dimension
    references = references or array.attrs.get("_nczarr_array", {}).get("dimension_references", [])
    if len(references) != array.ndim:
        reason = "xarray needs names of the dimensions (dimension_names, or in v2 the attribute _ARRAY_DIMENSIONS)"
        raise MetadataError(f"{reason}; drop_variables leaves the array out, and azarr reads it without", document=array.document)
    return tuple(str(name).rpartition("/")[2] for name in references)


def encoding_of(array: azarr.Array) -> dict[str, Any]:
    """How the array is stored, in the words of xarray's own backend; codecs are objects as in the metadata document."""
    metadata, shards = array.metadata, array.shards
    if metadata.zarr_format == 2:
        document = metadata.document
        pressed = () if document["compressor"] is None else (document["compressor"],)
        found: dict[str, Any] = {"compressors": pressed, "filters": tuple(map(filter_of, document["filters"] or ()))}
    else:
        codecs = array.codecs
        if shards is not None:
            codecs = next(codecs_from_json(codec.configuration["codecs"], "codecs") for codec in codecs if codec.name == "sharding_indexed")
        place = next((place for place, codec in enumerate(codecs) if CODECS.get(codec.name) in ARRAY_BYTES), 0)
        chain = tuple(codec.to_json() for codec in codecs)
        found = {"filters": chain[:place], "serializer": chain[place], "compressors": chain[place + 1 :], "fill_value": array.fill_value}
    if array.dtype.kind == "T":
        found["dtype"] = array.dtype
    sizes = array.chunks or tuple(sizes_along(axis) for axis in metadata.grid.axes)
    return {"chunks": sizes, "shards": shards, **found}


def filter_of(document: dict[str, Any]) -> Any:
    """A filter of v2 as an object of numcodecs, which is all that zarr-python takes, or as it stands where numcodecs does not know it."""
    try:
        return import_module("numcodecs").get_codec(document)
    except (ImportError, ValueError, TypeError):
        return document


def sizes_along(axis: Any) -> int | tuple[int, ...]:
    """The chunks along an axis: their length, or the length of each where they differ; none beyond its end."""
    if not isinstance(axis, RectilinearAxis):
        return axis.chunk
    starts = [axis.span(index) for index in range(axis.count)]
    return tuple(min(size, axis.length - start) for start, size in starts) or (0,)
