"""Zip files, read by ranges over any store: what is stored in one as it is, shards too, is read in parts; the rest as a whole.

The directory is read once. All reads are of the version of the archive that it was read from: another one raises `ObjectChanged`.
"""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from typing import Any, TypeVar, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from azarr._engine.requests import Requests, shared
from azarr._platform import offload
from azarr.context import DEFAULT_CONTEXT, Context
from azarr.errors import StoreError, redact
from azarr.scratch import Buffer, Bytes, Scratch, view
from azarr.stores import MemoryStore, store_from
from azarr.stores.base import BlockingWritable, ByteRange, Store, Value, check_key, is_blocking
from azarr.stores.local import LocalStore
from azarr.stores.zip_directory import STORED, Directory, below, finding, names_below, parsed
from azarr.stores.zip_writing import ZipWriter, writing

__all__ = ["ZipStore"]

A = TypeVar("A")
T = TypeVar("T")
INLINE = 128 << 10
"""Bytes that are checked on the event loop."""


class ZipStore:
    """The members of a zip file, which is the object `key` of the store `source`; or a URL, a path, or bytes, without `key`.

    Members that are stored (not compressed) are read by ranges; others as a whole, also where a part of them is asked for. Reads of whole
    members are checked by their CRC-32. The version of the archive is that of the first read; open another store to read another one.
    Errors: `CorruptData` for what is no zip file, or one that contradicts itself or has names that are no keys. Of a name that is
    there twice, the last member counts.
    """

    hint = "; azarr.stores.ZipStore.create(path) makes an archive"

    def __init__(self, source: Any, key: str | None = None, *, context: Context | None = None) -> None:
        self.context = context or DEFAULT_CONTEXT
        self.inner, self.key = _located(source, key, context)
        self._pins = hasattr(self.inner, "get_if")
        self._place = self.inner.place(self.key) if isinstance(self.inner, BlockingWritable) else (self.inner, self.key)
        self._directory: Directory | None = None
        self._loading: dict[Any, list[asyncio.Future[Any]]] = {}
        self._lock = threading.Lock()
        if is_blocking(self.inner):
            self.reader = lambda: MemberReader(self)

    @staticmethod
    def create(target: str | os.PathLike[str] | io.BytesIO) -> AbstractAsyncContextManager[ZipWriter]:
        """A store that makes a zip file at the path `target`, or in it: `async with ZipStore.create("data.zip") as store`.

        The file is there, in place of what was, when the block has ended without an error. Objects are stored as they are; what is
        replaced or deleted inside of the block is not in the directory, but its bytes stay, except for metadata documents.
        """
        return writing(target)

    def __repr__(self) -> str:
        return f"ZipStore({self.inner!r}, {self.key!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZipStore) and self._place == other._place

    def __hash__(self) -> int:
        return hash(self._place)

    def __reduce__(self) -> Any:
        return partial(ZipStore, context=self.context), (self.inner, self.key)

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        check_key(key)
        with self.naming(key):
            directory = await self._opened()
            if (member := directory.members.get(key)) is None:
                return None

            async def ask(wanted: ByteRange) -> Bytes:
                return directory.checked(await self._asked(wanted, directory.version), wanted)

            data = await _waited(directory.reading(key, byte_range, self.context.limits), ask)
            finish = partial(directory.finished, key, data, byte_range)
            quick = max(len(data), member.size if member.method != STORED else 0) <= INLINE
            return Value(finish() if quick else await offload(finish), directory.version, member.size)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        for key in below((await self._listed()).keys, prefix):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for name in names_below((await self._listed()).keys, prefix):
            yield name

    async def _listed(self) -> Directory:
        return self._directory or await Requests(self, self.context).repeated("", self._opened)

    async def _opened(self) -> Directory:
        """The directory, which is read once for all who ask at the same time."""
        return self._directory or await shared(self._loading, asyncio.get_running_loop(), self._load)

    async def _load(self) -> Directory:
        async def ask(wanted: ByteRange) -> Value:
            return self._found(await self._asked(wanted, None))

        found = await _waited(finding(self.context.limits), ask)
        self._directory = parsed(found) if len(found.raw) <= INLINE else await offload(lambda: parsed(found))
        return self._directory

    async def _asked(self, byte_range: ByteRange, version: str | None) -> Value | None:
        """A part of the archive, in one try: whoever asks for a member asks again where that may help."""
        if self._pins and version is not None:
            inner: Any = self.inner
            return await inner.get_if(self.key, byte_range, match=version)
        return await self.inner.get(self.key, byte_range)

    def load(self, read: Callable[[ByteRange], Value | None]) -> Directory:
        """The directory, which is read by the first of all threads."""
        with self._lock:
            if self._directory is None:
                self._directory = parsed(_run(finding(self.context.limits), lambda wanted: self._found(read(wanted))))
            return self._directory

    def _found(self, value: Value | None) -> Value:
        if value is None:
            raise StoreError(f"there is no such archive{self.hint}")
        return value

    @contextmanager
    def naming(self, key: str) -> Generator[None]:
        try:
            yield
        except StoreError as error:
            raise error.within(repr(self), key) from error.__cause__


class MemberReader:
    """One worker's way into an archive that lies where reads block."""

    def __init__(self, store: ZipStore) -> None:
        inner: Any = store.inner
        self._store, self._reader = store, inner.reader()

    def whole(self, key: str, scratch: Scratch) -> Buffer | None:
        value = self._read(key, None, scratch)
        return None if value is None else value.data

    def part(self, key: str, byte_range: ByteRange, scratch: Scratch) -> Value | None:
        return self._read(key, byte_range, scratch)

    def into(self, key: str, out: Bytes) -> int | None:
        value = self._read(key, None, Scratch())
        if value is None:
            return None
        if len(value.data) <= out.size:
            out[: len(value.data)] = view(value.data)
        return len(value.data)

    def _read(self, key: str, byte_range: ByteRange | None, scratch: Scratch) -> Value | None:
        store = self._store

        def read(wanted: ByteRange) -> Value | None:
            return self._reader.part(store.key, wanted, scratch)

        with store.naming(key):
            directory = store.load(read)
            if (member := directory.members.get(key)) is None:
                return None
            steps = directory.reading(key, byte_range, store.context.limits)
            data = _run(steps, lambda wanted: directory.checked(read(wanted), wanted))
            return Value(directory.finished(key, data, byte_range), directory.version, member.size)


def _run(steps: Generator[ByteRange, A, T], ask: Callable[[ByteRange], A]) -> T:
    """What `steps` returns, which is sent what `ask` gives."""
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(ask(wanted))
    except StopIteration as ended:
        return ended.value


async def _waited(steps: Generator[ByteRange, A, T], ask: Callable[[ByteRange], Awaitable[A]]) -> T:
    """The same, where it is waited for."""
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(await ask(wanted))
    except StopIteration as ended:
        return ended.value


def _located(source: Any, key: str | None, context: Context | None) -> tuple[Store, str]:
    """The store that has the archive, and its key there."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return MemoryStore({"archive.zip": bytes(cast("bytes", source))}), "archive.zip"
    if key is not None:
        return store_from(source, context), check_key(key)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"an archive is a URL, a path, bytes, or a store and a key, not {type(source).__name__}")
    place = os.fspath(cast("str | os.PathLike[str]", source))
    scheme = place.partition("://")[0] if "://" in place else ""
    if scheme == "zip":  # zip://path::archive, as fsspec chains them
        path, _, archive = place.removeprefix("zip://").partition("::")
        if path or not archive:
            there = f"azarr.open(azarr.stores.ZipStore({redact(archive)!r}), {path!r})" if archive else f"azarr.open({redact(path)!r})"
            raise ValueError(f"{redact(place)!r}: the archive and the path in it are given one by one: {there}")
        return _located(archive, None, context)
    if scheme in ("http", "https"):
        parts = urlsplit(place)
        above, slash, name = parts.path.rpartition("/")
        if "/" in (key := unquote(name)):
            raise ValueError(f"{redact(place)!r}: the name of an archive has no quoted '/'; pass a store and a key")
        return store_from(urlunsplit(parts._replace(path=above + slash)), context), check_key(key)
    name = place.rpartition("/")[2] if scheme else os.path.basename(place)
    above = place[: len(place) - len(name)] or os.curdir
    store = LocalStore(above, follow_symlinks="anywhere") if scheme in ("", "file") else store_from(above, context)
    return store, check_key(unquote(name) if scheme == "file" else name)
