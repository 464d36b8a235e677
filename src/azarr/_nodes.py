"""Finding nodes: which documents to ask for, and what they say. The number of requests is part of the contract.

Format not given: the documents of v3 and v2 are asked for together, in one round trip. Format known (a member of an open group): those
of that format. Consolidated metadata: none.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from azarr import metadata as v3
from azarr import v2
from azarr._engine.documents import fetch_documents
from azarr.access import Access
from azarr.document import JSON, is_object, parse
from azarr.errors import InvalidKey, MetadataError, NodeNotFound, NotAGroup, NotAnArray
from azarr.grid import check_path
from azarr.limits import DEFAULT_LIMITS, Limits
from azarr.metadata import ArrayMetadata, GroupMetadata

Found: TypeAlias = ArrayMetadata | GroupMetadata
V2_DOCUMENTS = {
    "array": (".zarray", ".zattrs"),
    "group": (".zmetadata", ".zgroup", ".zattrs"),
    "node": (".zarray", ".zmetadata", ".zgroup", ".zattrs"),
    "member": (".zarray", ".zgroup", ".zattrs"),
}
"""What is asked for, by kind of node; of v3 it is always zarr.json."""


async def find(access: Access, path: str, kind: str) -> Found:
    """The node at `path`. `kind` is "array", "group" or "node".

    Errors: `NodeNotFound`, `NotAnArray`, `NotAGroup`, `MetadataError`, `StoreError`.
    """
    names = [name for name in names_of(access, kind) if name != ".zmetadata" or access.consolidated is not False]
    where = f"{path or '/'} of {access.store!r}"
    found = (await find_all(access, [path], names))[path]
    if found is None and kind != "node" and access.zarr_format != 3:  # perhaps the other kind is there: say so
        found = (await find_all(access, [path], [".zgroup" if kind == "array" else ".zarray"]))[path]
    if found is None:
        raise NodeNotFound(repr(access.store), path or "/", ", ".join(name for name in names if name not in (".zattrs", ".zmetadata")))
    if kind == "array" and isinstance(found, GroupMetadata):
        raise NotAnArray(f"a group stands at {where}; open it with open_group, or name an array in it")
    if kind == "group" and isinstance(found, ArrayMetadata):
        raise NotAGroup(f"an array stands at {where}; open it with open_array")
    if access.consolidated and isinstance(found, GroupMetadata) and found.consolidated is None:
        raise NodeNotFound(repr(access.store), path or "/", "consolidated metadata (in zarr.json, or .zmetadata)")
    return found


async def find_all(access: Access, paths: Sequence[str], names: Sequence[str] = ()) -> dict[str, Found | None]:
    """For each of `paths` the node that its documents `names` describe; None where there is none."""
    found = await documents_at(access, paths, names or names_of(access, "member"))
    return {path: node_of(documents, path, access.lenient, access.context.limits) for path, documents in found.items()}


async def documents_at(access: Access, paths: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, bytes]]:
    """For each of `paths` those of its documents `names` that are there."""
    keys = [f"{path}/{name}" if path else name for path in paths for name in names]
    fetched = iter(await fetch_documents(access.store, keys, access.context))
    return {path: {name: data for name in names if (data := next(fetched)) is not None} for path in paths}


def names_of(access: Access, kind: str) -> tuple[str, ...]:
    """The documents to ask for."""
    return ("zarr.json",) * (access.zarr_format != 2) + V2_DOCUMENTS[kind] * (access.zarr_format != 3)


def member(group: GroupMetadata, path: str, prefix: str, lenient: bool, below: Mapping[str, JSON] | None = None) -> Found | None:
    """The node at `path` by the consolidated metadata of the group at `prefix`; a group below gets its share of them, `below`."""
    members = group.consolidated or {}
    below = {key[len(path) + 1 :]: item for key, item in members.items() if key.startswith(f"{path}/")} if below is None else below
    documents = members.get(path, {}) if group.zarr_format == 2 else {"zarr.json": members[path]} if path in members else {}
    found = _described(documents, f"{prefix}{path}/", lenient)
    if isinstance(found, ArrayMetadata):
        return found
    if found is None and (not below or group.zarr_format == 3):  # v2 has groups without a document
        return None
    return (found or GroupMetadata(zarr_format=2))._replace(consolidated=below)


def may_be_node(path: str) -> bool:
    """Whether a node can be at this path."""
    if path.isidentifier():  # most are one plain name
        return True
    try:
        return check_path(path) == path != ""
    except InvalidKey:
        return False


def node_of(documents: Mapping[str, bytes], path: str, lenient: bool, limits: Limits = DEFAULT_LIMITS) -> Found | None:
    """The node at `path` that its documents, by name, describe; None where there is none."""
    prefix = f"{path}/" if path else ""
    names = ["zarr.json"] if "zarr.json" in documents else list(documents)
    parsed = {name: parse(documents[name], prefix + name, lenient=lenient, limits=limits) for name in names}
    return _described(parsed, prefix, lenient)


def _described(documents: Mapping[str, JSON], prefix: str, lenient: bool) -> Found | None:
    """As `node_of`, of documents that are parsed. Those of consolidated metadata may be anything."""
    for name, document in documents.items():
        if not is_object(document):
            raise MetadataError("the document must be a JSON object", document=prefix + name, field="document", value=document)
    name = next((name for name in ("zarr.json", ".zarray", ".zgroup") if name in documents), ".zmetadata")
    key, document, attributes = prefix + name, documents.get(name, {}), documents.get(".zattrs", {})
    found: GroupMetadata | None = None
    try:
        if name == ".zarray":
            return v2.array_from_json(document, attributes, lenient=lenient)
        if name == "zarr.json" and document.get("node_type") != "group":
            return v3.array_from_json(document, lenient=lenient)
        if name != ".zmetadata":
            found = v3.group_from_json(document) if name == "zarr.json" else v2.group_from_json(document, attributes)
        if ".zmetadata" in documents:
            key = prefix + ".zmetadata"
            members = dict(v2.consolidated_members(documents[".zmetadata"]))
            root = _described({name: value for name, value in members.pop("", {}).items() if name != ".zarray"}, prefix, lenient)
            assert not isinstance(root, ArrayMetadata)
            found = (found or root or GroupMetadata(zarr_format=2))._replace(consolidated=members)
        for path in (found.consolidated or ()) if found else ():
            if not may_be_node(path):
                raise MetadataError("a member's path stays below its group", field="consolidated_metadata", value=path)
    except MetadataError as error:
        raise error.within(key) from error.__cause__
    return found
