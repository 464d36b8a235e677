"""Chunk grids and keys. Knows integers and strings; never bytes, never stores."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, Self, TypeAlias

from azarr.document import JSON, MAX_INTEGER, integers, is_list, named, one_of
from azarr.errors import InvalidKey, LimitExceeded, MetadataError

MAX_RUNS = 1 << 24  # of a rectilinear axis; a run `[length, count]` stays one entry, however long
RESERVED = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


@dataclass(frozen=True, slots=True)
class RegularAxis:
    """Chunks of one size; the last may reach over the end."""

    length: int
    chunk: int

    @property
    def count(self) -> int:
        """Chunks of this axis."""
        return -(-self.length // self.chunk)

    def locate(self, position: int) -> int:
        """The index of the chunk that holds `position`."""
        return position // self.chunk

    def span(self, index: int) -> tuple[int, int]:
        """Where chunk `index` begins, and its full length, which may reach over the end of the axis."""
        return index * self.chunk, self.chunk


@dataclass(frozen=True, slots=True)
class RectilinearAxis:
    """Chunks of many sizes, kept as runs `(chunk length, count)`, with where each run begins (element and chunk)."""

    length: int
    runs: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]
    firsts: tuple[int, ...]

    @property
    def count(self) -> int:
        """Chunks that hold some part of the axis; chunks wholly beyond its end are allowed, and never read."""
        return self.locate(self.length - 1) + 1 if self.length else 0

    def locate(self, position: int) -> int:
        """The index of the chunk that holds `position`."""
        run = bisect_right(self.starts, position) - 1
        return self.firsts[run] + (position - self.starts[run]) // self.runs[run][0]

    def span(self, index: int) -> tuple[int, int]:
        """Where chunk `index` begins, and its full length, which may reach over the end of the axis."""
        run = bisect_right(self.firsts, index) - 1
        size = self.runs[run][0]
        return self.starts[run] + (index - self.firsts[run]) * size, size


Axis: TypeAlias = RegularAxis | RectilinearAxis


class Grid(NamedTuple):
    """A chunk grid over an array: one axis per dimension."""

    axes: tuple[Axis, ...]

    @classmethod
    def regular(cls, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Self:
        """The grid whose chunks all have the shape `chunks`."""
        return cls(tuple(RegularAxis(length, chunk) for length, chunk in zip(shape, chunks, strict=True)))

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """The shape of the chunks; None where they differ in shape."""
        sizes = tuple(axis.chunk for axis in self.axes if isinstance(axis, RegularAxis))
        return sizes if len(sizes) == len(self.axes) else None

    @property
    def nchunks(self) -> int:
        """Chunks of the array."""
        return math.prod(axis.count for axis in self.axes)

    def chunk_shape(self, coords: tuple[int, ...]) -> tuple[int, ...]:
        """The full shape of the chunk at `coords`, overhang included."""
        return tuple(axis.span(index)[1] for axis, index in zip(self.axes, coords, strict=True))


class KeyEncoding(NamedTuple):
    """How chunk coordinates become keys. The spec: `default` begins with "c", `v2` does not, and a scalar is "c" or "0"."""

    name: str = "default"
    separator: str = "/"

    def key(self, coords: tuple[int, ...]) -> str:
        """The key of the chunk at `coords`, below the path of the array."""
        if self.name == "default":
            return self.separator.join(("c", *map(str, coords)))
        return self.separator.join(map(str, coords)) or "0"

    @classmethod
    def from_json(cls, spec: JSON) -> Self:
        """The encoding that a v3 document names."""
        name, configuration = named(spec, "chunk_key_encoding")
        usual = {"default": "/", "v2": "."}[one_of(name, "chunk_key_encoding.name", "default", "v2")]
        return cls(name, one_of(configuration.get("separator", usual), "chunk_key_encoding.separator", "/", "."))


def grid_from_json(spec: JSON, shape: tuple[int, ...]) -> Grid:
    """The grid that a v3 document names. EXTENSION_POINT: chunk grids."""
    name, configuration = named(spec, "chunk_grid")
    if name == "regular":
        return Grid.regular(shape, integers(configuration.get("chunk_shape"), "chunk_grid.chunk_shape", least=1, length=len(shape)))
    if name != "rectilinear" or configuration.get("kind") != "inline":
        raise MetadataError("azarr knows the grids 'regular', and 'rectilinear' of kind 'inline'", field="chunk_grid", value=spec)
    sizes = configuration.get("chunk_shapes")
    if not is_list(sizes) or len(sizes) != len(shape):
        raise MetadataError(f"one entry per dimension is needed ({len(shape)})", field="chunk_grid.chunk_shapes", value=sizes)
    return Grid(tuple(_axis(entry, length) for entry, length in zip(sizes, shape, strict=True)))


def _axis(entry: JSON, length: int) -> Axis:
    """An integer, or a list of integers and `[length, count]` runs; "the sum must reach the axis length"."""
    field = "chunk_grid.chunk_shapes"
    if type(entry) is int:
        return RegularAxis(length, *integers([entry], field, least=1))
    if not is_list(entry) or not entry:
        raise MetadataError("an axis is a positive integer, or a list of lengths and runs", field=field, value=entry)
    if len(entry) > MAX_RUNS:
        raise LimitExceeded(f"{field}: {len(entry):,} runs; {MAX_RUNS:,} are allowed")
    runs = [integers([item, 1] if type(item) is int else item, field, least=1, length=2) for item in entry]
    starts = tuple(accumulate((size * count for size, count in runs), initial=0))
    if not length <= starts[-1] <= MAX_INTEGER:
        raise MetadataError(f"chunks that reach the end of the axis ({length}) are needed, within 63 bits", field=field, value=starts[-1])
    firsts = accumulate((count for _, count in runs), initial=0)
    return RectilinearAxis(length, tuple(runs), starts, tuple(firsts))


def check_path(path: str, *, new: bool = False) -> str:
    """`path` of a node in its normal form: no slash at either end, none doubled; `InvalidKey` where it could leave the store.

    `new`: and where a name is none of v3. The spec: they are not only dots, do not start with "__". Others wrote such, so they are read.
    Names that start with ".azarr-" are azarr's own.
    """
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    for part in parts:
        odd = new and (not part.strip(".") or part.startswith("__"))
        if part in (".", "..", *RESERVED) or "\0" in part or part.startswith(".azarr-") or odd:
            raise InvalidKey(f"{path!r} is not a path of a node: {part!r} is not allowed as a name")
    return "/".join(parts)
