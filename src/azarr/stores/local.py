"""A folder on a local disk. Reads block, and are made by the worker thread that decodes what they give.

Missing means that the operating system said "no such file"; a folder where a file should be, a path that is too long, and all else raise.
Writes are staged beside the object and renamed, so that a reader sees the old object or the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import numpy as np

from azarr._platform import offload
from azarr.errors import StoreError, redact
from azarr.scratch import Buffer, Buffers, Bytes, Scratch, aligned
from azarr.stores.base import ANY, NO_TEXT, ByteRange, Reader, Value, check_key
from azarr.stores.staging import FOLDER, STAGED, Writer, version_of

HELD_BY_OTHERS = 2e-3
"""Seconds between two looks at a lock."""
FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class LocalStore:
    """Objects as files below `root`, a path or a URL of `file:`. Nothing is read or made until it is asked for.

    `durability`: after "rename", what was written survives the end of the process; after "full", that of the machine too.
    `follow_symlinks`: "inside", to what is below `root` too, or "anywhere". `root` may be a link itself.
    """

    copies_ranges = True

    def __init__(self, root: str | os.PathLike[str], *, durability: str = "rename", follow_symlinks: str = "inside") -> None:
        if durability not in ("rename", "full"):
            raise ValueError(f"durability is 'rename' or 'full', not {durability!r}")
        self.root = Path(path_of(os.fspath(root)))
        self.durability = durability
        self.open: Any = import_module("azarr.integrations.beneath").Opener(str(self.root), follow_symlinks)
        self.quick: Reader | Literal[False] | None = None  # how the event loop may read here; a worker finds out whether it may

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "quick": None}

    def reader(self) -> FolderReader:
        return import_module("azarr.integrations.rings").reader_of(self)

    def at_once(self) -> Reader | None:
        return self.quick or None

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        check_key(key)
        reader, scratch = self.reader(), Scratch()  # its memory becomes the value's
        if byte_range is not None:
            return await offload(lambda: reader.part(key, byte_range, scratch))
        data = await offload(lambda: reader.whole(key, scratch))
        return None if data is None else Value(data, None, len(data))

    async def set(self, key: str, data: Buffer) -> None:
        check_key(key)
        await offload(lambda: self.put(key, data))

    async def delete(self, key: str) -> None:
        check_key(key)
        await offload(lambda: self.put(key, None))

    async def replace(self, key: str, data: Buffer | None, version: str | None) -> bool:
        check_key(key)
        return await offload(lambda: self.put(key, data, version))

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for name in (await offload(lambda: self._names(prefix, links=True)))[1]:
            yield name

    def list(self, prefix: str) -> AsyncIterator[str]:
        return self._list(prefix, links=True)

    def list_own(self, prefix: str) -> AsyncIterator[str]:
        """As `list`, but a link to a folder is one object: to delete that takes the link away, and nothing of what it leads to."""
        return self._list(prefix, links=False)

    async def _list(self, prefix: str, *, links: bool, above: tuple[object, ...] = ()) -> AsyncIterator[str]:
        start = f"{prefix}/" if prefix else ""
        here, names = await offload(lambda: self._names(prefix, links=links))
        if here is None:
            yield prefix
        for name in names if here not in above else ():  # else a link leads to a folder that it is in
            if not name.endswith("/"):
                yield start + name
                continue
            async for key in self._list(start + name[:-1], links=links, above=(*above, here)):
                yield key

    def put(self, key: str, data: Buffer | Buffers | None, version: str | None = ANY) -> bool:
        with self.writer() as writer:
            return writer.put(key, data, version)

    def writer(self) -> Writer:
        kind = Writer if self.durability == "full" else import_module("azarr.integrations.staging_rings").writer_class()
        return kind(self.open.prefix, self.open, self, full=self.durability == "full")

    def place(self, key: str) -> str:
        return os.path.abspath(self.open.prefix + key)

    @contextlib.asynccontextmanager
    async def hold(self, key: str) -> AsyncGenerator[None]:
        path = self.open.prefix + check_key(key)
        with contextlib.ExitStack() as held:  # also if this is cancelled just when the lock was taken
            # Other processes set no event, and a thread that blocks on the lock could not be cancelled.
            while not await offload(lambda: self._hold(key, path, held)):  # noqa: ASYNC110
                await asyncio.sleep(HELD_BY_OTHERS)
            yield

    def _hold(self, key: str, path: str, held: contextlib.ExitStack) -> bool:
        """Lock the file, until `held` is closed. Not if it is held by somebody else, or was replaced meanwhile."""
        with self._translating(key), contextlib.ExitStack() as opened:
            try:
                file = self.open(key, FLAGS)
            except FileNotFoundError:  # there is nothing to hold, which whoever reads it finds out
                return True
            opened.callback(os.close, file)
            with contextlib.suppress(BlockingIOError, FileNotFoundError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                opened.callback(fcntl.flock, file, fcntl.LOCK_UN)  # a process that was forked meanwhile has the file open still
                if os.path.samestat(os.fstat(file), os.stat(path)):
                    held.push(opened.pop_all())
                    return True
            return False

    async def clean(self) -> None:
        await offload(lambda: import_module("azarr.integrations.leftovers").clean(self.open.prefix))

    def _names(self, prefix: str, *, links: bool) -> tuple[object, Sequence[str]]:
        """What tells the folder from others, and the names in it. Without `links`, None if it is one, or empty: it is deleted itself."""
        if prefix and os.path.islink(self.open.prefix + check_key(prefix)) and not links:
            return None, ()
        with self._translating(prefix), contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as opened:
            opened.callback(os.close, folder := self.open(prefix, FOLDER))
            status = os.fstat(folder)
            with os.scandir(folder) as entries:
                found = list(entries)
            names = sorted(entry.name + "/" * _is_folder(entry, links) for entry in found if _is_listed(entry.name))
            return (status.st_dev, status.st_ino) if found or links or not prefix else None, names
        return (), ()

    @contextlib.contextmanager
    def _translating(self, key: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{type(error).__name__}: {error.strerror}", store=repr(self), key=key) from error


class FolderReader:
    """One worker's way into the folder: `os.preadv` into that worker's scratch; no Python file object, nothing allocated."""

    __slots__ = ("_near", "_spare", "_store")

    def __init__(self, store: LocalStore) -> None:
        self._store, self._near, self._spare = store, store.open.near(), np.empty(1, np.uint8)

    def whole(self, key: str, scratch: Scratch) -> Buffer | None:
        if (file := self._open(key)) is None:
            return None
        try:
            size = _preadv(file, (scratch.encoded,), 0)
            if self._store.quick is None and size:
                self._store.quick = import_module("azarr.integrations.page_cache").reader_of(self._store, file)
            return scratch.encoded[:size] if size < scratch.encoded.size else self._rest(file, scratch)
        except OSError as error:
            raise self._error(error, key) from error
        finally:
            os.close(file)

    def part(self, key: str, byte_range: ByteRange, scratch: Scratch) -> Value | None:
        if (file := self._open(key)) is None:
            return None
        try:
            status = os.fstat(file)
            start, stop, size = *byte_range, status.st_size
            start = max(size + start, 0) if start < 0 else min(start, size)
            buffer = scratch.part(max(min(size if stop is None else stop, size) - start, 0))
            return Value(buffer[: self._fill(file, start, buffer)], version_of(status), size)
        except OSError as error:
            raise self._error(error, key) from error
        finally:
            os.close(file)

    def into(self, key: str, out: Bytes) -> int | None:
        if (file := self._open(key)) is None:
            return None
        try:
            size = self._read(file, 0, out, self._spare)
            return size if size >= out.size or not size else size + self._fill(file, size, out[size:])
        except OSError as error:
            raise self._error(error, key) from error
        finally:
            os.close(file)

    def _open(self, key: str) -> int | None:
        try:
            return self._near(key, FLAGS)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error(error, key) from error

    def _rest(self, file: int, scratch: Scratch) -> Bytes:
        """All of a file that filled the scratch, which grows: the next chunks are much like this one."""
        head, size, total = scratch.encoded, scratch.encoded.size, os.fstat(file).st_size
        if total > size:
            scratch.encoded = aligned(total + (total >> 2))
            scratch.encoded[:size] = head
            size += self._fill(file, size, scratch.encoded[size:total])
        return scratch.encoded[:size]

    def _read(self, file: int, start: int, *buffers: Bytes) -> int:
        return _preadv(file, buffers, start)

    def _fill(self, file: int, start: int, buffer: Bytes) -> int:
        """Bytes read into `buffer`: fewer than it has only at the end of the file."""
        done = 0
        while done < buffer.size and (got := self._read(file, start + done, buffer[done:])):
            done += got
        return done

    def _error(self, error: OSError, key: str) -> Exception:
        return StoreError(f"{type(error).__name__}: {error.strerror}", store=repr(self._store), key=key)


def path_of(place: str) -> str:
    """The path that `place` is, or means as a URL of `file:`. Errors: `ValueError` where it is none, or of another host."""
    url = urlsplit(place) if place.startswith("file://") else None
    path = place if url is None else unquote(url.path)
    if not path or (url and url.netloc not in ("", "localhost")):  # `file://data.zarr` has a host, and no path
        raise ValueError(f"{redact(place)!r} is no folder of this machine: write a path, 'data.zarr', or three slashes, 'file:///srv/data.zarr'")
    return path


def _readv_at(file: int, buffers: Any, start: int) -> int:
    os.lseek(file, start, os.SEEK_SET)
    return os.readv(file, buffers)


_preadv: Callable[[int, Any, int], int] = getattr(os, "preadv", _readv_at)  # which not every system has


def _is_listed(name: str) -> bool:
    return not (name.startswith(STAGED) or "\\" in name or NO_TEXT.search(name))  # which are no keys: nobody could read them


def _is_folder(entry: os.DirEntry[str], links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=links)
    except OSError:  # a link that leads nowhere: whoever reads it is told
        return False
