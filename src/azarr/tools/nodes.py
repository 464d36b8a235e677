"""Making nodes and taking them away: their documents, those of the groups above them, and all that lies below them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from azarr._engine import delete_objects, fetch_documents, place_of, turn
from azarr._engine.documents import ATTEMPTS
from azarr._nodes import find_all
from azarr.access import Access
from azarr.context import Context
from azarr.document import Document, dump
from azarr.errors import NodeExists, NotAGroup
from azarr.grid import RESERVED
from azarr.metadata import ArrayMetadata, GroupMetadata, array_to_json, group_to_json
from azarr.stores import ConditionalStore, Listing, WritableStore
from azarr.tools.changes import forgetting
from azarr.tools.names import check_names
from azarr.tools.surveying import named_by
from azarr.v2 import array_to_json as v2_array_to_json

NOTE = ".azarr-copy"
"""The key, below the path, of the note that a copy is under way."""


async def create(access: Access, path: str, metadata: ArrayMetadata | GroupMetadata, overwrite: bool = False) -> None:
    """Store a node where none is (or which replaces what is there), and the groups above it that are not there yet."""
    store, context = cast("WritableStore", access.store), access.context
    above = await missing_above(access, path, metadata.zarr_format)
    documents = _encoded({**above, path: metadata})
    names = ["zarr.json", ".zarray", ".zgroup", *([".zattrs"] if metadata.zarr_format == 2 else [])]
    notes = [join(folder, NOTE) for folder in (path, *above)] if not getattr(store, "commits", False) else []  # where there are none
    keys = [join(path, name) for name in names] + notes
    found = {key for key, data in zip(keys, await fetch_documents(store, keys, context, fresh=True), strict=True) if data is not None}
    for folder in above:
        if join(folder, NOTE) in found:
            raise NodeExists(f"an unfinished copy stands at {folder or '/'} of {store!r}: copy the same again, to finish it")
    if found.intersection((*keys[:3], join(path, NOTE))):
        if isinstance(store, Listing):
            await check_names(store, path)
        if not overwrite or not isinstance(store, Listing):
            what = "a node" if found.intersection(keys[:3]) else "an unfinished copy"
            raise NodeExists(f"{what} stands at {path or '/'} of {store!r}; overwrite=True replaces it, or mode='w' where there are modes")
        async with forgetting(access, path):  # before anything is gone: else they would show what is half deleted
            await delete_all(store, path, context)
    else:
        chunks = await _chunks_left(store, path, metadata)
        if chunks and not overwrite:
            raise NodeExists(f"{chunks[0]!r} of {store!r} is left of an array that is gone; overwrite=True deletes all that is")
        await delete_objects(store, iter([*found, *chunks]), context)  # also attributes of v2 that are left alone
    await _make(access, path, documents)


async def finish(access: Access, path: str, metadata: ArrayMetadata | GroupMetadata) -> None:
    """Store the documents of a node whose chunks are there, and of the groups above it that are not there yet."""
    await _make(access, path, _encoded({**await missing_above(access, path, metadata.zarr_format), path: metadata}))


async def _make(access: Access, path: str, documents: Mapping[str, bytes]) -> None:
    """Store the documents of the node at `path`, and of groups above it. Errors: `NodeExists` where somebody else made it meanwhile."""
    zarr_format = 3 if join(path, "zarr.json") in documents else 2
    async with forgetting(access, path):
        for key, data in documents.items():
            if await put_new(access, key, data):
                continue
            if key.rpartition("/")[0] == path:
                raise NodeExists(f"a node was made at {path or '/'} of {access.store!r} by somebody else at the same time")
            await missing_above(access, path, zarr_format)  # of a group above, somebody else's will do; not an array
        groups = _encoded({folder: GroupMetadata(zarr_format=zarr_format) for folder in _above(path)})
        for key, found in zip(groups, await fetch_documents(access.store, list(groups), access.context, fresh=True), strict=True):
            if found is None:  # it was deleted meanwhile
                await put_new(access, key, groups[key])


async def put_new(access: Access, key: str, data: bytes) -> bool:
    """Store an object if there is none. Whether there was none."""
    store = cast("WritableStore", access.store)
    if isinstance(store, ConditionalStore):
        return await store.replace(key, data, None)
    async with turn(place_of(store, key), ()):
        if (await fetch_documents(store, [key], access.context))[0] is None:
            await store.set(key, data)
            return True
    return False


async def _chunks_left(store: object, path: str, metadata: ArrayMetadata | GroupMetadata) -> list[str]:
    """Keys below `path` that an array with these metadata takes for its chunks: what is left of one that was deleted in part."""
    if isinstance(metadata, GroupMetadata) or not isinstance(store, Listing):
        return []
    encoding, keys = metadata.key_encoding, list[str]()
    async for name in store.list_dir(path):
        key = join(path, name)
        if not name.endswith("/"):
            keys.append(key)
        elif name == "c/" if encoding.name == "default" else name[:-1].isdigit():
            keys += [each async for each in store.list(key[:-1])]
    return [key for key in keys if named_by(encoding, key[len(join(path, "")) :], metadata.ndim) is not None]


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts)) if path]


async def missing_above(access: Access, path: str, zarr_format: int) -> dict[str, GroupMetadata]:
    """The groups above `path` that are not there yet, outermost first. Errors: `NotAGroup`, `NodeExists` for those of another format."""
    made = dict[str, GroupMetadata]()
    for folder, node in (await find_all(access._replace(zarr_format=None, lenient=True), _above(path))).items():
        where = f"{folder or '/'} of {access.store!r}"
        if isinstance(node, ArrayMetadata):
            raise NotAGroup(f"an array stands at {where}; nodes stand in groups")
        if node is not None and node.zarr_format != zarr_format:
            raise NodeExists(f"the group at {where} is Zarr v{node.zarr_format}; zarr_format={node.zarr_format} makes nodes in it")
        if node is None:
            made[folder] = GroupMetadata(zarr_format=zarr_format)
    return made


async def delete_all(store: Any, path: str, context: Context) -> None:
    """Delete all objects below `path`. Documents first: a node that is half deleted must not be seen. Of links, nothing they lead to."""
    listed = getattr(store, "list_own", store.list)
    for _ in range(ATTEMPTS):  # what others made meanwhile is deleted too: it would stand in no group, or in what is made here next
        if not (held := [key async for key in listed(path)]):
            return
        for of_nodes in (True, False):
            await delete_objects(store, (key for key in held if (key.rpartition("/")[2] in RESERVED) == of_nodes), context)


def documents_of(metadata: ArrayMetadata | GroupMetadata) -> dict[str, Document]:
    """The documents of a node by name, last the one that makes it a node."""
    is_array = isinstance(metadata, ArrayMetadata)
    if metadata.zarr_format == 3:
        return {"zarr.json": array_to_json(metadata) if is_array else group_to_json(metadata)}
    attributes = {".zattrs": dict(metadata.attributes)} if metadata.attributes else {}
    return attributes | ({".zarray": v2_array_to_json(metadata)} if is_array else {".zgroup": {"zarr_format": 2}})


def _encoded(made: Mapping[str, ArrayMetadata | GroupMetadata]) -> dict[str, bytes]:
    """The documents of nodes by path, as they are stored, by key."""
    return {join(path, name): dump(each, name) for path, node in made.items() for name, each in documents_of(node).items()}


def join(path: str, name: str) -> str:
    """The key of `name` below `path`."""
    return f"{path}/{name}" if path else name
