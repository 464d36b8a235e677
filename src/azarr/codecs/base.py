"""What a codec is: three small protocols. Sync, pure functions over buffers.

To encode, a chain runs array-array codecs, then one array-bytes codec, then bytes-bytes codecs; to decode, the way back.
`ChunkSpec` is what one codec sees of a chunk: an array-array codec may hand another one to its neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

from azarr.document import JSON
from azarr.dtypes import DataType, NumPyDType
from azarr.errors import ChunkDecodeError, MetadataError
from azarr.fill_values import Fill
from azarr.limits import Limits
from azarr.scratch import Buffer, Bytes, Scratch

__all__ = ["Array", "ArrayArray", "ArrayBytes", "BytesBytes", "ChunkSpec", "check_size", "integer", "one_of", "only"]

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ChunkSpec:
    """A chunk as one codec sees it. `nbytes` is None for data types of varying size."""

    shape: tuple[int, ...]
    dtype: NumPyDType
    kind: str
    fill: Fill
    limits: Limits
    lenient: bool = False
    depth: int = 0
    """How many shards this chunk lies in; each depth has scratch of its own."""

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int | None:
        return self.size * self.dtype.itemsize if self.kind == "fixed" else None

    @property
    def bound(self) -> int:
        """No intermediate of this chunk may take more bytes than this."""
        nbytes = self.nbytes
        return self.limits.chunk if nbytes is None else nbytes + (nbytes >> 3) + 65536


class ArrayArray(Protocol):
    """Turns an array into an array."""

    def resolve(self, chunk: ChunkSpec) -> ChunkSpec:
        """The chunk that the next codec sees."""
        ...

    def decode(self, array: Array, chunk: ChunkSpec) -> Array: ...
    def encode(self, array: Array, chunk: ChunkSpec) -> Array: ...


class ArrayBytes(Protocol):
    """Turns an array into bytes."""

    def encoded_size(self, chunk: ChunkSpec) -> int | None:
        """Bytes that the encoded chunk takes, where that is fixed."""
        ...

    def decode(self, data: Buffer, chunk: ChunkSpec, scratch: Scratch) -> Array: ...
    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer: ...


class BytesBytes(Protocol):
    """Turns bytes into bytes."""

    def encoded_size(self, size: int) -> int | None:
        """Bytes that `size` bytes take when encoded, where that is fixed."""
        ...

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        """`data` decoded: exactly `size` bytes, or at most `bound` where the size is not known.

        `out` has `size` bytes, and may be used for the result. A decoder stops when the size is passed, however much more
        its input claims to hold.
        """
        ...

    def encode(self, data: Buffer) -> Buffer: ...


def check_size(got: int, expected: int, what: str) -> None:
    """Refuse what did not decode to its exact size."""
    if got != expected:
        raise ChunkDecodeError(f"{what} gave {got:,} bytes where {expected:,} are expected")


def only(configuration: Mapping[str, JSON], names: tuple[str, ...], codec: str) -> None:
    """Refuse entries of a configuration that the codec does not know."""
    if unknown := sorted(set(configuration) - set(names)):
        raise MetadataError(f"unknown entry; {codec} has {', '.join(names) or 'none'}", field=f"codecs.{codec}", value=unknown[0])


def integer(configuration: Mapping[str, JSON], name: str, codec: str, *, least: int, most: int, default: int | None = None) -> int:
    """An integer entry of a configuration, within bounds."""
    value = configuration.get(name, default)
    if type(value) is not int or not least <= value <= most:
        raise MetadataError(f"an integer from {least} to {most} is needed", field=f"codecs.{codec}.{name}", value=value)
    return value


def one_of(configuration: Mapping[str, JSON], name: str, codec: str, allowed: tuple[JSON, ...], default: JSON = None) -> JSON:
    """An entry of a configuration that has one of few values."""
    value = configuration.get(name, default)
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        raise MetadataError(f"one of {', '.join(map(repr, allowed))} is needed", field=f"codecs.{codec}.{name}", value=value)
    return value


def chunk_of(dtype: DataType, shape: tuple[int, ...], fill: Fill, limits: Limits, *, lenient: bool = False) -> ChunkSpec:
    """The chunk that the first codec of an array sees."""
    return ChunkSpec(shape, dtype.numpy, dtype.kind, fill, limits, lenient)
