"""Verbs over whole nodes: save and load, delete, consolidate; and reading many selections at once."""

from typing import Any

import numpy.typing as npt

from azarr._engine import all_of, change_document
from azarr._engine.documents import ATTEMPTS, conflict
from azarr._nodes import find
from azarr._open import create_array, creating, open_array, open_group
from azarr.access import writable
from azarr.array import Array, Selection
from azarr.context import Context
from azarr.document import JSON, Document, dump
from azarr.errors import StoreError
from azarr.grid import check_path
from azarr.group import Group
from azarr.ref import PendingSelection
from azarr.stores import Listing
from azarr.tools.changes import forgetting
from azarr.tools.nodes import delete_all, documents_of, join
from azarr.tools.values import plain


async def save(store: Any, path: str, values: npt.ArrayLike, **options: Any) -> Array:
    """Create an array at `path` that holds `values`, with their shape and dtype. `options` and errors are those of `create_array`."""
    data = plain(values)
    arguments: dict[str, Any] = {"shape": data.shape, "dtype": data.dtype, **options}
    array = await create_array(store, path, **arguments)
    await array[...].write(data)
    return array


async def load(store: Any, path: str = "", *, context: Context | None = None) -> Any:
    """All elements of the array at `path`, as `await open_array(store, path)[...]`."""
    return await open_array(store, path, context=context)[...]


async def read_many(*selections: Selection | PendingSelection) -> list[Any]:
    """What each of `selections` reads, all at once; those of one context share its budget. The first error ends them all, and is raised."""
    kinds: Any = (Selection, PendingSelection)
    if wrong := [type(each).__name__ for each in selections if not isinstance(each, kinds)]:
        raise TypeError(f"read_many takes selections, one by one: read_many(a[0], b[...]), not {wrong[0]}")
    return await all_of([selection.read() for selection in selections])


async def delete(store: Any, path: str = "", *, context: Context | None = None) -> None:
    """Delete the node at `path` and all below it: first their documents, so that nothing is seen that is half deleted.

    Errors: `NodeNotFound`, `ReadOnly`; `StoreError` for a store that cannot list.
    """
    access, path = creating(store, None, context), check_path(path)
    if not isinstance(access.store, Listing):
        raise StoreError("this store cannot list, so what is below a node cannot be found", store=repr(access.store), key=path)
    await find(access._replace(lenient=True), path, "node")
    async with forgetting(access, path):
        await delete_all(access.store, path, access.context)


async def consolidate(store: Any, path: str = "", *, lenient: bool = False, context: Context | None = None) -> Group:
    """Copy the documents of all nodes below the group at `path` into its own, so that they are opened without asking for each.

    For v3 that is not in the specification, but zarr-python and others read it. `lenient`: as for `open`, with which it has to be opened
    then, if bare `NaN` was among what it copied. Errors: `NotAGroup`, `ReadOnly`, `StoreError`.
    """
    access, path, before = creating(store, None, context), check_path(path), b""
    for _ in range(ATTEMPTS):  # what is stored may have been changed while it was read, so it is read once more
        group: Any = await open_group(access.store, path, mode="r+", lenient=lenient, context=access.context)
        own, documents = documents_of(group.metadata), dict[str, JSON]()
        async for name, node in group.walk(strict=True):  # what is left out would be hidden from all
            documents.update({f"{name}/{key}": document for key, document in documents_of(node.metadata).items()})
        if before == (before := dump({**own, **documents}, lenient=lenient)):
            return await open_group(access.store, path, lenient=lenient, context=access.context)
        await _put_consolidated(writable(access, path), path, own, documents, lenient)
    raise conflict(access.store, path)


async def _put_consolidated(store: Any, path: str, own: Document, documents: Document, lenient: bool) -> None:
    """Put the documents of members by key, and in v2 the group's own, where they are looked for."""
    if "zarr.json" not in own:
        found: Document = {"zarr_consolidated_format": 1, "metadata": {**own, **documents}}
        await change_document(store, join(path, ".zmetadata"), lambda _: found, lenient=lenient)
        return
    members = {key.removesuffix("/zarr.json"): document for key, document in documents.items()}
    inline = {"kind": "inline", "must_understand": False, "metadata": members}
    await change_document(store, join(path, "zarr.json"), lambda held: {**held, "consolidated_metadata": inline}, lenient=lenient)
