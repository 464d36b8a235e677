"""Datasets of xarray written by azarr. What is to be written is worked out first, by the rules of `to_zarr`; then all is written at once.

The rules are `ZarrStore`'s, of which this is one whose group and arrays only note what is asked of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, cast

import azarr
from azarr import v2
from azarr._engine import all_of
from azarr._open import creating
from azarr._platform import offload
from azarr.access import Access
from azarr.array import tool
from azarr.context import Context
from azarr.document import dump
from azarr.errors import InvalidKey, MetadataError, NodeNotFound
from azarr.grid import check_path
from azarr.integrations import sync
from azarr.integrations.handles import refuse_one_process
from azarr.integrations.xarray_reading import awaited, backends, coding, dimensions_of, keeps_consolidated, variable, xarray
from azarr.metadata import ArrayMetadata, GroupMetadata
from azarr.stores import Listing
from azarr.tools.nodes import create

VARYING = {"vlen-utf8": str, "vlen-bytes": bytes}
"""Filters of v2, and the data type of what they store. xarray turns what was read into text or bytes of one size."""


@dataclass(eq=False)
class Target:
    """An array to be: made of `metadata`, or there already and brought to `shape`. What is assigned before it is there waits for it."""

    name: str
    shape: tuple[int, ...]
    metadata: ArrayMetadata | None = None
    array: azarr.Array | None = None
    write_empty: bool = False
    ready: bool = False
    waiting: list[tuple[Any, Any]] = field(default_factory=list[Any])

    def __reduce__(self) -> Any:
        if self.array is not None:
            refuse_one_process(self.array.store)
        return object.__reduce__(self)

    def resize(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __setitem__(self, region: Any, values: Any) -> None:
        if self.ready:  # by dask, in a thread of its own
            sync.run(self.put(region, values))
        else:
            self.waiting.append((region, values))

    def check(self, access: Access, prefix: str) -> None:
        """Make the codecs of an array to be, which nothing is stored of yet. Errors: `UnknownCodec`, `MetadataError`, `LimitExceeded`."""
        if self.metadata is not None:
            azarr.Array(self.metadata, access, prefix + self.name).layout  # noqa: B018

    async def make(self, access: Access, prefix: str, overwrite: bool) -> None:
        """Create the array, or bring it to its shape."""
        if self.array is None:
            assert self.metadata is not None
            await create(access, prefix + self.name, self.metadata, overwrite)
            self.array = azarr.Array(self.metadata, access, prefix + self.name)
        elif self.array.shape != self.shape:
            self.array = await self.array.resize(self.shape)
        self.ready = True

    async def put(self, region: Any, values: Any) -> None:
        assert self.array is not None
        await self.array[region].write(values, write_empty=self.write_empty)


@dataclass
class _Node:
    """What `ZarrStore` asks of a group."""

    metadata: GroupMetadata
    path: str
    read_only: bool = False


class Draft(coding.ZarrStore):
    """What would be written, by array; and the attributes of the group, None where they stay."""

    def __init__(self, group: _Node, existing: Mapping[str, azarr.Array], **options: Any) -> None:
        coding.ZarrStore.__init__(self, group, cache_members=False, **options)
        self.existing, self.targets, self.attributes = existing, dict[str, Target](), cast("dict[str, Any] | None", None)

    def array_keys(self) -> tuple[str, ...]:
        return tuple(self.existing)

    def get_dimensions(self) -> dict[str | None, int]:
        return {name: size for array in self.existing.values() for name, size in zip(dimensions_of(array), array.shape, strict=True)}

    def open_store_variable(self, name: str) -> Any:
        return variable(self.existing[name], mask=self._use_zarr_fill_value_as_mask)

    def store(self, variables: Any, attributes: Any, check_encoding_set: Any = (), writer: Any = None, unlimited_dims: Any = None) -> None:
        """Encode what is given, what is there already as it is there; then note it. Errors: `ValueError` for what does not fit."""
        mode, along, there = self._mode, self._append_dim, self.existing
        if mode == "r+" and (added := [name for name in variables if name not in there]):
            raise ValueError(f"dataset contains non-pre-existing variables {added!r}, which needs mode='a', not 'r+'")
        if along is not None and along not in there and along not in (known := self.get_dimensions()):
            raise ValueError(f"append_dim={along!r} does not match any existing dataset dimensions {known}")
        stored = {name: self.open_store_variable(name) for name in variables if name in there}
        decoded, _, _ = xarray.conventions.decode_cf_variables(stored, {})
        given = dict(variables)
        for name, held in decoded.items():
            coding._validate_datatypes_for_zarr_append(name, held, given[name])
            given[name] = given[name].copy(deep=False)
            given[name].encoding = held.encoding
        encoded, self.attributes = self.encode(given, attributes)
        for each in encoded.values():
            if chunks := each.encoding.get("chunks"):
                each.encoding["chunks"] = lengths(chunks, each.shape)
        for name, held in decoded.items():
            encoded[name] = coding._validate_and_transpose_existing_dims(name, encoded[name], held, self._write_region, along)
        if mode == "a-" and along is not None:
            encoded = {name: each for name, each in encoded.items() if name not in decoded or along in each.dims}
        self.set_variables(encoded, check_encoding_set, writer)

    def _open_existing_array(self, *, name: str) -> Target:
        array = self.existing[name]
        return self._added(Target(name, array.shape, array=array, write_empty=bool(self._write_empty)))

    def _create_new_array(self, *, name: str, shape: Any, dtype: Any, fill_value: Any, encoding: dict[str, Any], attrs: Any) -> Target:
        if "/" in name or check_path(name, new=True) != name:
            reserved = "Zarr reserves '__values__', which is xarray's for None"
            raise InvalidKey(f"{name!r} is not a name of an array; rename the variable ({reserved})")
        empty = encoding.get("write_empty_chunks", self._write_empty)
        if self._write_empty not in (None, empty):
            raise ValueError(f'Differing "write_empty_chunks" values in encoding and parameters: {empty} and {self._write_empty}')
        chunks = encoding.get("chunks", "auto")
        zarr_format = self.zarr_group.metadata.zarr_format
        filters = codecs_of(encoding.get("filters"))
        if dtype.metadata and dtype.metadata.get("element_type") is str:
            dtype = str
        elif zarr_format == 2 and isinstance(filters, list) and dtype.kind in "SUTO":
            dtype = next((kind for name, kind in VARYING.items() if {"id": name} in filters), dtype)
        try:
            metadata: ArrayMetadata = tool("creation").array_metadata(
                shape=shape, dtype=dtype,
                chunks=chunks if isinstance(chunks, str) else [max(1, size) for size in chunks], shards=encoding.get("shards"),
                filters=filters, serializer=codecs_of(encoding.get("serializer", "auto")),
                compressors=codecs_of(encoding.get("compressors", "auto")), fill_value=fill_value, attributes=checked(attrs),
                dimension_names=encoding.get("dimension_names"), zarr_format=zarr_format, order=encoding.get("order", "C"),
                chunk_key_encoding=encoding.get("chunk_key_encoding"),
            )  # fmt: skip
        except MetadataError as error:
            raise error.within(f"{name}/{'zarr.json' if zarr_format == 3 else '.zarray'}") from error.__cause__
        if zarr_format == 2 and fill_value is None:  # there a value of that kind would mean that it is missing
            metadata = v2.array_from_json({**metadata.document, "fill_value": None}, metadata.attributes)
        return self._added(Target(name, shape, metadata, write_empty=bool(empty)))

    def _added(self, target: Target) -> Target:
        self.targets[target.name] = target
        return target


def lengths(chunks: Any, shape: tuple[int, ...]) -> Any:
    """The chunks of an encoding, where -1 is the whole axis; for all axes, or the same for each. Errors: `ValueError`."""
    if isinstance(chunks, int):
        chunks = (chunks,) * len(shape)
    if not isinstance(chunks, list | tuple) or len(cast("tuple[Any]", chunks)) != len(shape):
        return cast("Any", chunks)  # xarray says what is wrong with it, or takes none of it
    if any(isinstance(size, int) and size < -1 for size in cast("tuple[Any]", chunks)):
        raise ValueError(f"chunks are of 1 element or more, or -1 for the whole axis, not {chunks}")
    return tuple([length if size == -1 else size for size, length in zip(cast("tuple[Any]", chunks), shape, strict=True)])


def codecs_of(given: Any) -> Any:
    """Codecs as documents have them, of objects of zarr-python or numcodecs too; none is None, and "auto" stays."""
    if isinstance(given, list | tuple):
        return [codecs_of(each) for each in cast("list[Any]", given)] or None
    if hasattr(given, "to_dict"):
        return plain(given.to_dict())
    return plain(given.get_config() if hasattr(given, "get_config") else given)


def plain(value: Any) -> Any:
    """What JSON has for it: a list for a tuple, also inside."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in cast("Mapping[str, Any]", value).items()}
    return [plain(each) for each in cast("list[Any]", value)] if isinstance(value, list | tuple) else value


def checked(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as JSON has them. Errors: `TypeError`, as from `to_zarr`, for those that JSON has no words for."""
    try:
        dump(found := dict(attributes))
    except MetadataError as error:
        raise TypeError(f"Invalid attribute in Dataset.attrs: {error}") from error
    return {name: list(cast("Any", value)) if isinstance(value, tuple) else value for name, value in found.items()}


async def write(
    dataset: Any, store: Any, *, group: str | None = None, mode: str | None = None, encoding: Mapping[str, Any] | None = None,
    append_dim: str | None = None, region: Any = None, consolidated: bool | None = None, zarr_format: int | None = None,
    safe_chunks: bool = True, align_chunks: bool = False, write_empty_chunks: bool | None = None, context: Context | None = None,
    storage_options: Any = None,
) -> None:  # fmt: skip
    """Write a dataset into a group of `store`, as `dataset.to_zarr` does; the arguments and what they mean are the same.

    Variables are written at once, within the budget of `context`. Those that are lazy are loaded first; those of dask are computed in
    threads, block by block. Errors: `NodeExists` for mode "w-", which is the default, where something is; `ReadOnly`, `StoreError`,
    `PartialWrite`; `ValueError` and others of xarray for what does not fit what is there.
    """
    backends.writers._validate_dataset_names(dataset)
    dataset = dataset.copy()
    await all_of([_load(each) for each in dataset.variables.values() if each.chunks is None and not each._in_memory])
    mode = coding._choose_default_mode(mode=mode, append_dim=append_dim, region=region)
    access = creating(store, zarr_format, context, storage_options)
    path = (group or "").strip("/")
    node = None if mode in ("w", "w-") else await _there(access, path, needed=mode == "r+")
    found = node.metadata if node else GroupMetadata(zarr_format=zarr_format or 3)
    access = access._replace(zarr_format=found.zarr_format)
    existing = {name: each for name, each in (await node.members() if node else {}).items() if isinstance(each, azarr.Array)}

    def drafted() -> tuple[Draft, Any]:
        draft = Draft(
            _Node(found, path), existing, mode=mode, append_dim=append_dim, write_region=copy(region), safe_chunks=safe_chunks,
            align_chunks=align_chunks, write_empty=write_empty_chunks, use_zarr_fill_value_as_mask=found.zarr_format == 2,
        )  # fmt: skip
        writer = backends.common.ArrayWriter()
        changed = draft._validate_and_autodetect_region(dataset.copy())
        draft._validate_encoding(encoding)
        backends.writers.dump_to_store(changed, draft, writer, encoding=encoding)
        return draft, writer

    draft, writer = await awaited(drafted)
    attributes, prefix, targets = checked(draft.attributes or {}), f"{path}/" if path else "", list(draft.targets.values())
    for target in targets:
        target.check(access, prefix)
    if node is None:
        await create(access, path, GroupMetadata(attributes, found.zarr_format), overwrite=mode == "w")
    elif attributes and mode != "r+":
        await node.update_attrs(attributes)
    await all_of([target.make(access, prefix, False) for target in targets])
    await all_of([target.put(*each) for target in targets for each in target.waiting])
    if writer.sources:
        await offload(writer.sync)
    can = keeps_consolidated(access.store) and (consolidated or isinstance(access.store, Listing))
    if mode != "r+" and consolidated is not False and can:
        await azarr.consolidate(access.store, context=access.context)


async def _load(each: Any) -> None:
    try:
        await each.load_async()
    except NotImplementedError:  # of an engine that cannot await
        await offload(each.load)


async def _there(access: Access, path: str, *, needed: bool) -> azarr.Group | None:
    try:
        return await azarr.open_group(access.store, path, mode="r+", zarr_format=access.zarr_format, context=access.context)
    except NodeNotFound:
        if needed:
            raise
        return None
