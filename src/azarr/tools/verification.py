"""Checking what is stored: every document, chunk, shard index and checksum below a node is read, and nothing is changed."""

from __future__ import annotations

import bisect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from azarr import _nodes
from azarr._engine import Progress, Tell, all_of, perform
from azarr.access import Access
from azarr.array import Array
from azarr.context import DEFAULT_CONTEXT, Context
from azarr.errors import AzarrError, LimitExceeded, MetadataError, MissingPackage, NodeNotFound, StoreError
from azarr.grid import RESERVED, check_path
from azarr.metadata import ArrayMetadata, GroupMetadata
from azarr.stores import Listing, store_from
from azarr.tools.nodes import documents_of
from azarr.tools.surveying import Checking, Coords, chunk_objects

Node = ArrayMetadata | GroupMetadata


class Found(NamedTuple):
    """What was found in some chunks or shards: as in `Checking`."""

    sizes: list[int]
    chunks: list[int]
    overlapping: list[str]
    damaged: Mapping[str, AzarrError]


Check = Callable[[Array, Iterable[Coords], Progress], Awaitable[list[Found]]]
"""How the chunks or shards of an array are looked at, and told."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found. `ok`: nothing is damaged."""

    nodes: int
    """Arrays and groups."""
    objects: int
    """Chunks or shards that are stored."""
    chunks: int
    """Chunks, or inner chunks, that were decoded."""
    nbytes: int
    """Bytes of those objects, as they are stored."""
    damaged: Mapping[str, AzarrError]
    """By key, what is wrong with an object: a chunk, a shard, a metadata document, or consolidated metadata that are stale."""
    unknown: tuple[str, ...]
    """Keys that no node has: of chunks outside their array, of what other programs left behind. They are never read."""
    overlapping: tuple[str, ...]
    """Shards in which several inner chunks share bytes; that is allowed, and unusual."""
    listed: bool
    """Whether the store could list, so that `unknown` says something."""

    @property
    def ok(self) -> bool:
        return not self.damaged

    def __str__(self) -> str:
        unknown = f"{len(self.unknown):,} unknown keys" if self.listed else "unknown keys not looked for, as the store cannot list"
        stored = f"{self.objects:,} objects with {self.chunks:,} chunks, {self.nbytes:,} bytes"
        lines = [f"{self.nodes:,} nodes, {stored}: {len(self.damaged):,} damaged, {unknown}"]
        lines += [f"damaged: {key}: {error}" for key, error in self.damaged.items()]
        lines += [f"unknown: {key}" for key in self.unknown]
        return "\n".join([*lines, *(f"overlapping: {key}" for key in self.overlapping)])


async def check_objects(array: Array, chunks: Iterable[Coords], told: Progress) -> list[Found]:
    """What is found in chunks or shards, by this process."""
    work = Checking(array.target, chunks, told)
    await perform(work, array.store, array.access.context)
    return [Found(work.sizes, work.chunks, work.overlapping, work.damaged)]


async def verify(
    store: Any, path: str = "", *, lenient: bool = False, progress: Tell = None, context: Context | None = None,
    check: Check = check_objects,
) -> Report:  # fmt: skip
    """Read and check all that is stored of the node at `path` and those below it.

    One object is held at a time for each worker or request. `progress(done, total)` is called as chunks or shards are done. `check`
    looks at the chunks or shards of an array.
    Errors: `NodeNotFound`; `TransportError` where the store cannot be reached. What is damaged is in the report, not raised.
    """
    access, root = Access(store_from(store), context or DEFAULT_CONTEXT, lenient=lenient), check_path(path)
    listed = isinstance(access.store, Listing)
    keys = sorted([key async for key in access.store.list(root)]) if isinstance(access.store, Listing) else None
    damaged: dict[str, AzarrError] = {}
    found = await _found(access, await _folders(access, root, keys), damaged)
    if not found and not damaged:
        await _nodes.find(access, root, "node")  # says what was looked for
    known = {_key(folder, name) for folder in found for name in RESERVED} | damaged.keys()
    work, told = list[tuple[Array, Iterable[Coords]]](), Progress(progress, 0)
    for folder, node in found.items():
        if isinstance(node, ArrayMetadata):
            array = Array(node, access, folder)
            try:
                chunks = await chunk_objects(array.target, None if keys is None else _below(keys, folder))
            except (MetadataError, MissingPackage, LimitExceeded) as error:
                damaged[array.document] = error
                continue
            work.append((array, chunks))
            told.total += len(chunks) if isinstance(chunks, list) else node.grid.nchunks
            known.update(map(array.target.key, chunks) if isinstance(chunks, list) else ())
        elif different := _stale(access, folder, node, found, damaged):
            key = _key(folder, "zarr.json" if node.zarr_format == 3 else ".zmetadata")
            reason = f"consolidated metadata differ from the document of the node {different!r}"
            damaged[key] = MetadataError(reason, field="consolidated", value=different, document=key)
    looked = [each for array, chunks in work for each in await check(array, chunks, told)]
    for each in looked:
        damaged.update(each.damaged)
    return Report(
        nodes=len(found), objects=sum(len(each.sizes) for each in looked), chunks=sum(sum(each.chunks) for each in looked),
        nbytes=sum(sum(each.sizes) for each in looked), damaged=damaged, unknown=tuple([key for key in keys or () if key not in known]),
        overlapping=tuple([key for each in looked for key in each.overlapping]), listed=listed,
    )  # fmt: skip


def _key(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


async def _folders(access: Access, root: str, keys: list[str] | None) -> list[str]:
    """Where nodes are: at every document that is listed; else where consolidated metadata say so."""
    if keys is not None:
        return sorted({folder for folder, _, name in (key.rpartition("/") for key in keys) if name in RESERVED and name != ".zattrs"})
    node = await _nodes.find(access, root, "node")
    if isinstance(node, ArrayMetadata):
        return [root]
    if node.consolidated is None:
        raise StoreError("this store cannot list, and the group has no consolidated metadata", store=repr(access.store), key=root)
    return [root, *(_key(root, name) for name in node.consolidated)]


async def _found(access: Access, folders: Iterable[str], damaged: dict[str, AzarrError]) -> dict[str, Node]:
    """The nodes at `folders`; what is wrong with their documents is put into `damaged`."""

    async def look(folder: str) -> tuple[str, Node | None]:
        try:
            return folder, await _nodes.find(access, folder, "node")
        except NodeNotFound:
            return folder, None
        except (MetadataError, LimitExceeded) as error:
            document = error.document if isinstance(error, MetadataError) else ""
            damaged[document or _key(folder, "zarr.json")] = error
            return folder, None

    return {folder: node for folder, node in await all_of([look(folder) for folder in folders]) if node is not None}


def _stale(access: Access, folder: str, group: GroupMetadata, found: Mapping[str, Node], damaged: Mapping[str, AzarrError]) -> str:
    """The path of a node below that consolidated metadata describe otherwise than its own document, or not at all; else ""."""
    if group.consolidated is None:
        return ""
    prefix = f"{folder}/" if folder else ""
    below = {path[len(prefix) :]: node for path, node in found.items() if path.startswith(prefix) and path != folder}
    for path in sorted({*group.consolidated, *below} - {""}):
        told, own = _nodes.member(group, path, prefix, access.lenient), below.get(path)
        if not any(key.rpartition("/")[0] == prefix + path for key in damaged) and _documents(told) != _documents(own):
            return path
    return ""


def _documents(node: Node | None) -> Any:
    return node and documents_of(node)


def _below(keys: list[str], folder: str) -> list[str]:
    """The keys below `folder`, of keys in order."""
    if not folder:
        return keys
    return keys[bisect.bisect_left(keys, f"{folder}/") : bisect.bisect_left(keys, f"{folder}0")]  # "0" follows "/"
