"""What a store is: small protocols, of which each function asks for the least.

A key is a path with "/" between its parts. `get` gives None for one reason only: the store said that the object does not exist.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Hashable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import NamedTuple, Protocol, TypeAlias, TypeGuard, runtime_checkable

from azarr.errors import InvalidKey
from azarr.scratch import Buffer, Buffers, Bytes, Scratch

ANY = "*"
"""What stands for every version of an object, and for none."""
ByteRange: TypeAlias = tuple[int, int | None]
"""(start, stop) of bytes; (-n, None) for the last n; stop None for up to the end."""


class Value(NamedTuple):
    """What a store holds under a key: `data`, which version of the object they are of, and how many bytes it has in all."""

    data: Buffer
    version: str | None = None
    size: int | None = None


class Kept(Value):
    """The same, for which nobody had to be asked."""


class Checked(Kept):
    """The same, for which a request said that it is still so."""


NO_TEXT = re.compile(r"[\ud800-\udfff]")
UNCHANGED = Value(b"", "unchanged")
"""The answer that an object is still of the version that is at hand."""
UNKNOWN = Value(b"", "unknown")
"""The answer of a cache that it would have to ask."""


class Store(Protocol):
    """All that reading needs."""

    def get(self, key: str, byte_range: ByteRange | None = None) -> Awaitable[Value | None]:
        """The object under `key`, or the part of it in `byte_range`; None if it does not exist. Errors: `StoreError`."""
        ...


@runtime_checkable
class PinningStore(Store, Protocol):
    """A store that can be asked for one version of an object, and nothing else."""

    def get_if(
        self, key: str, byte_range: ByteRange | None = None, *, match: str | None = None, unless: str | None = None
    ) -> Awaitable[Value | None]:
        """As `get`: of the version `match`, or `ObjectChanged`; the value `UNCHANGED` if the object is still of the version `unless`."""
        ...


@runtime_checkable
class WritableStore(Store, Protocol):
    """What creating and writing need."""

    def set(self, key: str, data: Buffer) -> Awaitable[None]:
        """Put `data` under `key`, replacing what was there, all or nothing. `data` is the caller's again when it returns."""
        ...

    def delete(self, key: str) -> Awaitable[None]:
        """Delete the object under `key`, or do nothing if there is none."""
        ...


@runtime_checkable
class ConditionalStore(WritableStore, Protocol):
    """What writing needs where others may write too."""

    def replace(self, key: str, data: Buffer | None, version: str | None) -> Awaitable[bool]:
        """Put `data` under `key` (None: delete it) if the object there is of `version` (None: if there is none). Whether it was."""
        ...


@runtime_checkable
class Holding(Protocol):
    """What appending needs so that rows are shown only once they are stored."""

    def hold(self, key: str) -> AbstractAsyncContextManager[None]:
        """Hold back other processes that hold the same object, which exists."""
        ...


@runtime_checkable
class Cleaning(Protocol):
    """A store in which writers that are killed leave something behind."""

    def clean(self) -> Awaitable[None]:
        """Delete what writers that are dead left behind. Called when a node is opened to be written to."""
        ...


@runtime_checkable
class Listing(Protocol):
    """What finding members needs, where there is no consolidated metadata."""

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names right below `prefix` ("" for the root): of objects, and of prefixes, which end in "/"."""
        ...

    def list(self, prefix: str) -> AsyncIterator[str]:
        """All keys below `prefix`."""
        ...


class Reader(Protocol):
    """Blocking reads by one worker thread. It may have `into_many(keys, rows)`: `into`, for the rows of an array, by one call."""

    def whole(self, key: str, scratch: Scratch) -> Buffer | None:
        """All of the object; it may lie in `scratch`, until the next read."""
        ...

    def part(self, key: str, byte_range: ByteRange, scratch: Scratch) -> Value | None: ...

    def into(self, key: str, out: Bytes) -> int | None:
        """Put the object at the beginning of `out`. How many bytes it has; if it has no room there, any number above those of `out`."""
        ...


class WouldWait(Exception):  # nothing is wrong: a worker is asked instead
    """What a reader that may not wait has instead of an answer."""


class BlockingStore(Store, Protocol):
    """A store whose reads block: the engine runs the whole life of a chunk in one worker thread.

    It may have `at_once() -> Reader | None`: a reader for the event loop, which answers from memory or raises `WouldWait`.
    """

    def reader(self) -> Reader: ...


class Writer(Protocol):
    """Blocking writes by one worker thread."""

    def put(self, key: str, data: Buffer | Buffers | None, version: str | None = ANY) -> bool:
        """As `ConditionalStore.replace`, blocking; `ANY` replaces whatever is there. Of several buffers, the object is all of them.

        Those of stores that say `copies_ranges` take `Parts` too, with ranges of the object that is replaced, which must be of `version`.
        """
        ...


@runtime_checkable
class BlockingWritable(BlockingStore, Protocol):
    """A store whose writes block too: one worker thread reads what is there, changes it and puts it back."""

    def writer(self) -> AbstractContextManager[Writer]:
        """A way to put objects, for one thread."""
        ...

    def place(self, key: str) -> Hashable:
        """What all stores of this process that reach the same object have in common."""
        ...


def is_blocking(store: object) -> TypeGuard[BlockingStore]:
    """Whether the reads of `store` block."""
    return hasattr(store, "reader")


def check_key(key: str) -> str:
    """`key`, or `InvalidKey` where it is not a relative path in its normal form, and so could leave the store."""
    path = f"/{key}/"
    if "//" in path or "/./" in path or "/../" in path or "\\" in path or "\0" in path or (not path.isascii() and NO_TEXT.search(path)):
        raise InvalidKey(f"{key!r} is not a key: parts are separated by one '/', and none is '.', '..' or empty")
    return key
