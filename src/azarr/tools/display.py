"""How nodes look: text for terminals, HTML for notebooks. Pure; takes what a node already knows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from azarr.errors import AzarrError
from azarr.metadata import ArrayMetadata


def shape_text(metadata: ArrayMetadata) -> str:
    """(240, 37) or (time: 240, latitude: 37)."""
    names = metadata.dimension_names or (None,) * metadata.ndim
    parts = [f"{name}: {length}" if name else str(length) for length, name in zip(metadata.shape, names, strict=True)]
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"


def array_text(self: Any) -> str:
    """An array in one line."""
    chunks, shards, _ = _chunks(self)
    kind = f"{shape_text(self.metadata)} {self.metadata.dtype.name}"
    return f"<Array {self.path or '/'} {kind} chunks={chunks}{f' shards={shards}' if shards else ''} in {self.store!r}>"


def _chunks(array: Any) -> tuple[Any, Any, int]:
    """Shape of the chunks, of the shards, and how many chunks there are; those of the grid where shards cannot be looked into."""
    try:
        return array.chunks, array.shards, array.nchunks
    except AzarrError:  # an unknown codec in a shard, say: it is an error of reading, not of looking at the handle
        return array.metadata.grid.chunks, None, array.metadata.grid.nchunks


def array_html(array: Any) -> str:
    """A table of what there is to say about an array."""
    facts = {"shape": shape_text(array.metadata), "data type": array.metadata.dtype.name, "size": f"{array.nbytes:,} bytes"}
    chunks, shards, count = _chunks(array)
    facts |= {"chunks": f"{chunks} ({count:,} of them)", "shards": str(shards or "")}
    facts |= {"codecs": ", ".join(codec.name for codec in array.codecs), "fill value": repr(array.fill_value)}
    return _table("Array", array, facts)


def group_text(self: Any) -> str:
    """A group in one line."""
    members = f", {len(self.known)} members" if self.known else ""
    return f"<Group {self.path or '/'} (v{self.zarr_format}{members}) in {self.store!r}>"


def group_html(group: Any) -> str:
    """A table of what there is to say about a group."""
    return _table("Group", group, {"members": ", ".join(group.known)})


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A hierarchy as a picture: text by `str`, HTML in a notebook. `lines` are (depth, name, description)."""

    lines: list[tuple[int, str, str]]

    def __str__(self) -> str:
        drawn: list[str] = []
        open_at: set[int] = set()
        for depth, name, description in reversed(self.lines):  # from the end: a branch is open where a sibling comes below
            stem = "".join("│   " if level in open_at else "    " for level in range(1, depth))
            branch = "" if not depth else "├── " if depth in open_at else "└── "
            open_at = {level for level in open_at if level < depth} | {depth}
            drawn.append(f"{stem}{branch}{name} {description}".rstrip())
        return "\n".join(reversed(drawn))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{_escaped(str(self))}</pre>"


def tree_of(root: str, nodes: Iterable[tuple[str, Any]]) -> Tree:
    """The picture of `nodes`, (path, array or group), in the order of a walk."""
    lines = [(0, root, "")]
    for path, node in nodes:
        kind = f"{shape_text(node.metadata)} {node.metadata.dtype.name}" if isinstance(node.metadata, ArrayMetadata) else ""
        lines.append((path.count("/") + 1, path.rpartition("/")[2], kind))
    return Tree(lines)


def _table(title: str, node: Any, facts: Mapping[str, str]) -> str:
    rows = {"path": node.path or "/", **facts, "format": f"Zarr v{node.zarr_format}", "store": repr(node.store)}
    rows |= {f"attrs[{name!r}]": value if isinstance(value, str) else repr(value) for name, value in node.attrs.items()}
    cells = [f"<tr><th>{_escaped(label)}</th><td>{_escaped(text[:500])}</td></tr>" for label, text in rows.items() if text]
    return f"<table style='text-align: left'><caption>azarr.{title}</caption><tbody>{''.join(cells)}</tbody></table>"


def _escaped(text: str) -> str:
    for character, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot")):
        text = text.replace(character, f"&{name};")
    return text
