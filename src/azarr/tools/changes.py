"""Changing nodes that exist: attributes, shape, more rows. A document is changed only if it is still the one that was read.

Growth stores data and then metadata, shrinking metadata and then deletes: whenever it ends, no element that the metadata show is missing.
"""

from __future__ import annotations

import contextlib
import math
import operator
import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from azarr import metadata as v3
from azarr import v2
from azarr._engine import IndexCache, Target, change_document, delete_objects, fetch_documents, gone, place_of, turn, write
from azarr._engine.documents import ATTEMPTS, conflict
from azarr.access import Access, writable
from azarr.document import Document, dump, is_object, parse
from azarr.errors import AzarrError, MetadataError, UnknownCodec
from azarr.layout import Layout, compile_layout
from azarr.metadata import ArrayMetadata, GroupMetadata
from azarr.selection import Region, basic, whole
from azarr.stores import Holding, Listing, LocalStore
from azarr.tools.surveying import named_by

LISTED = 1000
"""Chunks outside of a new shape above which those that are there are looked for."""
Metadata = TypeVar("Metadata", ArrayMetadata, GroupMetadata)


@contextlib.asynccontextmanager
async def forgetting(access: Access, path: str) -> AsyncGenerator[None]:
    """Around a change of the node at `path`: consolidated metadata that have it are taken away, also those that are made meanwhile."""
    await _forget(access, path)
    yield
    await _forget(access, path)


async def _forget(access: Access, path: str) -> None:
    """Take consolidated metadata that have the node at `path` away from groups: stale ones would be believed.

    In v3 those are the groups above it, in v2 a group is in its own too. A local folder may stand in groups itself.
    """
    store: Any = writable(access, path)
    while True:
        parts = [f"{part}/" for part in path.split("/") if part]
        prefixes = ["".join(parts[:count]) for count in range(len(parts) + 1)]
        keys = [f"{prefix}zarr.json" for prefix in prefixes[:-1]] if access.zarr_format != 2 else []
        keys += [f"{prefix}.zmetadata" for prefix in prefixes] if access.zarr_format != 3 else []
        for key, data in zip(keys, await fetch_documents(store, keys, access.context, fresh=True), strict=True):
            if data is not None and key.endswith(".zmetadata"):
                await store.delete(key)
            elif data is not None and b'"consolidated_metadata"' in data and parse(data, key, lenient=True).get("consolidated_metadata"):
                await change_document(store, key, _unconsolidated, lenient=True)  # whatever else it holds
        if (above := folder_above(store)) is None or not await _is_group(above[0], access):
            return
        store, name = above
        path = f"{name}/{path}"


def folder_above(store: Any) -> tuple[LocalStore, str] | None:
    """The folder that this one stands in, and what it is called there; None where there is none."""
    if not isinstance(store, LocalStore):
        return None
    root = Path(os.path.abspath(store.root))  # links stay, as they stand in the folder
    return (LocalStore(root.parent, durability=store.durability), root.name) if root.name else None


async def _is_group(store: Any, access: Access) -> bool:
    """Whether a group stands at the root of `store`, which nobody has opened: it may be anything, and perhaps it is not to be read."""
    with contextlib.suppress(AzarrError):
        documents = await fetch_documents(store, ["zarr.json", ".zgroup", ".zmetadata"], access.context)
        return any(data is not None and b"zarr" in data for data in documents)
    return False


def _unconsolidated(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "consolidated_metadata"}


async def update_attributes(access: Access, path: str, metadata: Metadata, attributes: Mapping[str, Any]) -> Metadata:
    """Merge `attributes` into those of a node. An array comes in the shape that is stored."""
    store, prefix = writable(access, path), f"{path}/" if path else ""
    dump({"attributes": dict(attributes)})  # what is there may have bare tokens, what is new may not
    if metadata.zarr_format == 2:
        node = await _stored(access, _key(path, metadata))
        async with forgetting(access, path):
            found = await change_document(store, f"{prefix}.zattrs", lambda document: {**document, **attributes}, lenient=access.lenient)
        if isinstance(metadata, ArrayMetadata):
            return v2.array_from_json(node, found, lenient=True)
        return metadata._replace(attributes=found)

    def edit(document: Document) -> Document:
        held = document.get("attributes", {})
        return {**document, "attributes": {**(held if is_object(held) else {}), **attributes}}

    key = f"{prefix}zarr.json"  # others who hold it rely on it: it must not be replaced under them
    async with _held(store, key), forgetting(access, path):
        document = await change_document(store, key, edit, lenient=access.lenient)
    if isinstance(metadata, ArrayMetadata):
        return _parsed(metadata, document)
    return metadata._replace(attributes=document["attributes"])


async def resize(access: Access, path: str, metadata: ArrayMetadata, shape: tuple[int, ...], *, clear: bool) -> ArrayMetadata:
    """Give an array another shape."""
    store, key = writable(access, path), _key(path, metadata)
    if len(shape) != metadata.ndim:
        raise MetadataError(f"one length per dimension is needed ({metadata.ndim})", field="shape", value=shape)
    before = metadata

    def edit(document: Document) -> Document:
        nonlocal before
        before = _parsed(metadata, document)
        return _parsed(before, {**document, "shape": list(shape)}).document

    async with _alone(store, key):
        async with _held(store, key):
            if clear:
                check_codecs(access, path, metadata)
                stored = _parsed(metadata, await _stored(access, key))  # others may have appended since the array was opened
                most = _parsed(stored, {**stored.document, "shape": list(map(max, stored.shape, shape))})
                for region in _regrown(stored, most):
                    await _write(access, path, most, region, metadata.fill)
            if isinstance(store, Holding):  # of appends that were ended: what lies outside was never shown
                stored = _parsed(metadata, await _stored(access, key))
                most = _parsed(stored, {**stored.document, "shape": list(map(max, stored.shape, shape))})
                await delete_objects(store, await _outside(access, path, most, stored), access.context)
            async with forgetting(access, path):
                after = _parsed(metadata, await change_document(store, key, edit, lenient=access.lenient))
        async with _held(store, key):  # the new document, which others may have held before: what they appended stays
            last = _parsed(metadata, await _stored(access, key)) if isinstance(store, Holding) else after
            await delete_objects(store, await _outside(access, path, before, last), access.context)
    return after


async def append(access: Access, path: str, metadata: ArrayMetadata, values: npt.NDArray[Any], axis: int) -> ArrayMetadata:
    """Add `values` at the end of `axis`. Rows are seen once they are stored; where the store cannot hold others back, once reserved."""
    store, key, ndim = writable(access, path), _key(path, metadata), metadata.ndim
    if not -ndim <= (axis := operator.index(axis)) < ndim:
        raise ValueError(f"axis {axis} is out of bounds for an array of {ndim} dimensions")
    axis %= ndim
    check_codecs(access, path, metadata)

    def grow(document: Document) -> Document:
        shape = list(_parsed(metadata, document).shape)
        expected = [*shape[:axis], values.shape[axis] if values.ndim == len(shape) else None, *shape[axis + 1 :]]
        if list(values.shape) != expected:
            raise ValueError(f"values of shape {values.shape} cannot be appended along axis {axis} to an array of shape {tuple(shape)}")
        shape[axis] += values.shape[axis]
        return _parsed(metadata, {**document, "shape": shape}).document

    async def store_rows(grown: ArrayMetadata) -> None:
        end = grown.shape[axis]
        rows = basic(whole(grown.shape), (*[slice(None)] * axis, slice(end - values.shape[axis], end)))
        await _write(access, path, grown, rows, values)

    if not isinstance(store, Holding):
        async with _alone(store, key), forgetting(access, path):
            after = _parsed(metadata, await change_document(store, key, grow, lenient=access.lenient))
        await store_rows(after)
        return after
    for _ in range(ATTEMPTS):
        async with _alone(store, key), _held(store, key):
            stored = await _stored(access, key)
            after = _parsed(metadata, grow(stored))
            await store_rows(after)

            def show(document: Document, stored: Document = stored, after: ArrayMetadata = after) -> Document:
                if dump({**document, "attributes": None}, lenient=True) != dump({**stored, "attributes": None}, lenient=True):
                    raise _Changed  # by somebody who does not hold it: the rows are not where they belong
                return {**document, "shape": list(after.shape)}

            with contextlib.suppress(_Changed):
                async with forgetting(access, path):
                    return _parsed(metadata, await change_document(store, key, show, lenient=access.lenient))
    raise conflict(store, key)


class _Changed(Exception):
    """The document is not the one that was read."""


def _alone(store: Any, key: str) -> contextlib.AbstractAsyncContextManager[None]:
    """Only one at a time in this process changes the shape of an array."""
    return turn((place_of(store, key), "shape"), ())


def _held(store: Any, key: str) -> contextlib.AbstractAsyncContextManager[None]:
    """The same for other processes, where the store can hold them back; until the document is replaced."""
    return store.hold(key) if isinstance(store, Holding) else contextlib.nullcontext()


async def _stored(access: Access, key: str) -> Document:
    """The document of a node that is there. Errors: `NodeNotFound`."""
    (data,) = await fetch_documents(access.store, [key], access.context, fresh=True)
    if data is None:
        raise gone(access.store, key)
    return parse(data, key, lenient=access.lenient, limits=access.context.limits)


def check_codecs(access: Access, path: str, metadata: ArrayMetadata) -> None:
    """Refuse to write chunks where a codec is not known, which reading may leave out. Errors: `UnknownCodec`."""
    known = _layout(access, path, metadata).metadata.codecs
    if unknown := [codec.name for codec in metadata.codecs if codec not in known]:
        raise UnknownCodec("to write, known codecs are needed", field="codecs", value=unknown, document=_key(path, metadata))


def _key(path: str, metadata: ArrayMetadata | GroupMetadata) -> str:
    name = "zarr.json" if metadata.zarr_format == 3 else ".zarray" if isinstance(metadata, ArrayMetadata) else ".zgroup"
    return f"{path}/{name}" if path else name


def _parsed(metadata: ArrayMetadata, document: Document) -> ArrayMetadata:
    """The array that `document` describes, which was `metadata` before."""
    if metadata.zarr_format == 3:
        return v3.array_from_json(document, lenient=True)
    return v2.array_from_json(document, metadata.attributes, lenient=True)


def _layout(access: Access, path: str, metadata: ArrayMetadata) -> Layout:
    return compile_layout(metadata, path, limits=access.context.limits, lenient=access.lenient)


async def _write(access: Access, path: str, metadata: ArrayMetadata, region: Region, values: npt.NDArray[Any]) -> None:
    target = Target(_layout(access, path, metadata), access.store, f"{path}/" if path else "", IndexCache())
    await write(target, region, np.broadcast_to(np.asarray(values, metadata.dtype.numpy), region.shape), access.context)


def _regrown(before: ArrayMetadata, most: ArrayMetadata) -> Iterator[Region]:
    """Per axis that grows, what chunks at its old end hold beyond it: perhaps data of a time when the array was larger."""
    for number, (axis, old, new) in enumerate(zip(before.grid.axes, before.shape, most.shape, strict=True)):
        if 0 < old < new:
            end = min(new, sum(axis.span(axis.locate(old - 1))))
            if old < end:
                yield basic(whole(most.shape), (*[slice(None)] * number, slice(old, end)))


async def _outside(access: Access, path: str, before: ArrayMetadata, after: ArrayMetadata) -> Iterator[str]:
    """Keys of the chunks that lie outside the array as it is `after`: where there may be many, those that the store lists."""
    prefix = f"{path}/" if path else ""
    counts = [axis.count for axis in before.grid.axes]
    kept = [min(new.count, count) for new, count in zip(after.grid.axes, counts, strict=True)]
    if math.prod(counts) - math.prod(kept) <= LISTED or not isinstance(access.store, Listing):
        return (prefix + before.key_encoding.key(coords) for coords in coords_outside(kept, counts))
    held = [key async for key in access.store.list(path)]
    named = ((key, named_by(before.key_encoding, key.removeprefix(prefix), before.ndim)) for key in held)
    return (key for key, coords in named if coords is not None and any(map(operator.ge, coords, kept)))


def coords_outside(kept: list[int], counts: list[int]) -> Iterator[tuple[int, ...]]:
    """Coordinates below `counts` that are not all below `kept`."""
    for number in range(len(counts)):
        ranges = [*map(range, kept[:number]), range(kept[number], counts[number]), *map(range, counts[number + 1 :])]
        if all(ranges):
            yield from _product(ranges)


def _product(ranges: list[range]) -> Iterator[tuple[int, ...]]:
    """As `itertools.product`, which would keep all of each range."""
    if not ranges:
        yield ()
        return
    for first in ranges[0]:
        for rest in _product(ranges[1:]):
            yield (first, *rest)
