"""A folder on a local disk. Reads block, and are made by the worker thread that decodes what they give.

Missing means that the operating system said "no such file"; a folder where a file should be, a path that is too long, and all else raise.
Writes are staged beside the object and renamed, so that a reader sees the old object or the new one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from azarr._platform import offload
from azarr.errors import StoreError
from azarr.scratch import Buffer, Bytes, Scratch, view
from azarr.stores.base import ByteRange, Value, check_key

__all__ = ["LocalStore"]

FIRST_READ = 1 << 16
STAGED = ".azarr-"
"""Names of staged files begin so; they are not keys, and listings leave them out."""
FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class LocalStore:
    """Objects as files below `root`. Nothing is read or made until it is asked for."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def reader(self) -> _Reader:
        return _Reader(str(self.root))

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        check_key(key)
        return await offload(lambda: self._get(key, byte_range))

    async def set(self, key: str, data: Buffer) -> None:
        check_key(key)
        await offload(lambda: self._set(key, view(data)))

    async def delete(self, key: str) -> None:
        path = self.root / check_key(key)
        await offload(lambda: self._delete(key, path))

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        folder = self.root / check_key(prefix) if prefix else self.root
        for name in await offload(lambda: _names(folder)):
            yield name

    async def list(self, prefix: str) -> AsyncIterator[str]:
        start = f"{prefix}/" if prefix else ""
        async for name in self.list_dir(prefix):
            if name.endswith("/"):
                async for key in self.list(start + name[:-1]):
                    yield key
            else:
                yield start + name

    def _get(self, key: str, byte_range: ByteRange | None) -> Value | None:
        scratch = Scratch()  # its memory becomes the value's
        return self.reader().whole(key, scratch) if byte_range is None else self.reader().part(key, byte_range, scratch)

    def _delete(self, key: str, path: Path) -> None:
        with _translating(key, repr(self)):
            path.unlink(missing_ok=True)

    def _set(self, key: str, data: Bytes) -> None:
        path = self.root / key
        staged = path.with_name(f"{STAGED}{secrets.token_hex(8)}")
        with _translating(key, repr(self)):
            try:
                with _created(staged) as file:
                    file.write(data)
                os.replace(staged, path)
            except BaseException:
                staged.unlink(missing_ok=True)
                raise


class _Reader:
    """One worker's way into the folder. `os.readv` into that worker's scratch; no Python file object, no allocation."""

    __slots__ = ("_spare", "prefix")

    def __init__(self, root: str) -> None:
        self.prefix = os.path.join(root, "")
        self._spare = np.empty(1, np.uint8)

    def whole(self, key: str, scratch: Scratch) -> Value | None:
        file = self._open(key)
        if file is None:
            return None
        try:
            buffer = scratch.take("encoded", max(scratch.state.get("encoded", 0), FIRST_READ))
            size = os.readv(file, [buffer])
            if size == buffer.size:
                total = os.fstat(file).st_size
                if total > size:
                    head = buffer.copy()
                    scratch.state["encoded"] = total + (total >> 2)
                    buffer = scratch.take("encoded", scratch.state["encoded"])
                    buffer[:size] = head
                size += self._fill(file, buffer[size:total])
            return Value(buffer[:size], None, size)
        except OSError as error:
            raise _store_error(error, key, self.prefix) from error
        finally:
            os.close(file)

    def part(self, key: str, byte_range: ByteRange, scratch: Scratch) -> Value | None:
        file = self._open(key)
        if file is None:
            return None
        try:
            status = os.fstat(file)
            start, stop, size = *byte_range, status.st_size
            start = max(size + start, 0) if start < 0 else min(start, size)
            buffer = scratch.take("encoded", max(min(size if stop is None else stop, size) - start, 0))
            os.lseek(file, start, os.SEEK_SET)
            got = self._fill(file, buffer)
            return Value(buffer[:got], f"{status.st_mtime_ns:x}-{status.st_ino:x}-{size:x}", size)
        except OSError as error:
            raise _store_error(error, key, self.prefix) from error
        finally:
            os.close(file)

    def into(self, key: str, out: Bytes) -> int | None:
        file = self._open(key)
        if file is None:
            return None
        try:
            size = os.readv(file, [out, self._spare])
            return size if size >= out.size or not size else size + self._fill(file, out[size:])
        except OSError as error:
            raise _store_error(error, key, self.prefix) from error
        finally:
            os.close(file)

    def _open(self, key: str) -> int | None:
        try:
            return os.open(self.prefix + key, FLAGS)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _store_error(error, key, self.prefix) from error

    def _fill(self, file: int, buffer: Bytes) -> int:
        """Bytes read into `buffer`: fewer than it has only at the end of the file."""
        done = 0
        while done < buffer.size and (got := os.readv(file, [buffer[done:]])):
            done += got
        return done


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name + "/" * entry.is_dir() for entry in entries if not entry.name.startswith(STAGED))
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _created(path: Path) -> Iterator[Any]:
    try:
        file = path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
    with file:
        yield file


@contextlib.contextmanager
def _translating(key: str, store: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _store_error(error, key, store) from error


def _store_error(error: OSError, key: str, store: str) -> StoreError:
    return StoreError(f"{type(error).__name__}: {error.strerror}", store=store, key=key)
