"""Chunk grids and keys. Knows integers and strings; never bytes, never stores.

One axis of a grid is an `Axis`: where each chunk begins and how long it is. A grid is one axis per dimension.
"""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass
from typing import Any, Protocol

from azarr.document import JSON, Document, is_list, is_object
from azarr.errors import InvalidKey, LimitExceeded, MetadataError

__all__ = ["Axis", "Grid", "KeyEncoding", "RectilinearAxis", "RegularAxis", "check_path", "grid_from_json", "grid_to_json"]

MAX_LENGTH = (1 << 63) - 1
MAX_RUNS = 1 << 24
"""Runs of a rectilinear axis that are kept; more is refused. A run `[length, count]` stays one entry however long."""


class Axis(Protocol):
    """One dimension of a chunk grid."""

    @property
    def length(self) -> int: ...
    @property
    def count(self) -> int: ...
    def locate(self, position: int) -> int:
        """The index of the chunk that holds `position`."""
        ...

    def span(self, index: int) -> tuple[int, int]:
        """Where chunk `index` begins, and its full length, which may reach over the end of the axis."""
        ...


@dataclass(frozen=True, slots=True)
class RegularAxis:
    """Chunks of one size; the last may reach over the end."""

    length: int
    chunk: int

    @property
    def count(self) -> int:
        return -(-self.length // self.chunk)

    def locate(self, position: int) -> int:
        return position // self.chunk

    def span(self, index: int) -> tuple[int, int]:
        return index * self.chunk, self.chunk


@dataclass(frozen=True, slots=True)
class RectilinearAxis:
    """Chunks of many sizes, kept as runs `(chunk length, count)`, with where each run begins (element and chunk)."""

    length: int
    runs: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]
    firsts: tuple[int, ...]

    @classmethod
    def from_runs(cls, length: int, runs: tuple[tuple[int, int], ...]) -> RectilinearAxis:
        starts = tuple(itertools.accumulate((size * count for size, count in runs), initial=0))
        firsts = tuple(itertools.accumulate((count for _, count in runs), initial=0))
        return cls(length, runs, starts, firsts)

    @property
    def count(self) -> int:
        """Chunks that hold some part of the axis; chunks wholly beyond its end are allowed, and never read."""
        return self.locate(self.length - 1) + 1 if self.length else 0

    def locate(self, position: int) -> int:
        run = bisect.bisect_right(self.starts, position) - 1
        return self.firsts[run] + (position - self.starts[run]) // self.runs[run][0]

    def span(self, index: int) -> tuple[int, int]:
        run = bisect.bisect_right(self.firsts, index) - 1
        size = self.runs[run][0]
        return self.starts[run] + (index - self.firsts[run]) * size, size


@dataclass(frozen=True, slots=True)
class Grid:
    """A chunk grid over an array: one axis per dimension. `chunks` is None where the chunks differ in shape."""

    axes: tuple[RegularAxis | RectilinearAxis, ...]

    @classmethod
    def regular(cls, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Grid:
        return cls(tuple(RegularAxis(length, chunk) for length, chunk in zip(shape, chunks, strict=True)))

    @property
    def chunks(self) -> tuple[int, ...] | None:
        sizes = tuple(axis.chunk for axis in self.axes if isinstance(axis, RegularAxis))
        return sizes if len(sizes) == len(self.axes) else None

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(axis.count for axis in self.axes)

    @property
    def nchunks(self) -> int:
        return math.prod(self.counts)

    def chunk_shape(self, coords: tuple[int, ...]) -> tuple[int, ...]:
        """The full shape of the chunk at `coords`, overhang included."""
        return tuple(axis.span(index)[1] for axis, index in zip(self.axes, coords, strict=True))


@dataclass(frozen=True, slots=True)
class KeyEncoding:
    """How chunk coordinates become keys. The spec: `default` begins with "c", `v2` does not, and a scalar is "c" or "0"."""

    name: str = "default"
    separator: str = "/"

    def key(self, coords: tuple[int, ...]) -> str:
        if self.name == "default":
            return self.separator.join(("c", *map(str, coords)))
        return self.separator.join(map(str, coords)) or "0"

    @classmethod
    def from_json(cls, spec: JSON) -> KeyEncoding:
        name, configuration = named(spec, "chunk_key_encoding")
        defaults = {"default": "/", "v2": "."}
        if name not in defaults:
            raise MetadataError("a chunk key encoding is 'default' or 'v2'", field="chunk_key_encoding.name", value=name)
        separator = configuration.get("separator", defaults[name])
        if separator not in ("/", "."):
            raise MetadataError("a separator is '/' or '.'", field="chunk_key_encoding.separator", value=separator)
        return cls(name, separator)

    def to_json(self) -> Document:
        return {"name": self.name, "configuration": {"separator": self.separator}}


def named(spec: JSON, field: str) -> tuple[str, Document]:
    """Name and configuration of an extension point that must be understood: an object, or since 3.1 a bare name."""
    if isinstance(spec, str):
        return spec, {}
    if not is_object(spec) or not isinstance(spec.get("name"), str):
        raise MetadataError("an object with a name is needed, or a name", field=field, value=spec)
    if unknown := set(spec) - {"name", "configuration"}:
        raise MetadataError("only name and configuration are allowed", field=field, value=sorted(unknown))
    configuration = spec.get("configuration", {})
    if not is_object(configuration):
        raise MetadataError("a configuration is an object", field=f"{field}.configuration", value=configuration)
    return spec["name"], configuration


def integers(value: JSON, field: str, *, least: int, length: int | None = None) -> tuple[int, ...]:
    """`value` as a tuple of integers of at least `least`; booleans and `4.0` are not integers."""
    if not is_list(value) or not all(type(item) is int and least <= item <= MAX_LENGTH for item in value):
        raise MetadataError(f"a list of integers from {least} to {MAX_LENGTH} is needed", field=field, value=value)
    if length is not None and len(value) != length:
        raise MetadataError(f"one entry per dimension is needed ({length})", field=field, value=value)
    return tuple(value)


def grid_from_json(spec: JSON, shape: tuple[int, ...]) -> Grid:
    """EXTENSION_POINT: chunk grids."""
    name, configuration = named(spec, "chunk_grid")
    if name == "regular":
        chunks = integers(configuration.get("chunk_shape"), "chunk_grid.chunk_shape", least=1, length=len(shape))
        return Grid.regular(shape, chunks)
    if name != "rectilinear":
        raise MetadataError("azarr knows the grids 'regular' and 'rectilinear'", field="chunk_grid.name", value=name)
    if configuration.get("kind") != "inline":
        raise MetadataError("the kind of a rectilinear grid is 'inline'", field="chunk_grid.kind", value=configuration.get("kind"))
    sizes = configuration.get("chunk_shapes")
    if not is_list(sizes) or len(sizes) != len(shape):
        raise MetadataError(f"one entry per dimension is needed ({len(shape)})", field="chunk_grid.chunk_shapes", value=sizes)
    return Grid(tuple(_axis(entry, length) for entry, length in zip(sizes, shape, strict=True)))


def grid_to_json(grid: Grid) -> Document:
    if grid.chunks is not None:
        return {"name": "regular", "configuration": {"chunk_shape": list(grid.chunks)}}
    sizes: list[Any] = []
    for axis in grid.axes:
        if isinstance(axis, RegularAxis):
            sizes.append(axis.chunk)
        else:
            sizes.append([size if count == 1 else [size, count] for size, count in axis.runs])
    return {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": sizes}}


def _axis(entry: JSON, length: int) -> RegularAxis | RectilinearAxis:
    """An integer, or a list of integers and `[length, count]` runs; "the sum must reach the axis length"."""
    field = "chunk_grid.chunk_shapes"
    if type(entry) is int and entry > 0:
        return RegularAxis(length, entry)
    if not is_list(entry) or not entry:
        raise MetadataError("an axis is a positive integer, or a list of lengths and runs", field=field, value=entry)
    if len(entry) > MAX_RUNS:
        raise LimitExceeded(f"{field}: {len(entry):,} runs; {MAX_RUNS:,} are allowed")
    runs = tuple(integers([item, 1] if type(item) is int else item, field, least=1, length=2) for item in entry)
    total = sum(size * count for size, count in runs)
    if total < length:
        raise MetadataError(f"the chunks must reach the end of the axis ({length})", field=field, value=total)
    if total > MAX_LENGTH:
        raise LimitExceeded(f"{field}: the chunks reach to {total:,}; {MAX_LENGTH:,} is allowed")
    return RectilinearAxis.from_runs(length, tuple((size, count) for size, count in runs))


def check_path(path: str) -> str:
    """`path` of a node in its normal form: no slash at either end, none doubled; `InvalidKey` where it could leave the store.

    The spec: node names are not empty, have no "/", are not only dots, do not start with "__".
    """
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    for part in parts:
        if not part.strip(".") or part.startswith("__") or part in ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"):
            raise InvalidKey(f"{path!r} is not a path of a node: {part!r} is not allowed as a name")
        if "\0" in part:
            raise InvalidKey(f"{path!r} is not a path of a node: it holds a NUL character")
    return "/".join(parts)

