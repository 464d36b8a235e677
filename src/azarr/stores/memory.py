"""A store in memory: any mutable mapping of keys to bytes. What a read gives is borrowed from the mapping, not copied."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, nullcontext

from azarr.errors import ReadOnly
from azarr.scratch import Buffer, Buffers, Bytes, Scratch, joined, view
from azarr.stores.base import ANY, ByteRange, Value, WouldWait, check_key

HASHED_AT_ONCE = 64 << 10
"""Bytes whose version the event loop finds out."""
_lock = threading.Lock()
"""Of all stores in memory, as several may have one mapping; it is held while one reference is looked at and replaced."""


class MemoryStore:
    """Objects in `mapping`, or in a dictionary of its own."""

    def __init__(self, mapping: Mapping[str, Buffer] | None = None) -> None:
        self.mapping: Mapping[str, Buffer] = {} if mapping is None else mapping

    def __repr__(self) -> str:
        return f"MemoryStore({len(self.mapping)} objects)"

    def reader(self) -> MemoryStore:
        return self

    def at_once(self) -> MemoryStore | None:
        mapping: object = self.mapping  # others than a dictionary may do anything, and so may stores that inherit from this one
        return _AtOnce(self.mapping) if type(self) is MemoryStore and type(mapping) is dict else None

    def whole(self, key: str, scratch: Scratch) -> Buffer | None:
        return self.mapping.get(key)

    def part(self, key: str, byte_range: ByteRange, scratch: Scratch) -> Value | None:
        data = self.mapping.get(key)
        return None if data is None else Value(sliced(data, byte_range), _version(data), len(data))

    def into(self, key: str, out: Bytes) -> int | None:
        data = self.mapping.get(key)
        if data is None:
            return None
        if len(data) <= out.size:
            out[: len(data)] = view(data)
        return len(data)

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        data = self.mapping.get(check_key(key))
        if data is None:
            return None
        return Value(data, None, len(data)) if byte_range is None else Value(sliced(data, byte_range), _version(data), len(data))

    def put(self, key: str, data: Buffer | Buffers | None, version: str | None = ANY) -> bool:
        if not isinstance(self.mapping, MutableMapping):
            raise ReadOnly("this mapping cannot be written to; a dict can")
        new = None if data is None else joined(data) if isinstance(data, list) else view(data).tobytes()
        with _lock:
            held = None if version == ANY else self.mapping.get(check_key(key))
            if version not in (ANY, None if held is None else _version(held)):
                return False
            if new is None:
                self.mapping.pop(check_key(key), None)
            else:
                self.mapping[check_key(key)] = new
        return True

    def writer(self) -> nullcontext[MemoryStore]:
        return nullcontext(self)

    def place(self, key: str) -> tuple[int, str]:
        return id(self.mapping), key

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncGenerator[None]:
        check_key(key)
        yield  # no other process can reach the mapping

    async def replace(self, key: str, data: Buffer | None, version: str | None) -> bool:
        return self.put(key, data, version)

    async def set(self, key: str, data: Buffer) -> None:
        self.put(key, data)

    async def delete(self, key: str) -> None:
        self.put(key, None)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        start = f"{check_key(prefix)}/" if prefix else ""
        for key in sorted(self.mapping):
            if key.startswith(start):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        start = len(prefix) + 1 if prefix else 0
        seen: set[str] = set()
        async for key in self.list(prefix):
            head, slash, _ = key[start:].partition("/")
            if head + slash not in seen:
                seen.add(head + slash)
                yield head + slash


class _AtOnce(MemoryStore):
    def part(self, key: str, byte_range: ByteRange, scratch: Scratch) -> Value | None:
        if len(self.mapping.get(key, b"")) > HASHED_AT_ONCE:
            raise WouldWait
        return super().part(key, byte_range, scratch)


def _version(data: Buffer) -> str:
    """The content decides, as a mapping may make its values anew each time; of `bytes`, Python keeps the hash."""
    return f"{hash(data if isinstance(data, bytes) else view(data).tobytes()):x}"


def sliced(data: Buffer, byte_range: ByteRange) -> Bytes:
    """The part of `data` in `byte_range`, without a copy."""
    start, stop = byte_range
    return view(data)[max(start, -len(data)) if start < 0 else start : stop]
