"""The verbs: open and create nodes. Opening asks for nothing until it is awaited; creating is awaited at once."""

from __future__ import annotations

from typing import Any

from azarr._creation import Codecs, array_metadata
from azarr._engine.documents import fetch_documents
from azarr._nodes import find
from azarr.array import Array
from azarr.context import Context
from azarr.document import JSON, dump
from azarr.errors import NodeExists, ReadOnly
from azarr.grid import check_path
from azarr.group import Group, make_node
from azarr.metadata import ArrayMetadata, GroupMetadata, array_to_json, group_to_json
from azarr.ref import Ref
from azarr.stores import Listing, WritableStore, store_from
from azarr.v2 import array_to_json as v2_array_to_json

__all__ = ["create_array", "create_group", "open", "open_array", "open_consolidated", "open_group"]

MODES = ("r", "r+")


def open(  # noqa: A001  # the verb of the field, always written azarr.open
    store: Any, path: str = "", *, mode: str = "r", zarr_format: int | None = None, consolidated: bool | None = None, lenient: bool = False, context: Context | None = None
) -> Ref:
    """A reference to the array or group at `path` of `store`; `await` it.

    `store` is a URL, a path, a mapping of keys to bytes, or a store. `mode` is "r" or "r+". `consolidated`: None uses consolidated
    metadata where they are, True insists on them, False does not look. `lenient` accepts what old writers left behind.
    Errors when awaited: `NodeNotFound`, `MetadataError`, `StoreError`.
    """
    return _ref("node", store, path, mode, zarr_format, consolidated, lenient, context)


def open_group(
    store: Any, path: str = "", *, mode: str = "r", zarr_format: int | None = None, consolidated: bool | None = None, lenient: bool = False, context: Context | None = None
) -> Ref:
    """A reference to a group; arguments and errors as for `open`, and `NotAGroup`."""
    return _ref("group", store, path, mode, zarr_format, consolidated, lenient, context)


def open_array(
    store: Any, path: str = "", *, mode: str = "r", zarr_format: int | None = None, lenient: bool = False, context: Context | None = None
) -> Ref:
    """A reference to an array; arguments and errors as for `open`, and `NotAnArray`."""
    return _ref("array", store, path, mode, zarr_format, False, lenient, context)


def open_consolidated(
    store: Any, path: str = "", *, zarr_format: int | None = None, lenient: bool = False, context: Context | None = None
) -> Ref:
    """A reference to a group that must have consolidated metadata: members are then opened without asking for anything."""
    return _ref("group", store, path, "r", zarr_format, True, lenient, context)


def _ref(kind: str, source: Any, path: str, mode: str, zarr_format: int | None, consolidated: bool | None, lenient: bool, context: Context | None) -> Ref:
    store, budget, root = store_from(source), context or Context(), check_path(path)
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}; create_array and create_group make nodes")
    if zarr_format not in (None, 2, 3):
        raise ValueError(f"zarr_format is 2, 3 or None, not {zarr_format!r}")
    if mode != "r" and consolidated is None:
        consolidated = False  # it may be stale, so it is not trusted for writing

    async def open_node(path: str, wanted: str) -> Array | Group:
        if consolidated and path != root:
            group = await open_node(root, "group")
            assert isinstance(group, Group)
            return await group[path[len(root) :]].open()
        found = await find(store, path, wanted, zarr_format=zarr_format, consolidated=consolidated, context=budget, lenient=lenient)
        return make_node(found, store, path, context=budget, mode=mode, lenient=lenient)

    return Ref(open_node, root, kind, repr(store))


async def create_group(
    store: Any, path: str = "", *, attributes: dict[str, JSON] | None = None, zarr_format: int = 3, overwrite: bool = False, context: Context | None = None
) -> Group:
    """Create a group, and those above it that are not there yet. Errors: `NodeExists` unless `overwrite`, which deletes what is there."""
    target, budget, path = _writable(store), context or Context(), check_path(path)
    metadata = GroupMetadata(attributes=attributes or {}, zarr_format=zarr_format)
    await _prepare(target, path, zarr_format, overwrite, budget)
    await _put(target, path, metadata)
    return Group(metadata, target, path, context=budget, mode="r+")


async def create_array(
    store: Any,
    path: str = "",
    *,
    shape: tuple[int, ...] | int,
    dtype: Any,
    chunks: Any = "auto",
    shards: tuple[int, ...] | None = None,
    filters: Codecs = None,
    serializer: Codecs = "auto",
    compressors: Codecs = "auto",
    fill_value: Any = None,
    dimension_names: Any = None,
    attributes: dict[str, JSON] | None = None,
    zarr_format: int = 3,
    order: str = "C",
    chunk_key_encoding: Any = None,
    overwrite: bool = False,
    context: Context | None = None,
) -> Array:
    """Create an array that holds nothing but its fill value, and the groups above it that are not there yet.

    `dtype` is what NumPy takes, `str` or `bytes` for varying sizes, or the name of a Zarr data type. `chunks` in elements ("auto": about
    1 MiB each); with `shards`, `chunks` are the inner chunks. A codec is a name, or an object as in the metadata document, or a list of
    them, or None; `compressors="auto"` is zstd. `fill_value` None is the zero of the data type. `order="F"` stores chunks transposed.
    Errors: `NodeExists` unless `overwrite`, which deletes what is there; `MetadataError`; `UnknownCodec`.
    """
    target, budget, path = _writable(store), context or Context(), check_path(path)
    metadata = array_metadata(
        shape=(shape,) if isinstance(shape, int) else tuple(shape),
        dtype=dtype,
        chunks=chunks,
        shards=shards,
        filters=filters,
        serializer=serializer,
        compressors=compressors,
        fill_value=fill_value,
        dimension_names=dimension_names,
        attributes=attributes or {},
        zarr_format=zarr_format,
        order=order,
        chunk_key_encoding=chunk_key_encoding,
    )
    array = Array(metadata, target, path, context=budget, mode="r+")
    array.layout  # noqa: B018  # checks the codecs before anything is written
    await _prepare(target, path, zarr_format, overwrite, budget)
    await _put(target, path, metadata)
    return array


def _writable(source: Any) -> WritableStore:
    store = store_from(source)
    if not isinstance(store, WritableStore):
        raise ReadOnly(f"{store!r} cannot be written to")
    return store


async def _prepare(store: WritableStore, path: str, zarr_format: int, overwrite: bool, context: Context) -> None:
    """See that nothing stands at `path` (or delete it), and that groups stand above it."""
    names = ("zarr.json", ".zarray", ".zgroup")
    prefix = f"{path}/" if path else ""
    if any(data is not None for data in await fetch_documents(store, [prefix + name for name in names], context)):
        if not overwrite or not isinstance(store, Listing):
            raise NodeExists(f"a node stands at {path or '/'} of {store!r}; overwrite=True replaces it")
        for key in [key async for key in store.list(path)]:
            await store.delete(key)
    above = [path.rsplit("/", cut)[0] for cut in range(path.count("/"), 0, -1)] if path else []
    folders = ["", *above] if path else []
    document = "zarr.json" if zarr_format == 3 else ".zgroup"
    keys = [f"{folder}/{document}" if folder else document for folder in folders]
    for folder, data in zip(folders, await fetch_documents(store, keys, context), strict=True):
        if data is None:
            await _put(store, folder, GroupMetadata(zarr_format=zarr_format))


async def _put(store: WritableStore, path: str, metadata: ArrayMetadata | GroupMetadata) -> None:
    prefix = f"{path}/" if path else ""
    if metadata.zarr_format == 3:
        document = array_to_json(metadata) if isinstance(metadata, ArrayMetadata) else group_to_json(metadata)
        await store.set(f"{prefix}zarr.json", dump(document))
        return
    if metadata.attributes:
        await store.set(f"{prefix}.zattrs", dump(metadata.attributes))
    if isinstance(metadata, ArrayMetadata):
        await store.set(f"{prefix}.zarray", dump(v2_array_to_json(metadata)))
    else:
        await store.set(f"{prefix}.zgroup", dump({"zarr_format": 2}))
