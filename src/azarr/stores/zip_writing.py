"""Making a zip file: objects are stored as they come, and the directory is written at the end. Metadata documents come right before it.

A file is staged beside the one that it will replace, and renamed at the end: whoever is killed before leaves the old one.
"""

from __future__ import annotations

import io
import os
import threading
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import IO

from azarr._platform import offload
from azarr.errors import ReadOnly, StoreError
from azarr.grid import RESERVED
from azarr.scratch import Buffer, view
from azarr.stores.base import ByteRange, Value, check_key
from azarr.stores.memory import sliced
from azarr.stores.zip_directory import below, bounds, names_below

STAGED = ".azarr-staged-"
"""How the name of a file begins that is not yet what it will be; `LocalStore` lists none of them."""
MODE = 0o644 << 16
"""Who may read a member, once it is unpacked."""
LONGEST = 0xFFFF
"""Bytes of a name."""


class ZipWriter:
    """Objects that become members of a zip file when the block of `ZipStore.create` ends; until then they can be replaced and deleted."""

    def __init__(self, file: IO[bytes], place: str) -> None:
        self._file, self._where = file, place
        self._zip = zipfile.ZipFile(file, "w")
        self._documents, self._places = dict[str, bytes](), dict[str, tuple[int, int]]()
        self._lock, self._failed = threading.Lock(), False

    def __repr__(self) -> str:
        return f"ZipStore.create({self._where})"

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        check_key(key)
        return await offload(lambda: self._read(key, byte_range))

    async def set(self, key: str, data: Buffer) -> None:
        if len(check_key(key).encode()) > LONGEST:
            raise StoreError(f"names in zip files have at most {LONGEST:,} bytes", store=repr(self), key=key)
        await offload(lambda: self._put(key, data))

    async def delete(self, key: str) -> None:
        check_key(key)
        await offload(lambda: self._put(key, None))

    async def list(self, prefix: str) -> AsyncIterator[str]:
        for key in below(self._keys(), prefix):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for name in names_below(self._keys(), prefix):
            yield name

    def _keys(self) -> list[str]:
        with self._lock:
            return sorted([*self._documents, *self._places])

    def _read(self, key: str, byte_range: ByteRange | None) -> Value | None:
        with self._using(key):
            if (document := self._documents.get(key)) is not None:
                return Value(document if byte_range is None else sliced(document, byte_range), None, len(document))
            if (place := self._places.get(key)) is None:
                return None
            start, stop = bounds(byte_range, place[1])
            self._file.seek(place[0] + start)
            return Value(self._file.read(stop - start), f"{place[0]:x}", place[1])

    def _put(self, key: str, data: Buffer | None) -> None:
        with self._using(key):
            self._documents.pop(key, None)
            self._places.pop(key, None)
            self._zip.NameToInfo.pop(key, None)
            if data is not None and key.rpartition("/")[2] in RESERVED:
                self._documents[key] = view(data).tobytes()
            elif data is not None:
                self._append(key, data)

    def _append(self, key: str, data: Buffer) -> None:
        info = zipfile.ZipInfo(key)  # of 1980, so that the same objects make the same file
        info.external_attr = MODE
        done = False
        try:
            self._zip.writestr(info, view(data).data)
            done = True
        finally:
            self._failed |= not done
        self._places[key] = self._zip.start_dir - len(data), len(data)

    def finish(self) -> None:
        """Write the documents and the directory."""
        with self._using(""):
            if self._failed:
                raise StoreError("an object could not be written, so there is no archive", store=repr(self))
            for key in sorted(self._documents):
                self._append(key, self._documents[key])
            self._zip.filelist[:] = [info for info in self._zip.filelist if self._zip.NameToInfo.get(info.filename) is info]
            self._zip.close()
            self._file.flush()

    def end(self) -> None:
        """Nothing more is written, not even by whoever collects what nobody needs."""
        with self._lock:
            self._zip.fp = None

    @contextmanager
    def _using(self, key: str) -> Generator[None]:
        with self._lock:
            if self._zip.fp is None:
                raise ReadOnly(f"{self!r} has ended; read the archive by ZipStore")
            try:
                yield
            except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
                if isinstance(error, StoreError):
                    raise
                raise StoreError(f"{type(error).__name__}: {error}", store=repr(self), key=key) from error


@asynccontextmanager
async def writing(target: str | os.PathLike[str] | io.BytesIO) -> AsyncGenerator[ZipWriter]:
    """A store for the members of the archive `target`, which is there once the block ends without an error."""
    if isinstance(target, io.BytesIO):
        writer = ZipWriter(target, "in memory")
        try:
            yield writer
            await offload(writer.finish)
        finally:
            writer.end()
        return
    path: str = os.path.abspath(os.fspath(target))
    folder, name = os.path.split(path)
    staged = os.path.join(folder, f"{STAGED}{os.urandom(8).hex()}")
    try:
        file = await offload(lambda: open(staged, "x+b"))  # noqa: SIM115  # closed below
    except OSError as error:
        raise StoreError(f"{type(error).__name__}: {error.strerror}", store=f"the folder {folder!r}", key=name) from error
    writer, done = ZipWriter(file, repr(path)), False
    try:
        yield writer
        await offload(writer.finish)
        file.close()
        os.replace(staged, path)
        done = True
    finally:
        writer.end()
        file.close()
        if not done:
            with suppress(OSError):
                os.unlink(staged)
