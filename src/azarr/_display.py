"""How nodes look: text for terminals, HTML for notebooks. Pure; takes what a node already knows."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from azarr.metadata import ArrayMetadata

__all__ = ["Tree", "array_html", "array_text", "bytes_text", "group_html", "group_text"]


def bytes_text(nbytes: float) -> str:
    """`nbytes` in words: 512 B, 1.5 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} TiB"


def dimensions_text(shape: Sequence[int], names: Sequence[str | None] | None) -> str:
    """(240, 37) or (time: 240, latitude: 37)."""
    parts = [str(length) if not name else f"{name}: {length}" for length, name in zip(shape, names or [None] * len(shape), strict=True)]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def array_line(array: Any) -> str:
    return f"{dimensions_text(array.shape, array.dimension_names)} {array.data_type.name}"


def array_text(array: Any) -> str:
    shards = f" shards={array.shards}" if array.shards else ""
    return f"<Array {array.path or '/'} {array_line(array)} chunks={array.chunks}{shards} in {array.store!r}>"


def array_facts(array: Any) -> list[tuple[str, str]]:
    """What there is to say about an array, as label and text."""
    facts = [
        ("path", array.path or "/"),
        ("shape", dimensions_text(array.shape, array.dimension_names)),
        ("data type", array.data_type.name),
        ("chunks", f"{array.chunks} ({array.nchunks:,} of them)"),
        ("shards", str(array.shards)),
        ("codecs", ", ".join(codec.name for codec in array.codecs)),
        ("fill value", repr(array.fill_value)),
        ("size", bytes_text(array.nbytes)),
        ("format", f"Zarr v{array.zarr_format}"),
        ("store", repr(array.store)),
    ]
    return [fact for fact in facts if fact != ("shards", "None")]


def array_html(array: Any) -> str:
    return _table("azarr.Array", [*array_facts(array), *_attributes(array.attrs)])


def group_text(group: Any) -> str:
    known = group.known
    members = f", {len(known)} members" if known else ""
    return f"<Group {group.path or '/'} (v{group.zarr_format}{members}) in {group.store!r}>"


def group_html(group: Any) -> str:
    facts = [("path", group.path or "/"), ("format", f"Zarr v{group.zarr_format}"), ("store", repr(group.store))]
    if group.known:
        facts.append(("members", ", ".join(group.known)))
    return _table("azarr.Group", [*facts, *_attributes(group.attrs)])


@dataclass(frozen=True, slots=True)
class Tree:
    """A hierarchy as a picture: text by `str`, HTML in a notebook. `lines` are (depth, name, description)."""

    lines: tuple[tuple[int, str, str], ...]

    @classmethod
    def of(cls, root: str, nodes: Iterable[tuple[str, Any]]) -> Tree:
        """The picture of `nodes`, (path, array or group), in the order of a walk."""
        lines = [(0, root, "")]
        for path, node in nodes:
            description = array_line(node) if isinstance(node.metadata, ArrayMetadata) else ""
            lines.append((path.count("/") + 1, path.rpartition("/")[2], description))
        return cls(tuple(lines))

    def __str__(self) -> str:
        drawn: list[str] = []
        open_at: set[int] = set()
        for place in range(len(self.lines) - 1, -1, -1):  # from the end: a branch is open where a sibling comes below
            depth, name, description = self.lines[place]
            if depth:
                stem = "".join("│   " if level in open_at else "    " for level in range(1, depth))
                name = stem + ("├── " if depth in open_at else "└── ") + name
            open_at = {level for level in open_at if level < depth} | {depth}
            drawn.append(f"{name} {description}".rstrip())
        return "\n".join(reversed(drawn))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def _attributes(attributes: Any) -> list[tuple[str, str]]:
    return [(f"attrs[{name!r}]", value if isinstance(value, str) else repr(value)) for name, value in attributes.items()]


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th style='text-align:left'>{html.escape(label)}</th><td style='text-align:left'>{html.escape(text[:500])}</td></tr>" for label, text in rows)
    return f"<table><caption>{title}</caption><tbody>{cells}</tbody></table>"
