"""Changing nodes that exist: attributes, shape, more rows. A document is changed only if it is still the one that was read.

Growth stores data and then metadata, shrinking metadata and then deletes: whenever it ends, no element that the metadata show is missing.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from azarr import metadata as v3
from azarr import v2
from azarr._engine import IndexCache, Target, change_document, delete_objects, fetch_documents, place_of, turn, write
from azarr.access import Access, writable
from azarr.document import Document, dump, is_object, parse
from azarr.errors import MetadataError
from azarr.layout import compile_layout
from azarr.metadata import ArrayMetadata, GroupMetadata
from azarr.selection import Region, basic, whole
from azarr.stores import Holding

Metadata = TypeVar("Metadata", ArrayMetadata, GroupMetadata)


@contextlib.asynccontextmanager
async def forgetting(access: Access, path: str) -> AsyncGenerator[None]:
    """Around a change of the node at `path`: consolidated metadata that have it are taken away, also those that are made meanwhile."""
    await _forget(access, path)
    yield
    await _forget(access, path)


async def _forget(access: Access, path: str) -> None:
    """Take consolidated metadata that have the node at `path` away from groups: stale ones would be believed.

    In v3 those are the groups above it, in v2 a group is in its own too.
    """
    store, parts = writable(access, path), [f"{part}/" for part in path.split("/") if part]
    prefixes = ["".join(parts[:count]) for count in range(len(parts) + 1)]
    keys = [f"{prefix}zarr.json" for prefix in prefixes[:-1]] if access.zarr_format != 2 else []
    keys += [f"{prefix}.zmetadata" for prefix in prefixes] if access.zarr_format != 3 else []
    for key, data in zip(keys, await fetch_documents(store, keys, access.context), strict=True):
        if data is not None and key.endswith(".zmetadata"):
            await store.delete(key)
        elif data is not None and b'"consolidated_metadata"' in data and parse(data, key, lenient=True).get("consolidated_metadata"):
            await change_document(store, key, _unconsolidated, lenient=True)  # whatever else it holds


def _unconsolidated(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "consolidated_metadata"}


async def update_attributes(access: Access, path: str, metadata: Metadata, attributes: Mapping[str, Any]) -> Metadata:
    """Merge `attributes` into those of a node."""
    store, prefix = writable(access, path), f"{path}/" if path else ""
    dump(attributes)  # what is there may have bare tokens, what is new may not
    if metadata.zarr_format == 2:
        async with forgetting(access, path):
            found = await change_document(store, f"{prefix}.zattrs", lambda document: {**document, **attributes}, lenient=access.lenient)
        return metadata._replace(attributes=found)

    def edit(document: Document) -> Document:
        held = document.get("attributes", {})
        return {**document, "attributes": {**(held if is_object(held) else {}), **attributes}}

    async with forgetting(access, path):
        document = await change_document(store, f"{prefix}zarr.json", edit, lenient=access.lenient)
    if isinstance(metadata, ArrayMetadata):
        return metadata._replace(attributes=document["attributes"], document=document)
    return metadata._replace(attributes=document["attributes"])


async def resize(access: Access, path: str, metadata: ArrayMetadata, shape: tuple[int, ...], *, clear: bool) -> ArrayMetadata:
    """Give an array another shape."""
    store = writable(access, path)
    if len(shape) != metadata.ndim:
        raise MetadataError(f"one length per dimension is needed ({metadata.ndim})", field="shape", value=shape)
    if clear:
        for region in _regrown(metadata, shape):
            await _write(access, path, _shaped(metadata, tuple(map(max, metadata.shape, shape))), region, metadata.fill)
    before = metadata

    def edit(document: Document) -> Document:
        nonlocal before
        before = _parsed(metadata, document)
        return _parsed(before, {**document, "shape": list(shape)}).document

    async with forgetting(access, path):
        after = _parsed(metadata, await change_document(store, _key(path, metadata), edit, lenient=access.lenient))
    await delete_objects(store, _keys_outside(path, before, after), access.context)
    return after


async def append(access: Access, path: str, metadata: ArrayMetadata, values: npt.NDArray[Any], axis: int) -> ArrayMetadata:
    """Add `values` at the end of `axis`. Rows are seen once they are stored; where the store cannot hold others back, once reserved."""
    store, key = writable(access, path), _key(path, metadata)

    def grow(document: Document) -> Document:
        shape = list(_parsed(metadata, document).shape)
        expected = [*shape[:axis], values.shape[axis] if values.ndim == len(shape) else None, *shape[axis + 1 :]]
        if list(values.shape) != expected:
            raise ValueError(f"values of shape {values.shape} cannot be appended along axis {axis} to an array of shape {tuple(shape)}")
        shape[axis] += values.shape[axis]
        return {**document, "shape": shape}

    async def store_rows(grown: ArrayMetadata) -> None:
        end = grown.shape[axis]
        rows = basic(whole(grown.shape), (*[slice(None)] * axis, slice(end - values.shape[axis], end)))
        await _write(access, path, grown, rows, values)

    if not isinstance(store, Holding):
        async with forgetting(access, path):
            after = _parsed(metadata, await change_document(store, key, grow, lenient=access.lenient))
        await store_rows(after)
        return after
    async with turn((place_of(store, key), "append"), ()), store.hold(key):
        (held,) = await fetch_documents(store, [key], access.context)
        after = _parsed(metadata, grow({} if held is None else parse(held, key, lenient=access.lenient)))
        await store_rows(after)

        async with forgetting(access, path):
            found = await change_document(store, key, lambda document: {**document, "shape": list(after.shape)}, lenient=access.lenient)
            return _parsed(metadata, found)


def _key(path: str, metadata: ArrayMetadata) -> str:
    return (f"{path}/" if path else "") + ("zarr.json" if metadata.zarr_format == 3 else ".zarray")


def _parsed(metadata: ArrayMetadata, document: Document) -> ArrayMetadata:
    """The array that `document` describes, which was `metadata` before."""
    if metadata.zarr_format == 3:
        return v3.array_from_json(document, lenient=True)
    return v2.array_from_json(document, metadata.attributes, lenient=True)


def _shaped(metadata: ArrayMetadata, shape: tuple[int, ...]) -> ArrayMetadata:
    return _parsed(metadata, {**metadata.document, "shape": list(shape)})


async def _write(access: Access, path: str, metadata: ArrayMetadata, region: Region, values: npt.NDArray[Any]) -> None:
    layout = compile_layout(metadata, path, limits=access.context.limits, lenient=access.lenient)
    target = Target(layout, access.store, f"{path}/" if path else "", IndexCache())
    await write(target, region, np.broadcast_to(np.asarray(values, metadata.dtype.numpy), region.shape), access.context)


def _regrown(metadata: ArrayMetadata, shape: tuple[int, ...]) -> Iterator[Region]:
    """Per axis that grows, what chunks at its old end hold beyond it: perhaps data of a time when the array was larger."""
    most = tuple(map(max, metadata.shape, shape))
    for number, (axis, old, new) in enumerate(zip(metadata.grid.axes, metadata.shape, shape, strict=True)):
        if 0 < old < new:
            end = min(new, sum(axis.span(axis.locate(old - 1))))
            if old < end:
                yield basic(whole(most), (*[slice(None)] * number, slice(old, end)))


def _keys_outside(path: str, before: ArrayMetadata, after: ArrayMetadata) -> Iterator[str]:
    """Keys of the chunks that lie outside the array as it is `after`."""
    prefix = f"{path}/" if path else ""
    kept = [min(new.count, old.count) for old, new in zip(before.grid.axes, after.grid.axes, strict=True)]
    for number, axis in enumerate(before.grid.axes):
        counts = [range(count) for count in kept[:number]], [range(each.count) for each in before.grid.axes[number + 1 :]]
        for coords in itertools.product(*counts[0], range(kept[number], axis.count), *counts[1]):
            yield prefix + before.key_encoding.key(coords)
