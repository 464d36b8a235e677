"""What stands right below a group: listed by the store, or known from consolidated metadata. One that cannot be opened hides no other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from azarr import _nodes
from azarr.array import Array
from azarr.document import JSON
from azarr.errors import MetadataError, UnknownDataType, UnknownWarning
from azarr.group import Group, make_node
from azarr.metadata import ArrayMetadata, GroupMetadata
from azarr.stores.base import Listing
from azarr.tools.folder_pages import listed

Seen: TypeAlias = ArrayMetadata | GroupMetadata | MetadataError
"""A node, or why its documents are of none that azarr can open."""


async def members(group: Group, *, strict: bool) -> dict[str, Array | Group]:
    """The nodes of `seen`; of those that cannot be opened the error, but for unknown data types, which are warned about unless `strict`."""
    found = dict[str, Array | Group]()
    for name, node in (await seen(group)).items():
        path = f"{group.path}/{name}" if group.path else name
        if isinstance(node, UnknownDataType) and not strict:
            warnings.warn(f"{path} of {group.store!r} is left out: {node}", UnknownWarning, stacklevel=3)
        elif isinstance(node, MetadataError):
            raise node
        else:
            found[name] = make_node(node, group.access, path)
    return found


async def seen(group: Group) -> dict[str, Seen]:
    """What stands right below a group, by name."""
    prefix, access = f"{group.path}/" if group.path else "", group.access
    if group.metadata.consolidated is not None:
        shares = _shares(group.metadata)
        found = {name: _tried(_nodes.member, group.metadata, name, prefix, access.lenient, share) for name, share in shares.items()}
    else:
        names = group.store.list_dir(group.path) if isinstance(group.store, Listing) else listed(group.store, group.path)
        folders = [name[:-1] async for name in names if name.endswith("/")]
        paths = [prefix + name for name in folders if _nodes.may_be_node(name)]
        documents = await _nodes.documents_at(access, paths, _nodes.names_of(access, "member"))
        found = {path[len(prefix) :]: _tried(_nodes.node_of, each, path, access.lenient) for path, each in documents.items()}
    return {name: node for name, node in found.items() if node is not None}


def _shares(metadata: GroupMetadata) -> dict[str, dict[str, JSON]]:
    """The consolidated metadata below each member: all are looked through once, however many members there are."""
    shares = dict[str, dict[str, JSON]]()
    for path, item in (metadata.consolidated or {}).items():
        name, _, rest = path.partition("/")
        share = shares.setdefault(name, {})
        if rest:
            share[rest] = item
    return shares


def _tried(make: Callable[..., ArrayMetadata | GroupMetadata | None], *args: Any) -> Seen | None:
    try:
        return make(*args)
    except MetadataError as error:
        return error
