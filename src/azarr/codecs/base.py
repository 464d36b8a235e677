"""What a codec is: three kinds. Sync, pure functions over buffers.

To encode, a chain runs array-array codecs, then one array-bytes codec, then bytes-bytes codecs; to decode, the way back.
A codec is made of its name and its configuration; `MetadataError` is raised for one that it does not take.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

import numpy.typing as npt

from azarr.document import JSON
from azarr.dtypes import NumPyDType
from azarr.errors import ChunkDecodeError, MetadataError
from azarr.fill_values import Fill
from azarr.limits import Limits
from azarr.scratch import Buffer, Bytes, Scratch

Array: TypeAlias = npt.NDArray[Any]
Configuration: TypeAlias = Mapping[str, JSON]


class ChunkSpec(NamedTuple):
    """A chunk as one codec sees it. `fill` is empty where the codecs before it cannot store the fill value.

    `depth`: how many shards it lies in; each depth has scratch of its own.
    """

    shape: tuple[int, ...]
    dtype: NumPyDType
    kind: str
    fill: Fill
    limits: Limits
    lenient: bool = False
    depth: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes in memory; for data types of varying size, of what points to the items."""
        return self.size * self.dtype.itemsize


class ArrayArray(Protocol):
    """Turns an array into an array. `resolve`: the chunk that the next codec sees."""

    kind: ClassVar[str] = "array-array"

    def resolve(self, chunk: ChunkSpec) -> ChunkSpec: ...
    def decode(self, array: Array, chunk: ChunkSpec) -> Array: ...
    def encode(self, array: Array, chunk: ChunkSpec) -> Array: ...


class ArrayBytes(Protocol):
    """Turns an array into bytes. `encoded_size`: how many, where that is fixed; `bound`: where it is not, there are never more."""

    kind: ClassVar[str] = "array-bytes"

    def encoded_size(self, chunk: ChunkSpec) -> int | None:
        return None

    def bound(self, chunk: ChunkSpec) -> int:
        return 16 * chunk.nbytes + 65536 if chunk.kind == "fixed" else chunk.limits.chunk

    def decode(self, data: Buffer, chunk: ChunkSpec, scratch: Scratch) -> Array: ...
    def encode(self, array: Array, chunk: ChunkSpec) -> Buffer: ...


class BytesBytes(Protocol):
    """Turns bytes into bytes: `size` bytes into `encoded_size`, where that is fixed, else never into more than `growth` times as many.

    `decode` gives exactly `size` bytes, or at most `bound` where the size is not known, and stops when that is passed, however much
    more its input claims to hold. `out` has `size` bytes, and may be used for the result. `speed`: roughly, decoded GB/s of one core.
    """

    kind: ClassVar[str] = "bytes-bytes"
    speed: float = 0.5
    growth: float = 1.125

    def encoded_size(self, size: int) -> int | None:
        return None

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer: ...
    def encode(self, data: Buffer) -> Buffer: ...

    def decode_many(self, memory: Bytes, starts: Sequence[int], sizes: Sequence[int], out: Bytes, scratch: Scratch) -> bool:
        """Decode what begins at `starts` in `memory` into the rows of `out`, by one call. False: decode them one by one.

        What lies before and between them may be overwritten.
        """
        return False


def check_size(got: int, expected: int | None, what: str) -> None:
    """Refuse what did not decode to its exact size, where that is known."""
    if expected is not None and got != expected:
        raise ChunkDecodeError(f"{what} gave {got:,} bytes where {expected:,} are expected")


def settings(codec: str, configuration: Configuration, /, **known: tuple[range | tuple[JSON, ...] | None, JSON]) -> list[Any]:
    """The entries of a configuration. `known`: for each what is allowed (None: the codec looks itself), and its default."""
    if unknown := sorted(set(configuration) - set(known)):
        has = f"{codec} has {', '.join(known) or 'none'}"
        raise MetadataError(f"unknown entry {unknown[0]!r}; {has}", field=f"codecs.{codec}", value=unknown[0])
    values: list[Any] = []
    for entry, (allowed, default) in known.items():
        values.append(value := configuration.get(entry, default))
        choices, ranged = (value,) if allowed is None else allowed, isinstance(allowed, range)
        if type(value) not in ([int] if ranged else map(type, choices)) or value not in choices:
            needed = f"an integer from {choices[0]} to {choices[-1]}" if ranged else f"one of {', '.join(map(repr, choices))}"
            raise MetadataError(f"{needed} is needed", field=f"codecs.{codec}.{entry}", value=value)
    return values
