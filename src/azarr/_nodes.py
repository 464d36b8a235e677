"""Finding nodes: which documents to ask for, and what they say. The number of requests is part of the contract.

Format not given: the documents of v3 and v2 are asked for together, in one round trip. Format known (a member of an open group): those
of that format. Consolidated metadata: none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

from azarr import metadata as v3
from azarr import v2
from azarr._engine.documents import fetch_documents
from azarr.context import Context
from azarr.document import JSON, Document, is_object, parse
from azarr.errors import InvalidKey, MetadataError, NodeNotFound, NotAGroup, NotAnArray
from azarr.grid import check_path
from azarr.metadata import ArrayMetadata, GroupMetadata

__all__ = ["Found", "GroupLike", "find", "find_below", "may_be_node", "open_members"]

Found: TypeAlias = ArrayMetadata | GroupMetadata
DOCUMENTS = {
    (3, "node"): ("zarr.json",),
    (3, "array"): ("zarr.json",),
    (3, "group"): ("zarr.json",),
    (2, "array"): (".zarray", ".zattrs"),
    (2, "group"): (".zmetadata", ".zgroup", ".zattrs"),
    (2, "node"): (".zarray", ".zmetadata", ".zgroup", ".zattrs"),
}
"""What is asked for, by format and kind of node."""


class GroupLike(Protocol):
    """As much of a group as finding its members needs."""

    @property
    def metadata(self) -> GroupMetadata: ...
    @metadata.setter
    def metadata(self, value: GroupMetadata) -> None: ...

    store: Any
    path: str
    context: Context
    lenient: bool


async def find(store: Any, path: str, kind: str, *, zarr_format: int | None, consolidated: bool | None, context: Context, lenient: bool) -> Found:
    """The node at `path`. `kind` is "array", "group" or "node"; `consolidated` False does not ask for such metadata, True insists on it.

    Errors: `NodeNotFound`, `NotAnArray`, `NotAGroup`, `MetadataError`, `StoreError`.
    """
    formats = (3, 2) if zarr_format is None else (zarr_format,)
    names = [name for form in formats for name in DOCUMENTS[form, kind] if name != ".zmetadata" or consolidated is not False]
    prefix = f"{path}/" if path else ""
    documents = dict(zip(names, await fetch_documents(store, [prefix + name for name in names], context), strict=True))
    found = _node({name: data for name, data in documents.items() if data is not None}, prefix, lenient)
    if found is None and kind != "node":  # perhaps the other kind is there: say so
        other = ".zgroup" if kind == "array" else ".zarray"
        if 2 in formats and (await fetch_documents(store, [prefix + other], context))[0] is not None:
            raise _wrong_kind(kind, store, path)
    if found is None:
        raise NodeNotFound(repr(store), path or "/", ", ".join(name for name in names if name not in (".zattrs", ".zmetadata")))
    if kind != "node" and (kind == "array") != isinstance(found, ArrayMetadata):
        raise _wrong_kind(kind, store, path)
    if isinstance(found, GroupMetadata):
        if consolidated is False:
            return replace(found, consolidated=None)
        if consolidated and found.consolidated is None:
            raise NodeNotFound(repr(store), path or "/", "consolidated metadata (in zarr.json, or .zmetadata)")
    return found


async def find_below(group: GroupLike, path: str, kind: str) -> Found:
    """The node at `path` below `group`, by its consolidated metadata where it has them."""
    full = check_path(f"{group.path}/{path}")
    if group.metadata.consolidated is None:
        return await find(group.store, full, kind, zarr_format=group.metadata.zarr_format, consolidated=None, context=group.context, lenient=group.lenient)
    found = _consolidated(group, check_path(path))
    if found is None:
        raise NodeNotFound(repr(group.store), full, f"{path} in the consolidated metadata; consolidated=False looks into the store")
    if kind != "node" and (kind == "array") != isinstance(found, ArrayMetadata):
        raise _wrong_kind(kind, group.store, full)
    return found


async def open_members(group: GroupLike, names: Sequence[str]) -> dict[str, tuple[str, Found]]:
    """Path and metadata of those of `names` that are nodes right below `group`."""
    start = f"{group.path}/" if group.path else ""
    if group.metadata.consolidated is not None:
        members = {name: _consolidated(group, name) for name in names}
    else:
        of_format = DOCUMENTS[group.metadata.zarr_format, "node"]
        wanted = [name for name in of_format if name != ".zmetadata"]
        keys = [f"{start}{name}/{document}" for name in names for document in wanted]
        fetched = iter(await fetch_documents(group.store, keys, group.context))
        members: dict[str, Found | None] = {}
        for name in names:
            documents = {document: data for document in wanted if (data := next(fetched)) is not None}
            members[name] = _node(documents, f"{start}{name}/", group.lenient)
    return {name: (start + name, found) for name, found in members.items() if found is not None}


def may_be_node(name: str) -> bool:
    """Whether a folder of this name can be a node."""
    try:
        return check_path(name) == name
    except InvalidKey:
        return False


def _node(documents: Mapping[str, bytes], prefix: str, lenient: bool) -> Found | None:
    """The node that the documents describe, v3 before v2; None where there is none."""
    if "zarr.json" in documents:
        return _from_v3(parse(documents["zarr.json"], f"{prefix}zarr.json", lenient=False), f"{prefix}zarr.json", lenient)
    if not {".zarray", ".zgroup", ".zmetadata"} & set(documents):
        return None
    parsed: dict[str, JSON] = {name: parse(data, prefix + name, lenient=lenient) for name, data in documents.items()}
    found = _from_v2(parsed, prefix, lenient)
    if ".zmetadata" in parsed and (isinstance(found, GroupMetadata) or found is None):
        key = f"{prefix}.zmetadata"
        members = dict(_within(key, lambda: v2.consolidated_members(parsed[".zmetadata"])))
        root = members.pop("", {})
        group = found or _from_v2(root, prefix, lenient) or GroupMetadata(zarr_format=2)
        return replace(group, consolidated=_checked_paths(members, key))
    return found


def _from_v3(document: Document, key: str, lenient: bool) -> Found:
    if document.get("node_type") != "group":
        return _within(key, lambda: v3.array_from_json(document, lenient=lenient))
    group = _within(key, lambda: v3.group_from_json(document))
    return group if group.consolidated is None else replace(group, consolidated=_checked_paths(group.consolidated, key))


def _from_v2(documents: Mapping[str, JSON], prefix: str, lenient: bool) -> Found | None:
    attributes = documents.get(".zattrs", {})
    if not is_object(attributes):
        raise MetadataError("attributes are an object", document=f"{prefix}.zattrs", field="attributes", value=attributes)
    for name, read in ((".zarray", lambda value: v2.array_from_json(value, attributes, lenient=lenient)), (".zgroup", lambda value: v2.group_from_json(value, attributes))):
        if name in documents:
            value = documents[name]
            if not is_object(value):
                raise MetadataError("the document must be a JSON object", document=prefix + name, field="document", value=value)
            return _within(prefix + name, lambda: read(value))
    return None


def _consolidated(group: GroupLike, path: str) -> Found | None:
    """A member by the consolidated metadata of `group`; a group gets its share of them."""
    consolidated = group.metadata.consolidated or {}
    below = {name[len(path) + 1 :]: value for name, value in consolidated.items() if name.startswith(f"{path}/")}
    value = consolidated.get(path)
    if value is None:
        return GroupMetadata(zarr_format=2, consolidated=below) if below and group.metadata.zarr_format == 2 else None
    full = f"{group.path}/{path}" if group.path else path
    if not is_object(value):
        raise MetadataError("a member is a JSON object", document=f"{full}/zarr.json", field="consolidated_metadata", value=value)
    if group.metadata.zarr_format == 2:
        found = _from_v2(value, f"{full}/", group.lenient)
    else:
        found = _from_v3({name: item for name, item in value.items() if name != "consolidated_metadata"}, f"{full}/zarr.json", group.lenient)
    return replace(found, consolidated=below) if isinstance(found, GroupMetadata) else found


def _checked_paths(members: Mapping[str, JSON], key: str) -> Mapping[str, JSON]:
    for path in members:
        try:
            good = check_path(path) == path and path != ""
        except InvalidKey:
            good = False
        if not good:
            raise MetadataError("a member's path stays below its group", document=key, field="consolidated_metadata", value=path)
    return members


def _within(key: str, make: Any) -> Any:
    try:
        return make()
    except MetadataError as error:
        raise error.within(key) from error.__cause__


def _wrong_kind(kind: str, store: Any, path: str) -> NotAnArray | NotAGroup:
    where = f"{path or '/'} of {store!r}"
    if kind == "array":
        return NotAnArray(f"a group stands at {where}; open it with open_group, or name an array in it")
    return NotAGroup(f"an array stands at {where}; open it with open_array")
