"""What is known of a node, in rows of a label and a text. Knows azarr's handles and rich; reads nothing."""

import json
from collections.abc import Iterable
from typing import Any

from rich import box
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

import azarr
from azarr.metadata import CodecSpec, codecs_from_json

CHAINS = ("codecs", "index_codecs")  # Configurations that are codecs themselves: those of a shard.
Row = tuple[str, str]


def describe(location: str, node: azarr.Array | azarr.Group) -> list[Row]:
    """The rows of a node opened at a location (a URL or path, shown as it is given)."""
    rows = [("path", azarr.errors.redact(location))]
    if isinstance(node, azarr.Group):
        return [*rows, ("format", f"Zarr v{node.zarr_format} group"), ("attributes", as_json(dict(node.attrs)))]
    return [
        *rows,
        ("format", f"Zarr v{node.zarr_format} array"),
        ("shape", str(node.shape)),
        ("dtype", str(node.dtype)),
        ("chunks", "of several shapes" if node.chunks is None else str(node.chunks)),
        ("shards", "none" if node.shards is None else str(node.shards)),
        ("codecs", "\n".join(codec_lines(node.codecs))),
        ("fill value", repr(fill) if isinstance(fill := node.fill_value, str | bytes) else str(fill)),
        ("dimension names", "none" if node.dimension_names is None else ", ".join(map(str, node.dimension_names))),
        ("attributes", as_json(dict(node.attrs))),
        ("bytes", f"{node.nbytes:,} ({decimal(node.nbytes)})"),
        ("number of chunks", f"{node.nchunks:,}"),
    ]


def codec_lines(codecs: Iterable[CodecSpec]) -> list[str]:
    """A line for each codec: its name and configuration; the chains inside a codec stand indented below it."""
    lines: list[str] = []
    for codec in codecs:
        chains = {key: codecs_from_json(codec.configuration[key], key) for key in CHAINS if key in codec.configuration}
        rest = {key: value for key, value in codec.configuration.items() if key not in chains}
        lines.append(f"{codec.name} {json.dumps(rest, default=str)}" if rest else codec.name)
        for key, chain in chains.items():
            lines += [f"  {key}:", *(f"    {line}" for line in codec_lines(chain))]
    return lines


def as_json(value: Any) -> str:
    """A value of the metadata, or "none" for an empty one."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) if value else "none"


def table(rows: list[Row]) -> Table:
    """Two aligned columns; the texts are shown as they are, folded where the terminal ends."""
    aligned = Table(box=box.SIMPLE, show_header=False)
    aligned.add_column(style="bold", min_width=16)
    aligned.add_column(overflow="fold")
    for label, text in rows:
        aligned.add_row(label, Text(text))
    return aligned


def facts(path: str, node: azarr.Array | azarr.Group) -> dict[str, Any]:
    """The same for programs."""
    told: dict[str, Any] = {"path": path, "zarr_format": node.zarr_format}
    if isinstance(node, azarr.Group):
        return told | {"node_type": "group", "attributes": dict(node.attrs)}
    return told | {
        "node_type": "array",
        "shape": node.shape,
        "dtype": str(node.dtype),
        "chunks": node.chunks,
        "shards": node.shards,
        "codecs": [{"name": codec.name, "configuration": codec.configuration} for codec in node.codecs],
        "fill_value": node.fill_value,
        "dimension_names": node.dimension_names,
        "attributes": dict(node.attrs),
        "nbytes": node.nbytes,
        "nchunks": node.nchunks,
    }
