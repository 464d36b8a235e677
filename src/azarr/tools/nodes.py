"""Making nodes and taking them away: their documents, those of the groups above them, and all that lies below them."""

from __future__ import annotations

from typing import Any, cast

from azarr._engine import delete_objects, fetch_documents
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
from azarr.v2 import array_to_json as v2_array_to_json


async def create(access: Access, path: str, metadata: ArrayMetadata | GroupMetadata, overwrite: bool = False) -> None:
    """Store a node where none is (or which replaces what is there), and the groups above it that are not there yet."""
    store = cast("WritableStore", access.store)
    made = {**await missing_above(access, path, metadata.zarr_format), path: metadata}
    documents = {f"{place}/{name}".lstrip("/"): dump(each) for place, node in made.items() for name, each in documents_of(node).items()}
    keys = [f"{path}/{name}".lstrip("/") for name in ("zarr.json", ".zarray", ".zgroup")]
    if any(data is not None for data in await fetch_documents(store, keys, access.context)):
        if isinstance(store, Listing):
            await check_names(store, path)
        if not overwrite or not isinstance(store, Listing):
            raise NodeExists(f"a node stands at {path or '/'} of {store!r}; overwrite=True replaces it")
        await delete_all(store, path, access.context)
    async with forgetting(access, path):
        for key, data in documents.items():
            if not isinstance(store, ConditionalStore):
                await store.set(key, data)
            elif not await store.replace(key, data, None) and key.rpartition("/")[0] == path:  # of a group above, somebody else's will do
                raise NodeExists(f"a node was made at {path or '/'} of {store!r} by somebody else at the same time")


async def missing_above(access: Access, path: str, zarr_format: int) -> dict[str, GroupMetadata]:
    """The groups above `path` that are not there yet, outermost first. Errors: `NotAGroup`, `NodeExists` for those of another format."""
    parts, made = path.split("/"), dict[str, GroupMetadata]()
    above = ["/".join(parts[:count]) for count in range(len(parts)) if path]
    for folder, node in (await find_all(access._replace(zarr_format=None), above)).items():
        where = f"{folder or '/'} of {access.store!r}"
        if isinstance(node, ArrayMetadata):
            raise NotAGroup(f"an array stands at {where}; nodes stand in groups")
        if node is not None and node.zarr_format != zarr_format:
            raise NodeExists(f"the group at {where} is Zarr v{node.zarr_format}; zarr_format={node.zarr_format} makes nodes in it")
        if node is None:
            made[folder] = GroupMetadata(zarr_format=zarr_format)
    return made


async def delete_all(store: Any, path: str, context: Context) -> None:
    """Delete all objects below `path`. Documents first: a node that is half deleted must not be seen."""
    held = [key async for key in store.list(path)]
    for of_nodes in (True, False):
        await delete_objects(store, (key for key in held if (key.rpartition("/")[2] in RESERVED) == of_nodes), context)


def documents_of(metadata: ArrayMetadata | GroupMetadata) -> dict[str, Document]:
    """The documents of a node by name, last the one that makes it a node."""
    is_array = isinstance(metadata, ArrayMetadata)
    if metadata.zarr_format == 3:
        return {"zarr.json": array_to_json(metadata) if is_array else group_to_json(metadata)}
    attributes = {".zattrs": dict(metadata.attributes)} if metadata.attributes else {}
    return attributes | ({".zarray": v2_array_to_json(metadata)} if is_array else {".zgroup": {"zarr_format": 2}})
