"""A folder on a local disk. Reads block, and are made by the worker thread that decodes what they give.

Missing means that the operating system said "no such file"; a folder where a file should be, a path that is too long, and all else raise.
Writes are staged beside the object and renamed, so that a reader sees the old object or the new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

from azarr._platform import offload
from azarr.errors import StoreError
from azarr.scratch import Buffer, Bytes, Scratch, view
from azarr.stores.base import ANY, ByteRange, Value, check_key

STAGED = ".azarr-staged"
"""The folder, below the root, of files that are being written. It is there while somebody writes, and listings leave it out."""
HELD_BY_OTHERS = 2e-3
"""Seconds between two looks at a lock."""
MOVED = 100
"""Tries to lock a folder that others delete and make again."""
MOST = 1 << 30
"""Bytes that are written at a time; operating systems take no more than 2 GiB."""
CLOSED = getattr(os, "O_CLOEXEC", 0)
NEW, FOLDER = os.O_WRONLY | os.O_CREAT | os.O_EXCL | CLOSED, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | CLOSED
FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class LocalStore:
    """Objects as files below `root`, a path or a URL of `file:`. Nothing is read or made until it is asked for.

    `durability`: after "rename", what was written survives the end of the process; after "full", that of the machine too.
    """

    def __init__(self, root: str | os.PathLike[str], *, durability: str = "rename") -> None:
        if durability not in ("rename", "full"):
            raise ValueError(f"durability is 'rename' or 'full', not {durability!r}")
        text = os.fspath(root)
        self.root = Path(unquote(urlsplit(text).path) if text.startswith("file://") else text)
        self.prefix, self.durability = os.path.join(self.root, ""), durability
        self._stage, self._lock, self._writing = self.prefix + STAGED, threading.Lock(), 0

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def reader(self) -> _Reader:
        return _Reader(self)

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
        for name in await self._listed(prefix):
            yield name

    async def list(self, prefix: str) -> AsyncIterator[str]:
        start = f"{prefix}/" if prefix else ""
        for name in await self._listed(prefix):
            if not name.endswith("/"):
                yield start + name
                continue
            async for key in self.list(start + name[:-1]):
                yield key

    async def _listed(self, prefix: str) -> Sequence[str]:
        folder = self.root / check_key(prefix) if prefix else self.root
        return await offload(lambda: self._names(prefix, folder))

    def put(self, key: str, data: Buffer | None, version: str | None = ANY) -> bool:
        path = self.prefix + check_key(key)
        with self._translating(key):
            if data is None:
                return self._commit(None, path, version)
            with self.busy(), self._staging(view(data)) as staged:
                return self._commit(staged, path, version)

    def place(self, key: str) -> str:
        return os.path.abspath(self.prefix + key)

    @contextlib.asynccontextmanager
    async def hold(self, key: str) -> AsyncGenerator[None]:
        path = self.prefix + check_key(key)
        with contextlib.ExitStack() as held:  # also if this is cancelled just when the lock was taken
            # Other processes set no event, and a thread that blocks on the lock could not be cancelled.
            while not await offload(lambda: self._hold(key, path, held)):  # noqa: ASYNC110
                await asyncio.sleep(HELD_BY_OTHERS)
            yield

    def _hold(self, key: str, path: str, held: contextlib.ExitStack) -> bool:
        """Lock the file, until `held` is closed. Not if it is held by somebody else, or was replaced meanwhile."""
        with self._translating(key), contextlib.ExitStack() as opened:
            file = os.open(path, FLAGS)
            opened.callback(os.close, file)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file), os.stat(path)):
                    held.push(opened.pop_all())
                    return True
            return False

    async def clean(self) -> None:
        await offload(self._clean)

    def _clean(self) -> None:
        with contextlib.suppress(OSError):  # there is nothing left behind, or others are writing
            for name in os.listdir(self._stage):
                self._clean_file(os.path.join(self._stage, name))
            os.rmdir(self._stage)

    def _clean_file(self, path: str) -> None:
        """Delete what a writer left behind that is dead; those that live hold a lock."""
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            file = os.open(path, FLAGS)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            finally:
                os.close(file)

    @contextlib.contextmanager
    def busy(self) -> Generator[None]:
        """The folder of what is staged goes when nobody is busy: made and deleted for each object, it would cost as much as they do."""
        with self._lock:
            self._writing += 1
        try:
            yield
        finally:
            with self._lock:
                self._writing -= 1
                if not self._writing:
                    with contextlib.suppress(OSError):  # it is not there, or other processes are writing
                        os.rmdir(self._stage)

    @contextlib.contextmanager
    def _staging(self, data: Bytes) -> Generator[str]:
        """A file of `data`, not under the name of an object yet: locked as long as its writer lives, deleted if nobody renames it."""
        file, path = self._new()
        try:
            for begin in range(0, data.size, MOST):
                _all(file, data[begin : begin + MOST].data)
            now = time.time_ns()  # clocks of file systems are coarse: two versions could have one time
            os.utime(file, ns=(now, now))
            if self.durability == "full":
                os.fsync(file)
            yield path
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            os.close(file)

    def _new(self) -> tuple[int, str]:
        while True:
            path = os.path.join(self._stage, os.urandom(8).hex())
            try:
                file = os.open(path, NEW, 0o666)
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):  # `exist_ok` fails where others delete it meanwhile
                    os.makedirs(self._stage)
                continue
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:  # else it was swept before it was locked
                return file, path
            os.close(file)

    def _commit(self, staged: str | None, path: str, version: str | None) -> bool:
        """Rename or delete, if the object is of `version`. Whoever changes an object holds a lock on its folder."""
        above = os.path.dirname(path)
        try:
            folder = self._folder(above, make=staged is not None)
        except FileNotFoundError:
            if staged is not None:
                raise
            return version in (ANY, None)
        try:
            if version not in (ANY, None if version == ANY else _version_at(path)):
                return False
            if staged is not None:
                os.replace(staged, path)
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            if self.durability == "full":
                os.fsync(folder)
            if staged is None:
                self._prune(above)
            return True
        finally:
            os.close(folder)

    def _prune(self, folder: str) -> None:
        """Delete the folder, which is locked, if it is empty, and those above: a chunk of another array may be called as they are."""
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:  # an error, as a rule: it is not empty
            while folder.startswith(self.prefix):
                os.rmdir(folder)
                folder = os.path.dirname(folder)
                opened.callback(os.close, self._folder(folder, make=False))

    def _folder(self, path: str, *, make: bool) -> int:
        """The folder, open and locked: the one of this name, for whoever deletes the last object of a folder deletes that too."""
        for tries in range(MOVED):
            with contextlib.ExitStack() as opened:
                try:
                    folder = os.open(path, FOLDER)
                    opened.callback(os.close, folder)
                    fcntl.flock(folder, fcntl.LOCK_EX)
                    if os.path.samestat(os.fstat(folder), os.stat(path)):
                        opened.pop_all()
                        return folder
                except FileNotFoundError:
                    if not make or tries == MOVED - 1:
                        raise
                    with contextlib.suppress(FileNotFoundError):  # a folder above was deleted meanwhile
                        self._make(path)
        raise BlockingIOError(errno.EAGAIN, "its folder was deleted and made again, time after time")

    def _make(self, path: str) -> None:
        """The folder and those above it. Their names are as durable as what will be in them."""
        above = os.path.dirname(path)
        if above and not os.path.isdir(above):
            self._make(above)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
        if self.durability == "full":
            file = os.open(above or os.curdir, FOLDER)
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def _names(self, prefix: str, folder: Path) -> Sequence[str]:
        with self._translating(prefix), contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            return sorted(entry.name + "/" * _is_folder(entry) for entry in entries if not entry.name.startswith(STAGED))
        return []

    @contextlib.contextmanager
    def _translating(self, key: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{type(error).__name__}: {error.strerror}", store=repr(self), key=key) from error


class _Reader:
    """One worker's way into the folder: `os.readv` into that worker's scratch; no Python file object, nothing allocated."""

    __slots__ = ("_prefix", "_spare", "_store")

    def __init__(self, store: LocalStore) -> None:
        self._store, self._prefix, self._spare = store, store.prefix, np.empty(1, np.uint8)

    def whole(self, key: str, scratch: Scratch) -> Bytes | None:
        try:
            file = os.open(self._prefix + key, FLAGS)
            try:
                size = _readv(file, scratch.encoded)
                return scratch.encoded[:size] if size < scratch.encoded.size else _rest(file, scratch)
            finally:
                os.close(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error(error, key) from error

    def part(self, key: str, byte_range: ByteRange, scratch: Scratch) -> Value | None:
        if (file := self._open(key)) is None:
            return None
        try:
            status = os.fstat(file)
            start, stop, size = *byte_range, status.st_size
            start = max(size + start, 0) if start < 0 else min(start, size)
            buffer = scratch.take("part", max(min(size if stop is None else stop, size) - start, 0))
            os.lseek(file, start, os.SEEK_SET)
            return Value(buffer[: _fill(file, buffer)], _version(status), size)
        except OSError as error:
            raise self._error(error, key) from error
        finally:
            os.close(file)

    def into(self, key: str, out: Bytes) -> int | None:
        if (file := self._open(key)) is None:
            return None
        try:
            size = _readv(file, out, self._spare)
            return size if size >= out.size or not size else size + _fill(file, out[size:])
        except OSError as error:
            raise self._error(error, key) from error
        finally:
            os.close(file)

    def _open(self, key: str) -> int | None:
        try:
            return os.open(self._prefix + key, FLAGS)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error(error, key) from error

    def _error(self, error: OSError, key: str) -> StoreError:
        return StoreError(f"{type(error).__name__}: {error.strerror}", store=repr(self._store), key=key)


def _version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"


def _version_at(path: str) -> str | None:
    try:
        return _version(os.stat(path))
    except FileNotFoundError:
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere: whoever reads it is told
        return False


def _all(file: int, data: memoryview) -> None:
    while data:
        data = data[os.write(file, data) :]


def _rest(file: int, scratch: Scratch) -> Bytes:
    """All of a file that filled the scratch, which grows: the next chunks are much like this one."""
    head, size, total = scratch.encoded, scratch.encoded.size, os.fstat(file).st_size
    if total > size:
        scratch.encoded = np.empty(total + (total >> 2), np.uint8)
        scratch.encoded[:size] = head
        size += _fill(file, scratch.encoded[size:total])
    return scratch.encoded[:size]


def _readv(file: int, *buffers: Bytes) -> int:
    return os.readv(file, buffers)  # pyright: ignore[reportArgumentType]  # arrays are buffers, as their stubs say from 3.12 on


def _fill(file: int, buffer: Bytes) -> int:
    """Bytes read into `buffer`: fewer than it has only at the end of the file."""
    done = 0
    while done < buffer.size and (got := _readv(file, buffer[done:])):
        done += got
    return done
