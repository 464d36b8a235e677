"""Stores that can be held, broken, watched and changed from outside, each around a real one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from azarr.stores import ByteRange, MemoryStore, Value

PATIENCE = 30
"""Seconds after which a test that waits for another thread gives up, instead of hanging."""


async def turns(count: int = 10) -> None:
    """Let everything else on the loop run `count` times."""
    for _ in range(count):
        await asyncio.sleep(0)


def is_chunk(key: str) -> bool:
    """Metadata documents are always answered at once."""
    return key.startswith("c/")


class CountedText(str):
    """Text that counts how often any of it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedText.compared += 1
        return super().__eq__(other)

    __hash__ = str.__hash__


class Held:
    """A store that waits. Chunk requests after the first `free` are held until `gate` is set. `open` of them have no answer yet."""

    def __init__(self, documents: dict[str, bytes], *, free: int = 0) -> None:
        self.inner, self.free, self.gate, self.reached = MemoryStore(documents), free, asyncio.Event(), asyncio.Event()
        self.requests: list[tuple[str, ByteRange | None]] = []
        self.open = self.most = 0

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        if not is_chunk(key):
            return await self.inner.get(key)
        self.requests.append((key, byte_range))
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            if len(self.requests) > self.free:
                self.reached.set()
                await self.gate.wait()
            return await self.inner.get(key, byte_range)
        finally:
            self.open -= 1


class HeldBlocking:
    """The same for a store whose reads block: worker threads wait at the gate."""

    def __init__(self, documents: dict[str, bytes], *, free: int = 0) -> None:
        self.inner, self.free, self.gate, self.reached = MemoryStore(documents), free, threading.Event(), threading.Event()
        self.lock, self.calls, self.open = threading.Lock(), 0, 0

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        return await self.inner.get(key, byte_range)

    def reader(self) -> Any:
        return Watched(self.inner.reader(), self)

    def call(self, key: str, read: Callable[[], Any]) -> Any:
        if not is_chunk(key):
            return read()
        with self.lock:
            self.calls += 1
            self.open += 1
            hold = self.calls > self.free
        try:
            if hold:
                self.reached.set()
                assert self.gate.wait(PATIENCE)
            return read()
        finally:
            with self.lock:
                self.open -= 1


class Changing:
    """A store whose reads block, which calls `change(number)` before each read of a chunk; these are numbered from 0."""

    def __init__(self, inner: Any, change: Callable[[int], None]) -> None:
        self.inner, self.change, self.calls, self.lock = inner, change, 0, threading.Lock()

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        return await self.inner.get(key, byte_range)

    def reader(self) -> Any:
        return Watched(self.inner.reader(), self)

    def call(self, key: str, read: Callable[[], Any]) -> Any:
        if is_chunk(key):
            with self.lock:
                self.change(self.calls)
                self.calls += 1
        return read()


class ChangingWaiting:
    """The same for a store that waits."""

    def __init__(self, inner: Any, change: Callable[[int], None]) -> None:
        self.inner, self.change, self.calls = inner, change, 0

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        if is_chunk(key):
            self.change(self.calls)
            self.calls += 1
        return await self.inner.get(key, byte_range)


class Watched:
    """A worker's reader whose every read goes through `owner.call`."""

    def __init__(self, inner: Any, owner: Any) -> None:
        self.inner, self.owner = inner, owner

    def whole(self, key: str, scratch: Any) -> Any:
        return self.owner.call(key, lambda: self.inner.whole(key, scratch))

    def part(self, key: str, byte_range: ByteRange, scratch: Any) -> Any:
        return self.owner.call(key, lambda: self.inner.part(key, byte_range, scratch))

    def into(self, key: str, out: Any) -> Any:
        return self.owner.call(key, lambda: self.inner.into(key, out))


class Empty:
    """A store that waits, and has documents but no chunks: every chunk is the fill value."""

    def __init__(self, documents: dict[str, bytes]) -> None:
        self.documents, self.requests = documents, 0

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        self.requests += 1
        data = self.documents.get(key)
        return None if data is None else Value(data)


class Versioned:
    """A store that waits, whose objects have versions: each assignment to `objects` is a new one."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects, self.versions = dict[str, bytes](), dict[str, int]()
        self.requests: list[tuple[str, ByteRange | None]] = []
        for key, data in objects.items():
            self.put(key, data)

    def put(self, key: str, data: bytes | None) -> None:
        self.versions[key] = self.versions.get(key, 0) + 1
        if data is None:
            del self.objects[key]
        else:
            self.objects[key] = data

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        self.requests.append((key, byte_range))
        if key not in self.objects:
            return None
        data, version = self.objects[key], f"v{self.versions[key]}"
        if byte_range is None:
            return Value(data, version, len(data))
        start, stop = byte_range
        return Value(data[start:] if stop is None else data[start:stop], version, len(data))


class Waiting:
    """A store that waits, and can be written to, but says nothing of versions. `calls` are the names and keys of what it was asked."""

    def __init__(self, mapping: dict[str, bytes] | None = None, *, fails_at: int = 0) -> None:
        self.mapping: dict[str, bytes] = {} if mapping is None else mapping
        self.inner, self.calls, self.fails_at, self.armed = MemoryStore(self.mapping), list[tuple[str, str]](), fails_at, False
        self.sets = 0

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        self.calls.append(("get", key))
        await asyncio.sleep(0)
        found = await self.inner.get(key, byte_range)
        return None if found is None else Value(found.data, None, found.size)

    async def set(self, key: str, data: Any) -> None:
        self.calls.append(("set", key))
        await asyncio.sleep(0)
        if self.armed and is_chunk(key):
            self.sets += 1
            if self.sets == self.fails_at:
                raise OSError("the connection was lost")
        await self.inner.set(key, data)

    async def delete(self, key: str) -> None:
        self.calls.append(("delete", key))
        await asyncio.sleep(0)
        await self.inner.delete(key)

    def list(self, prefix: str) -> AsyncIterator[str]:
        return self.inner.list(prefix)

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        return self.inner.list_dir(prefix)


class Conditional(Waiting):
    """The same with versions. While it is `gated`, each call waits until it is let through; with `refuses`, somebody else was always first."""

    gated = refuses = waiting = False

    async def pass_gate(self) -> None:
        if self.gated:
            self.gate, self.waiting = asyncio.Event(), True
            await self.gate.wait()

    def open(self) -> None:
        self.waiting = False
        self.gate.set()

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        await self.pass_gate()
        return await self.inner.get(key, byte_range or (0, None))

    async def set(self, key: str, data: Any) -> None:
        await self.pass_gate()
        await super().set(key, data)

    async def replace(self, key: str, data: Any, version: str | None) -> bool:
        await self.pass_gate()
        return not self.refuses and await self.inner.replace(key, data, version)
