"""A store around a store that keeps what it was asked for: in memory, and on disk for later processes; bounded in bytes."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from azarr._platform import offload
from azarr.context import bytes_of
from azarr.errors import ObjectChanged, redact
from azarr.scratch import Buffer, view
from azarr.stores import store_from
from azarr.stores.base import UNCHANGED, UNKNOWN, ByteRange, Checked, Kept, Value

What = tuple[str, ByteRange | None]
INDEXED = "indexeddb://"
"""How the name of a database begins where a folder is asked for."""
OVERHEAD = 300
"""Bytes that an entry in memory takes beside its data."""
ABANDONED = 3600.0
"""Seconds after which a file that is still being written is one of a process that was killed."""


class _Entry(NamedTuple):
    """What was answered, None for "there is none"; and when that was seen to be so, in seconds since 1970, and after how many openings."""

    value: Kept | None
    checked: float
    openings: int


class Cached:
    """`inner`, a store or what `open` takes for one, with what it answers kept: in at most `memory` bytes, and in at most `disk_size`
    bytes of files in the folder `disk`, or in browsers of the database `disk="indexeddb://name"`. Where the disk is full or refuses, it is
    not kept there. Several caches may have one folder: each holds all that is there to its own `disk_size`, and looks now and then.

    `recheck` says when an answer is checked before it is given again: "open" after each opening of a node, True always, False never,
    a number after so many seconds. Where the store can tell by the version that an object is the same, that moves no data. Parts of
    an object that are of different versions are never put together. What is written through this store is forgotten at once.
    """

    def __init__(
        self, inner: Any, *, memory: int | str = "256 MiB", disk: str | os.PathLike[str] | None = None, disk_size: int | str = "4 GiB",
        recheck: str | bool | float = "open",
    ) -> None:  # fmt: skip
        if isinstance(recheck, str) and recheck != "open":
            raise ValueError(f'recheck is "open", True, False or a number of seconds, not {recheck!r}')
        self.inner = inner = store_from(inner)
        self.recheck, self._options = recheck, {"memory": memory, "disk": disk, "disk_size": disk_size, "recheck": recheck}
        self.gap: int | None = getattr(inner, "gap", None)
        self._most, self.nbytes = bytes_of(memory), 0
        self._kept: OrderedDict[What, _Entry] = OrderedDict()
        self._disk = None if disk is None else _disk(disk, bytes_of(disk_size), getattr(inner, "identity", repr(inner)))
        self._openings, self._forgotten, self._lock = 0, 0, threading.Lock()
        self._deleting: dict[str, int] = {}
        """Keys of what is forgotten and still on disk, and when it was forgotten; it is not read from there any more."""
        for name in ("list", "list_dir", "hold", "clean", "commits", "deletes_versions"):  # it can what the inner store can
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))
        for name in ("set", "delete", "replace"):
            if hasattr(inner, name):
                setattr(self, name, self._forgetting(getattr(inner, name)))

    def __repr__(self) -> str:
        return f"Cached({self.inner!r})"

    def __reduce__(self) -> Any:  # what it has in memory stays where it is
        return partial(Cached, **self._options), (self.inner,)

    @property
    def ranges(self) -> bool:
        """Whether the inner store serves ranges, as far as is known."""
        return getattr(self.inner, "ranges", True)

    def opened(self) -> None:
        """A node is being opened."""
        self._openings += 1

    def held(self, key: str, byte_range: ByteRange | None = None, version: str | None = None) -> Value | None:
        """What is at hand in memory and needs no check; `UNKNOWN` if it is not."""
        entry = self._look((key, byte_range))
        if entry is None or not self._fresh(entry):
            return UNKNOWN
        return entry.value if version is None or (entry.value is not None and entry.value.version == version) else UNKNOWN

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        return await self.get_if(key, byte_range)

    async def get_if(
        self, key: str, byte_range: ByteRange | None = None, *, match: str | None = None, unless: str | None = None
    ) -> Value | None:
        """As `get`: of the version `match`, or `ObjectChanged`; `UNCHANGED` if it is of the version `unless`."""
        if (found := self.held(key, byte_range, match)) is UNKNOWN:
            found = await self._find((key, byte_range), match)
        return UNCHANGED if found is not None and unless is not None and found.version == unless else found

    async def _find(self, what: What, match: str | None) -> Value | None:
        entry, since = self._look(what), self._forgotten
        if entry is None and self._disk is not None and (entry := await self._read(what)) is not None:
            self._keep(what, entry, since)
            if self._fresh(entry) and entry.value is not None and match in (None, entry.value.version):
                return entry.value
        before = None if entry is None else entry.value
        unless = before.version if before is not None and match in (None, before.version) else None
        openings, asked = self._openings, time.time()
        try:
            answer = await self._ask(what, match, unless)
        except ObjectChanged:
            self.forget(what[0])
            await self.settle()
            raise
        if answer is UNCHANGED and before is not None:
            self._keep(what, _Entry(before, asked, openings), since)
            await self._on_disk("touch", what, asked)
            return Checked(*before)
        if answer is not None and match is not None and answer.version != match:
            self.forget(what[0])
            await self.settle()
            return answer
        kept = _Entry(None if answer is None else Kept(_own(answer.data), answer.version, answer.size), asked, openings)
        if before is not None and answer is not None and before.version != answer.version:
            self.forget(what[0])  # other parts of it are of the old version too
            since = self._forgotten
            await self.settle()
        if self._keep(what, kept, since) and self._disk is not None and kept.value is not None:
            await self._write(what, kept.value, asked, since)
        return answer

    async def _ask(self, what: What, match: str | None, unless: str | None) -> Value | None:
        inner: Any = self.inner
        if hasattr(inner, "get_if"):
            return await inner.get_if(*what, match=match, unless=unless)
        if what[1] is None and hasattr(inner, "reader"):  # such stores tell the version of ranges only
            return await inner.get(what[0], (0, None))
        return await (inner.get(what[0]) if what[1] is None else inner.get(*what))

    def _fresh(self, entry: _Entry) -> bool:
        if isinstance(self.recheck, bool):
            return not self.recheck
        return entry.openings == self._openings if isinstance(self.recheck, str) else time.time() - entry.checked < self.recheck

    def forget(self, key: str) -> None:
        """Drop what is held of the object under `key`; from disk by `settle`. What is on its way to be kept is dropped too."""
        with self._lock:
            self._forgotten += 1
            for what in [what for what in self._kept if what[0] == key]:
                self._drop(what)
            if self._disk is not None:
                self._deleting[key] = self._forgotten

    async def settle(self) -> None:
        """Delete the files of what was forgotten; before what made that necessary returns."""
        while self._deleting:
            for key, since in list(self._deleting.items()):
                try:
                    await self._on_disk("forget", key)
                except OSError:  # what cannot be deleted must not be read
                    self._disk = None
                with self._lock:
                    if self._deleting.get(key) == since:  # else it was forgotten again meanwhile
                        del self._deleting[key]

    async def _on_disk(self, verb: str, *arguments: Any) -> Any:
        """What the disk does; off the loop where that blocks."""
        if self._disk is None:
            return None
        do = getattr(self._disk, verb)
        return await (offload(lambda: do(*arguments)) if isinstance(self._disk, _Folder) else do(*arguments))

    def _look(self, what: What) -> _Entry | None:
        with self._lock:
            if (entry := self._kept.get(what)) is not None:
                self._kept.move_to_end(what)
            return entry

    def _keep(self, what: What, entry: _Entry, since: int) -> bool:
        with self._lock:
            if since != self._forgotten:
                return False
            if what in self._kept:
                self._drop(what)
            if _size(entry) <= self._most:
                self._kept[what] = entry
                self.nbytes += _size(entry)
            while self.nbytes > self._most:
                self._drop(next(iter(self._kept)))
            return True

    def _drop(self, what: What) -> None:
        self.nbytes -= _size(self._kept.pop(what))

    def _forgetting(self, change: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def changed(key: str, *arguments: Any) -> Any:
            self.forget(key)
            await self.settle()  # not only in the end, as the process may be killed meanwhile
            try:
                return await change(key, *arguments)
            finally:
                self.forget(key)
                await self.settle()

        return changed

    async def _read(self, what: What) -> _Entry | None:
        if what[0] in self._deleting or (found := await self._on_disk("read", what)) is None:
            return None
        return _Entry(found[0], found[1], -1)

    async def _write(self, what: What, value: Value, checked: float, since: int) -> None:
        try:
            with suppress(OSError):  # it is full, or may not be written to
                await self._on_disk("write", what, value, checked)
        finally:
            if since != self._forgotten:  # meanwhile
                self._deleting[what[0]] = self._forgotten
                await self.settle()


def _own(data: Buffer) -> Buffer:
    """`data`, in memory that holds nothing else and does not change."""
    return data if isinstance(data, bytes) else view(data).tobytes()


def _size(entry: _Entry) -> int:
    return OVERHEAD + (0 if entry.value is None else len(entry.value.data))


def _disk(place: str | os.PathLike[str], most: int, store: str) -> Any:
    """A folder, or in browsers a database."""
    name = os.fspath(place)
    if name.startswith(INDEXED):
        return import_module("azarr.tools.indexeddb").Database(name.removeprefix(INDEXED), most, redact(store))
    return _Folder(Path(name), most, redact(store))


def place_of(store: str, what: What) -> tuple[str, str]:
    """Where an answer is kept: what all answers about its object have in common, and its own name."""
    key, byte_range = what
    part = "whole" if byte_range is None else f"{byte_range[0]}_{'' if byte_range[1] is None else byte_range[1]}"
    return hashlib.sha256(f"{store} {key}".encode()).hexdigest()[:32], part


def packed(what: What, value: Value) -> bytes:
    """A line of JSON that says of what it is, its version, length and the checksum of all that; then the bytes."""
    body = view(value.data).tobytes()
    return json.dumps(_head(what[0], body, value.version, value.size)).encode() + b"\n" + body


def unpacked(what: What, data: bytes) -> Kept | None:
    """What was packed; None if it was damaged anywhere."""
    line, _, body = data.partition(b"\n")
    with suppress(ValueError, KeyError, TypeError):
        head = json.loads(line)
        if head == _head(what[0], body, head["version"], head["size"]):
            return Kept(body, head["version"], head["size"])
    return None


class _Folder:
    """A file for each answer. When it was changed is when it was checked, when it was read when it was used; processes may share it."""

    def __init__(self, path: Path, most: int, store: str) -> None:
        self.path, self.most, self.store, self._room = path, most, store, 0
        """`_room` are the bytes that may be written before what is there is counted again."""
        self._lock = threading.Lock()

    def _file(self, what: What) -> Path:
        return self.path.joinpath(*place_of(self.store, what))

    def read(self, what: What) -> tuple[Kept, float] | None:
        """What is kept, if it is whole; and when it was checked."""
        path = self._file(what)
        try:
            data, changed = path.read_bytes(), path.stat().st_mtime
            os.utime(path, (time.time(), changed))
        except OSError:
            return None
        if (kept := unpacked(what, data)) is not None:
            return kept, changed
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return None

    def write(self, what: What, value: Value, checked: float) -> None:
        path, data = self._file(what), packed(what, value)
        staged = self.path / f"staged-{secrets.token_hex(8)}"
        if len(data) > self.most:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.write_bytes(data)
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
        self.touch(what, checked)
        with self._lock:
            self._room -= len(data)
            if self._room < 0:
                self._trim()

    def touch(self, what: What, checked: float) -> None:
        with suppress(OSError):
            os.utime(self._file(what), (time.time(), checked))

    def forget(self, key: str) -> None:
        folder = self._file((key, None)).parent
        with suppress(FileNotFoundError):
            for path in list(folder.iterdir()):
                path.unlink(missing_ok=True)

    def _trim(self) -> None:
        """Count what there is, and delete the longest unused until a tenth is free."""
        found = list[tuple[float, int, Path]]()
        for path in self.path.glob("staged-*"):
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - ABANDONED:
                    path.unlink()
        for path in self.path.glob("*/*"):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_atime, status.st_size, path))
        nbytes = sum(size for _, size, _ in found)
        if nbytes > self.most:
            for _, size, path in sorted(found):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
                    nbytes -= size
                if nbytes <= self.most * 0.9:
                    break
        self._room = min(self.most - nbytes, self.most // 16)  # others write there, too


def _head(key: str, body: bytes, version: str | None, size: int | None) -> dict[str, Any]:
    told = zlib.crc32(repr((key, version, size)).encode())
    return {"key": key, "version": version, "size": size, "length": len(body), "crc32": zlib.crc32(body, told)}
