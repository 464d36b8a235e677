"""The verbs: open and create nodes. Opening asks for nothing until it is awaited; creating is awaited at once."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, SupportsIndex, TypeAlias

from azarr._nodes import find
from azarr.access import Access
from azarr.array import Array, tool
from azarr.context import DEFAULT_CONTEXT, Context
from azarr.document import JSON, Document
from azarr.errors import MetadataError, NodeExists, NodeNotFound, ReadOnly
from azarr.grid import check_path
from azarr.group import Group, make_node
from azarr.metadata import ArrayMetadata, GroupMetadata
from azarr.ref import Ref
from azarr.stores import Cleaning, WritableStore, store_from

Codecs: TypeAlias = str | Document | Sequence[str | Document] | None
Lengths: TypeAlias = SupportsIndex | Iterable[Any]
"""A number, or one for each axis; for chunks "auto" too."""
MODES = ("r", "r+", "a", "w", "w-")
Make = Callable[[Any, bool], Awaitable[Any]]
"""Makes a node in a store; true: in place of one that is there."""


def open(  # noqa: A001  # the verb of the field, always written azarr.open
    store: Any, path: str = "", *, mode: str = "r", zarr_format: int | None = None, consolidated: bool | None = None,
    lenient: bool = False, context: Context | None = None, storage_options: Document | None = None,
) -> Ref[Any]:  # fmt: skip
    """A reference to the array or group at `path` of `store`; `await` it.

    `store` is a URL, with `storage_options` for its store, a path, a mapping of keys to bytes, or a store. `mode` is "r", or "r+" to write.
    `consolidated`: None uses consolidated metadata where they are, True insists, False does not look.
    `lenient` accepts what only other readers accept. Errors when awaited: `NodeNotFound`, `MetadataError`, `StoreError`.
    """
    return _ref("node", store, path, mode, zarr_format, consolidated, lenient, context, storage_options)


def open_group(
    store: Any, path: str = "", *, mode: str = "r", zarr_format: int | None = None, consolidated: bool | None = None,
    lenient: bool = False, context: Context | None = None, storage_options: Document | None = None, **options: Any,
) -> Ref[Group]:  # fmt: skip
    """A reference to a group; arguments and errors as for `open`, and `NotAGroup`.

    `mode` may be "a" too, which makes the group if there is none, when awaited; "w-", which makes it, and raises `NodeExists` if there is
    one; and "w", which makes it, and deletes what is there. `options` for that are those of `create_group`.
    """

    def make(store: Any, overwrite: bool) -> Awaitable[Group]:
        return create_group(store, path, zarr_format=zarr_format or 3, overwrite=overwrite, context=context, **options)

    return _ref("group", store, path, mode, zarr_format, consolidated, lenient, context, storage_options, make, options)


def open_array(
    store: Any, path: str = "", *, mode: str = "r", zarr_format: int | None = None, lenient: bool = False, context: Context | None = None,
    storage_options: Document | None = None, **options: Any,
) -> Ref[Array]:  # fmt: skip
    """A reference to an array; arguments and errors as for `open`, and `NotAnArray`.

    `mode` may be "a", "w-" or "w" too, as for `open_group`; `options` are those of `create_array`. An array that is there stays as it is.
    """

    def make(store: Any, overwrite: bool) -> Awaitable[Array]:
        return create_array(store, path, zarr_format=zarr_format or 3, overwrite=overwrite, context=context, **options)

    return _ref("array", store, path, mode, zarr_format, False, lenient, context, storage_options, make, options)


def open_consolidated(
    store: Any, path: str = "", *, zarr_format: int | None = None, lenient: bool = False, context: Context | None = None,
    storage_options: Document | None = None,
) -> Ref[Group]:  # fmt: skip
    """A reference to a group that must have consolidated metadata: members are then opened without asking for anything."""
    return _ref("group", store, path, "r", zarr_format, True, lenient, context, storage_options)


def _ref(
    kind: str, source: Any, path: str, mode: str, zarr_format: int | None, consolidated: bool | None, lenient: bool,
    context: Context | None, given: Document | None, make: Make | None = None, options: Mapping[str, Any] = MappingProxyType({}),
) -> Ref[Any]:  # fmt: skip
    if mode not in MODES or (mode not in MODES[:2] and make is None):
        more = "; open_array and open_group also take a, w, w-" * (mode in MODES)
        raise ValueError(f"mode is one of {', '.join(MODES if make else MODES[:2])}, not {mode!r}{more}")
    if options and mode in MODES[:2]:
        raise TypeError(f"{', '.join(options)}: only for a mode that may make the node (a, w, w-), not {mode!r}")
    if zarr_format not in (None, 2, 3):
        raise ValueError(f"zarr_format is 2, 3 or None, not {zarr_format!r}")
    consolidated = False if mode != "r" and consolidated is None else consolidated  # it may be stale, so it is not trusted for writing
    may_write = "r" if mode == "r" else "r+"
    access = Access(store_from(source, context, given), context or DEFAULT_CONTEXT, may_write, zarr_format, consolidated, lenient)
    root = check_path(path)

    async def open_node(path: str) -> Array | Group:
        if (opened := getattr(access.store, "opened", None)) is not None:  # a cache may have to look again
            opened()
        if mode != "r" and isinstance(access.store, Cleaning):
            await access.store.clean()
        if make is not None and mode in MODES[2:]:
            if path != root:
                raise ValueError(f"mode={mode!r} makes the node at {root or '/'}: await that before what is below it")
            if mode != "a":
                return await make(access.store, mode == "w")
            with suppress(NodeNotFound):
                return make_node(await find(access, path, kind), access, path)
            try:
                return await make(access.store, False)
            except NodeExists:  # by somebody else, just now; or it cannot be made here
                with suppress(NodeNotFound):
                    return make_node(await find(access, path, kind), access, path)
                raise
        if consolidated and path != root:
            group = await open_node(root)
            assert isinstance(group, Group)
            return await group[path[len(root) :]].open()
        return make_node(await find(access, path, kind if path == root else "node"), access, path)

    return Ref(open_node, root, access.store)


async def create_group(
    store: Any, path: str = "", *, attributes: Document | None = None, zarr_format: int = 3, overwrite: bool = False,
    context: Context | None = None, storage_options: Document | None = None,
) -> Group:  # fmt: skip
    """Create a group, and those above it that are not there yet. Errors: `NodeExists` unless `overwrite`, which deletes what is there."""
    access, path = creating(store, zarr_format, context, storage_options), check_path(path, new=zarr_format == 3)
    metadata = GroupMetadata(attributes or {}, zarr_format)
    await tool("nodes").create(access, path, metadata, overwrite)
    return Group(metadata, access, path)


async def create_array(
    store: Any, path: str = "", *, shape: Lengths, dtype: Any, chunks: Lengths = "auto", shards: Lengths | None = None,
    filters: Codecs = None, serializer: Codecs = "auto", compressors: Codecs = "auto", fill_value: Any = None,
    dimension_names: Iterable[str | None] | None = None, attributes: Document | None = None, zarr_format: int = 3, order: str = "C",
    chunk_key_encoding: JSON = None, overwrite: bool = False, context: Context | None = None, storage_options: Document | None = None,
) -> Array:  # fmt: skip
    """Create an array that holds nothing but its fill value, and the groups above it that are not there yet.

    `dtype` is what NumPy takes, `str` or `bytes` for varying sizes, or the name of a Zarr data type. `chunks` in elements ("auto": about
    1 MiB each); with `shards`, `chunks` are the inner chunks. A codec is a name, or an object as in the metadata document, or a list of
    them, or None; `compressors="auto"` is zstd. `fill_value` None is the zero of the data type. `order="F"` stores chunks transposed.
    Errors: `NodeExists` unless `overwrite`, which deletes what is there; `MetadataError`; `UnknownCodec`.
    """
    access, path = creating(store, zarr_format, context, storage_options), check_path(path, new=zarr_format == 3)
    metadata: ArrayMetadata = tool("creation").array_metadata(
        shape=shape, dtype=dtype, chunks=chunks, shards=shards, filters=filters, serializer=serializer, compressors=compressors,
        fill_value=fill_value, dimension_names=dimension_names, attributes=attributes, zarr_format=zarr_format, order=order,
        chunk_key_encoding=chunk_key_encoding,
    )  # fmt: skip
    array = Array(metadata, access, path)
    array.layout  # noqa: B018  # checks the codecs before anything is written
    await tool("nodes").create(access, path, metadata, overwrite)
    return array


def creating(source: Any, zarr_format: int | None, context: Context | None, given: Document | None = None) -> Access:
    """Access to change what is there; the format of new nodes, None where none are made."""
    store = store_from(source, context, given)
    if not isinstance(store, WritableStore):
        raise ReadOnly(f"{store!r} cannot be written to{getattr(store, 'hint', '')}")
    if zarr_format not in (None, 2, 3):
        raise MetadataError("must be 2 or 3", field="zarr_format", value=zarr_format)
    return Access(store, context or DEFAULT_CONTEXT, "r+", zarr_format, consolidated=False)
