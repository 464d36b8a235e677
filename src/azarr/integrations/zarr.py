"""azarr's engine as the codec pipeline of zarr-python: it reads and writes the chunks of arrays that zarr-python opened.

    zarr.config.set({"codec_pipeline.path": "azarr.integrations.zarr.CodecPipeline"})

zarr-python gives a list of chunks; here it becomes the one region that it was made of. Whatever does not fit, in store, metadata or
list, is left to zarr-python's own pipeline. Knows zarr-python's lists and azarr's regions; never bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from azarr import document, metadata, v2
from azarr._engine import IndexCache, Target, read, write
from azarr.context import DEFAULT_CONTEXT, Context
from azarr.errors import AzarrError, MissingPackage
from azarr.grid import Grid, KeyEncoding
from azarr.integrations.zarr_stores import AzarrStore
from azarr.layout import Layout, compile_layout
from azarr.selection import Region, Selected
from azarr.stores.local import LocalStore
from azarr.tools.surveying import named_by

try:
    abstract: Any = import_module("zarr.abc.codec")
    own: Any = import_module("zarr.core.codec_pipeline")
    codecs: Any = import_module("zarr.codecs._v2")
    array_spec: Any = import_module("zarr.core.array_spec")
    buffers: Any = import_module("zarr.core.buffer")
    storage: Any = import_module("zarr.storage")
    registry: Any = import_module("zarr.registry")
except ImportError as error:
    raise MissingPackage("the codec pipeline for zarr-python", "zarr", "pip install 'azarr[zarr]'") from error

Base: Any = abstract.CodecPipeline
UNBOUNDED = 1 << 40
"""Chunks along each axis. zarr-python keeps the pipeline when it resizes an array, so its length is not known here."""


class CodecPipeline(Base):
    """For `zarr.config`: arrays on `zarr.storage.LocalStore` and `AzarrStore` are read and written by azarr, others by zarr-python.

    So are data types of varying size, codecs that azarr does not know, and reads where missing chunks are errors.
    Errors: those of azarr (`StoreError` and below it), which are `OSError` and, for damaged data, `ValueError`.
    """

    def __init__(self, array_metadata: Any, store: Any) -> None:
        self.metadata, self.store = array_metadata, store
        self.fallback = _own_pipeline(array_metadata)
        self._engine: _Engine | None = None
        regular = array_metadata.zarr_format == 2 or hasattr(array_metadata.chunk_grid, "chunk_shape")
        self._served = regular and azarr_store(store) is not None

    @classmethod
    def from_array_metadata_and_store(cls, array_metadata: Any, store: Any) -> CodecPipeline:
        return cls(array_metadata, store)

    @classmethod
    def from_codecs(cls, codecs: Iterable[Any]) -> Any:
        """zarr-python's own: for inner chunks, which it asks for where it reads a shard itself."""
        return own.BatchedCodecPipeline.from_codecs(codecs)

    def __reduce__(self) -> Any:
        return CodecPipeline, (self.metadata, self.store)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodecPipeline) and self.fallback == other.fallback

    def __hash__(self) -> int:
        return hash(self.fallback)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fallback)

    @property
    def supports_partial_decode(self) -> bool:
        return self.fallback.supports_partial_decode

    @property
    def supports_partial_encode(self) -> bool:
        return self.fallback.supports_partial_encode

    def evolve_from_array_spec(self, array_spec: Any) -> CodecPipeline:
        return self

    def validate(self, **what: Any) -> None:
        self.fallback.validate(**what)

    def compute_encoded_size(self, byte_length: int, array_spec: Any) -> int:
        return self.fallback.compute_encoded_size(byte_length, array_spec)

    async def decode(self, chunk_bytes_and_specs: Iterable[Any]) -> Any:
        return await self.fallback.decode(chunk_bytes_and_specs)

    async def encode(self, chunk_arrays_and_specs: Iterable[Any]) -> Any:
        return await self.fallback.encode(chunk_arrays_and_specs)

    async def read(self, batch_info: Iterable[Any], out: Any, drop_axes: tuple[int, ...] = ()) -> Any:
        batch: list[Any] = list(batch_info)
        into = out.as_ndarray_like()
        found = self._part(batch, into, drop_axes)
        if found is None or not getattr(batch[0][1].config, "read_missing_chunks", True):
            return await self.fallback.read(batch, out, drop_axes)
        if into.dtype.isnative:
            await read(found.target, found.region, found.context, out=into)
        else:
            into[...] = await read(found.target, found.region, found.context)
        return ({"status": "present"},) * len(batch)  # absent ones have been filled; who wants to know is served above

    async def write(self, batch_info: Iterable[Any], value: Any, drop_axes: tuple[int, ...] = ()) -> None:
        batch, values = list(batch_info), value.as_ndarray_like()
        found = None if self.store.read_only else self._part(batch, values, drop_axes, writing=True)
        if found is None:
            await self.fallback.write(batch, value, drop_axes)
            return
        source = np.broadcast_to(values.astype(found.target.layout.metadata.dtype.numpy, copy=False), found.region.shape)
        await write(found.target, found.region, source, found.context, empty=batch[0][1].config.write_empty_chunks, ends=found.ends)

    def _part(self, batch: list[Any], array: Any, drop_axes: tuple[int, ...], *, writing: bool = False) -> _Part | None:
        """What azarr is to read into `array`, or to write of it; None where it cannot."""
        if not self._served or not batch or type(array) is not np.ndarray or getattr(batch[0][0], "store", None) != self.store:
            return None
        if self._engine is None:
            try:
                self._engine = _Engine(self.metadata, self.store)
            except AzarrError:  # zarr-python may know what azarr does not
                self._served = False
                return None
        return self._engine.part(batch, array, drop_axes, writing)


class _Part(NamedTuple):
    target: Target
    region: Region
    context: Context
    ends: bool
    """Whether chunks at the edge that it covers are replaced unread, as zarr-python has it."""


class _Engine:
    """One array, as azarr sees it. Errors: `AzarrError` for what it cannot read."""

    def __init__(self, array_metadata: Any, store: Any) -> None:
        self.store = azarr_store(store)
        self.context: Context = store.context if isinstance(store, AzarrStore) else DEFAULT_CONTEXT
        self.layout = _layout(array_metadata, repr(store), self.context)
        self.encoding, self.ndim = self.layout.metadata.key_encoding, self.layout.metadata.ndim
        self.parts_of_key = self.encoding.key((0,) * self.ndim).count("/") + 1
        self.dtype = array_metadata.dtype.to_native_dtype()
        self.targets: dict[str, Target] = {}

    def part(self, batch: list[Any], array: npt.NDArray[Any], drop_axes: tuple[int, ...], writing: bool) -> _Part | None:
        known, chunks = self.layout.metadata, self.layout.metadata.grid.chunks
        if chunks is None or not known.dtype.fixed or batch[0][1].shape != chunks:
            return None
        if not array.dtype.newbyteorder("=") == self.dtype.newbyteorder("=") == known.dtype.numpy:
            return None
        parts = batch[0][0].path.split("/")
        prefix = "/".join([*parts[: -self.parts_of_key], ""])
        shape = None if writing and not array.shape else array.shape
        region = _region([(item[0].path, item[2], item[3]) for item in batch], prefix, self.encoding, chunks, shape, drop_axes)
        if region is None:
            return None
        if prefix not in self.targets:
            self.targets[prefix] = Target(self.layout, self.store, prefix, IndexCache())
        target = self.targets[prefix]
        ends = writing and self.layout.inner is None and all(item[4] for item in batch)  # of shards, what lies beyond the array is kept
        if ends:
            target = target._replace(layout=_ending(self.layout, region))
        return _Part(target, region, self.context, ends)


def azarr_store(store: Any) -> Any:
    """azarr's store of the same objects as a store of zarr-python; None where there is none. EXTENSION_POINT: stores that are served."""
    if isinstance(store, AzarrStore):
        return store.store
    return LocalStore(store.root, follow_symlinks="anywhere") if type(store) is storage.LocalStore else None  # it follows all links


def _own_pipeline(array_metadata: Any) -> Any:
    """zarr-python's default pipeline for an array."""
    is_v2 = array_metadata.zarr_format == 2
    chain = [codecs.V2Codec(filters=array_metadata.filters, compressor=array_metadata.compressor)] if is_v2 else array_metadata.codecs
    shape = array_metadata.chunks if is_v2 else getattr(array_metadata.chunk_grid, "chunk_shape", (1,) * len(array_metadata.shape))
    config = array_spec.ArrayConfig.from_dict({"order": array_metadata.order} if is_v2 else {})
    prototype = buffers.default_buffer_prototype()
    spec = array_spec.ArraySpec(shape, array_metadata.dtype, array_metadata.fill_value, config, prototype)
    return own.BatchedCodecPipeline.from_codecs(chain).evolve_from_array_spec(spec)


def _layout(array_metadata: Any, where: str, context: Context) -> Layout:
    """The layout of an array without its lengths: no chunk is at the edge, so none is taken for covered that is not."""
    stored = array_metadata.to_buffer_dict(buffers.default_buffer_prototype())
    documents = {name: document.parse(data.to_bytes(), name, lenient=True) for name, data in stored.items()}
    if array_metadata.zarr_format == 3:
        known = metadata.array_from_json(documents["zarr.json"], lenient=True)
    else:
        known = v2.array_from_json(documents[".zarray"], documents.get(".zattrs", {}), lenient=True)
    if known.grid.chunks is not None:
        shape = tuple([UNBOUNDED * size for size in known.grid.chunks])
        known = known._replace(shape=shape, grid=Grid.regular(shape, known.grid.chunks))
    if array_metadata.fill_value is None:  # v2 only
        known = known._replace(fill=np.asarray(array_metadata.dtype.default_scalar(), known.dtype.numpy))
    return compile_layout(known, where, limits=context.limits, lenient=True)


def _ending(layout: Layout, region: Region) -> Layout:
    """The layout of an array that ends where `region` ends, so that this covers the chunks at the edge."""
    ends = [selected + 1 if isinstance(selected, int) else int(selected[-1]) + 1 for selected in region.axes]
    grid = Grid(tuple([replace(axis, length=end) for axis, end in zip(layout.metadata.grid.axes, ends, strict=True)]))
    return layout._replace(metadata=layout.metadata._replace(shape=tuple(ends), grid=grid))


Item: TypeAlias = tuple[str, Any, Any]
"""Of one chunk: its key, what is selected of it, and where that stands in the result."""
Lengths: TypeAlias = tuple[int, ...]


def _region(
    items: list[Item], prefix: str, encoding: KeyEncoding, chunks: Lengths, shape: Lengths | None, drop_axes: Lengths
) -> Region | None:
    """The region that `items` are cut from, coming out in `shape` (None: in any); None if they are not exactly those of one region."""
    ndim = len(chunks)
    _, first, place = items[0]
    if len(first) != ndim:
        return None

    def coords_of(key: str) -> tuple[int, ...]:
        return named_by(encoding, key[len(prefix) :], ndim) or ()

    if all(isinstance(entry, (int, slice)) for entry in first) and not drop_axes:
        ends = coords_of(items[0][0]), coords_of(items[-1][0])
        if len(ends[0]) != ndim or len(ends[1]) != ndim:
            return None
        region = _sliced(first, items[-1][1], ends, chunks)
    else:
        coords = [coords_of(key) for key, _, _ in items]
        if any(len(each) != ndim for each in coords):
            return None
        region = _by_axes(items, coords, chunks, drop_axes) if isinstance(place, tuple) else _by_points(items, coords, chunks)
        if region is None or region.points:
            return region if region is not None and shape in (None, region.shape) else None
    if shape not in (None, region.shape):
        return None
    touched = [_touched(selected, size) for selected, size in zip(region.axes, chunks, strict=True)]
    key_format = prefix.replace("%", "%%") + encoding.key(("%d",) * ndim)  # pyright: ignore[reportArgumentType]  # places for coordinates
    return region if [item[0] for item in items] == [key_format % coords for coords in itertools.product(*touched)] else None


def _sliced(first: Any, last: Any, ends: tuple[tuple[int, ...], tuple[int, ...]], chunks: tuple[int, ...]) -> Region:
    """What integers and slices select, by the first chunk and the last."""
    axes: list[Selected] = []
    for begin, end, low, high, size in zip(first, last, *ends, chunks, strict=True):
        if isinstance(begin, slice):
            start, _, step = begin.indices(size)
            axes.append(range(low * size + start, high * size + end.indices(size)[1], step))
        else:
            axes.append(low * size + int(begin))
    return Region(tuple(axes), tuple([axis for axis, selected in enumerate(axes) if isinstance(selected, range)]))


def _by_axes(items: list[Item], coords: list[tuple[int, ...]], chunks: tuple[int, ...], drop_axes: tuple[int, ...]) -> Region | None:
    """What index arrays, masks, slices and integers select, each axis by itself."""
    kept = [axis for axis in range(len(chunks)) if axis not in drop_axes]
    if len(items[0][2]) != len(kept):
        return None
    axes: list[Selected] = []
    for axis, size in enumerate(chunks):
        found, at = list[npt.NDArray[Any]](), list[npt.NDArray[Any]]()
        for chunk, item in {each[axis]: item for each, item in zip(coords, items, strict=True)}.items():
            found.append(chunk * size + _indices(item[1][axis], size))
            if axis in kept:
                place = item[2][kept.index(axis)]
                at.append(_places(place))
        if axis in drop_axes:
            axes.append(int(found[0][0]))
            continue
        indices = np.concatenate(found)
        if len(at := np.concatenate(at)) != len(indices):
            return None
        axes.append(_range_or(indices[np.argsort(at, kind="stable")]))
    return Region(tuple(axes), tuple(kept))


def _by_points(items: list[Item], coords: list[tuple[int, ...]], chunks: tuple[int, ...]) -> Region | None:
    """What index arrays select that are taken together."""
    if not all(isinstance(entry, np.ndarray) and entry.ndim == 1 for entry in items[0][1]) or not chunks:
        return None
    sizes = [len(item[1][0]) for item in items]
    origins = np.repeat(np.array(coords, np.int64) * np.array(chunks, np.int64), sizes, axis=0)
    at = np.concatenate([_places(item[2]) for item in items])
    if len(at) != len(origins):
        return None
    order = np.argsort(at, kind="stable")
    axes = [(np.concatenate([item[1][axis] for item in items]) + origins[:, axis])[order] for axis in range(len(chunks))]
    return Region(tuple(axes), (), tuple(range(len(chunks))), (len(at),))


def _indices(selected: Any, size: int) -> npt.NDArray[Any]:
    if isinstance(selected, slice):
        return np.arange(*selected.indices(size))
    found = np.asarray(selected)
    return found.nonzero()[0] if found.dtype == bool else found.ravel()


def _places(place: Any) -> npt.NDArray[Any]:
    """Positions in the result, which zarr-python gives as a slice or as an array."""
    return np.asarray(range(place.start, place.stop) if hasattr(place, "start") else place).ravel()


def _range_or(indices: npt.NDArray[Any]) -> Selected:
    """`indices`, as a range if they are one that runs forward."""
    step = int(indices[1] - indices[0]) if len(indices) > 1 else 1
    return range(int(indices[0]), int(indices[-1]) + 1, step) if step > 0 and bool(np.all(np.diff(indices) == step)) else indices


def _touched(selected: Selected, size: int) -> Iterable[int]:
    """The chunks of one axis, in order."""
    if isinstance(selected, int):
        return (selected // size,)
    if isinstance(selected, range) and selected.step <= size:
        return range(selected[0] // size, selected[-1] // size + 1)
    return np.unique(np.asarray(selected) // size).tolist()


registry.register_pipeline(CodecPipeline)
