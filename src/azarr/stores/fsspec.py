"""Filesystems of fsspec. What a read gives is checked: by its length, and by the size of the object where that leaves doubts.

Asynchronous filesystems made here are made on the event loop that uses them, one for each, and closed with it or with the context; others
are called in worker threads, or on the loop of fsspec that they belong to.
"""

from __future__ import annotations

import asyncio
import hashlib
import warnings
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, cast
from urllib.parse import quote, unquote

from azarr._platform import offload
from azarr.context import DEFAULT_CONTEXT, Context
from azarr.errors import InvalidKey, MissingPackage, RangeNotHonoured, TruncatedBody, UnversionedWarning, redact
from azarr.scratch import Buffer, view
from azarr.stores.base import ByteRange, Value, check_key
from azarr.stores.foreign import is_missing, status_of, translated
from azarr.stores.memory import sliced

__all__ = ["FsspecStore"]

CACHES = {"blockcache", "cached", "filecache", "simplecache"}
NO_SUFFIX = (NotImplementedError, TypeError, ValueError)
"""What filesystems raise that do not know how to count from the end."""
NO_SUFFIX_STATUS = (400, 405, 416, 501)


class FsspecStore:
    """Objects below a URL that fsspec knows (`memory://`, `s3://`, `ftp://`, ...), or below `path` of a filesystem of fsspec.

    `storage_options` are those of the filesystem of a URL. `context`: its end closes what was opened. fsspec tells no versions: an object
    that is replaced while it is read range by range is not noticed. A write is as atomic as the filesystem makes it; files on a disk are
    not replaced in one go, so `LocalStore` is for local disks. It is pickled with its options, secrets included. Errors: `MissingPackage`;
    `ValueError` for a URL that fsspec does not know.
    """

    def __init__(
        self, fs_or_url: Any, path: str = "", *, storage_options: dict[str, Any] | None = None, context: Context | None = None
    ) -> None:
        self.storage_options, self.context = dict(storage_options or {}), context or DEFAULT_CONTEXT
        self._source, self._path = fs_or_url, path
        self._class: Any = type(fs_or_url)
        self._of_loop = False
        self._shared: Any = None
        """The filesystem; None if each loop has its own, or if it is not made yet."""
        if isinstance(fs_or_url, str):
            root, mark, query = self._of_url(fs_or_url).partition("?")
            self._root = f"{root.rstrip('/')}/{path}{mark}{query}" if path else f"{root}{mark}{query}"
        elif storage_options:
            raise TypeError("storage_options are for a URL; this filesystem has its own")
        else:
            self._shared = fs_or_url
            self._root = str(fs_or_url._strip_protocol(path))
        protocol: Any = self._class.protocol
        names: list[str] = [protocol] if isinstance(protocol, str) else list(protocol)
        self._quoted = "http" in names
        self._root, self._query = self._root.partition("?")[::2] if self._quoted else (self._root, "")
        self._start = self._root and self._root.rstrip("/") + "/"  # of some filesystems no path begins with a slash
        self._root = self._root.rstrip("/")
        place = self._root if "://" in self._root else f"{names[0]}://{self._root}"
        if isinstance(fs_or_url, str) and "://" in fs_or_url and not self._quoted:  # paths of some filesystems are without the host
            first = fs_or_url.partition("::")[0]
            place = f"{first.rstrip('/')}/{path}" if path else first
        self._shown = f"FsspecStore({redact(place)!r})"
        self._told = False
        self._made: dict[asyncio.AbstractEventLoop, tuple[Any, AsyncGenerator[None]]] = {}

    def _of_url(self, url: str) -> str:
        """Find the class of the filesystem, which is made when it is first asked for something. The path of the URL in it."""
        try:
            fsspec: Any = import_module("fsspec")
        except ImportError as error:
            raise MissingPackage("FsspecStore", "fsspec", 'pip install "azarr[fsspec]"') from error
        outer = url.partition("://")[0]
        if used := [name for name in outer.split("::") if name in CACHES]:
            rest = url.split("::", outer.split("::").index(used[0]) + 1)[-1]
            raise ValueError(f"{used[0]!r} of fsspec keeps what may have changed; azarr's way is azarr.Cached({redact(rest)!r}, disk=...)")
        scheme = outer.partition("::")[0]
        try:
            self._class = fsspec.get_filesystem_class(scheme)
        except ValueError as error:
            raise ValueError(f"{redact(url)!r}: no store for the scheme {scheme!r}; pass a store object") from error
        except ImportError as error:
            raise MissingPackage(f"the scheme {scheme!r}", getattr(error.__cause__, "name", None) or scheme, str(error)) from error
        self._of_loop = "::" not in outer and self._class.async_impl is True
        first = url.partition("::")[0]
        return str(self._class._strip_protocol(first)) if "://" in first else ""

    def __repr__(self) -> str:
        return self._shown

    def __reduce__(self) -> Any:
        return partial(FsspecStore, storage_options=self.storage_options or None, context=self.context), (self._source, self._path)

    @property
    def identity(self) -> str:
        """The same text for stores of the same objects; it tells no secrets."""
        source, options = self._source, self.storage_options
        told: Any = source if isinstance(source, str) else (source.storage_args, sorted(source.storage_options.items()))
        return hashlib.sha256(repr((self._class.__name__, self._root, self._query, told, sorted(options.items()))).encode()).hexdigest()

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        path = self._at(key)
        try:
            if byte_range is None:
                data = view(await self._call("cat_file", path))
                return Value(data, None, len(data))
            if byte_range[0] == byte_range[1]:
                return Value(b"")
            value = await self._part(path, byte_range)
        except Exception as error:
            if is_missing(error):
                return None
            raise translated(error) from None
        if not self._told:
            self._told = True
            told = f"{self!r} tells no versions: an object that is replaced while it is read is not noticed"
            warnings.warn(told, UnversionedWarning, stacklevel=2)
        return value

    async def _part(self, path: str, byte_range: ByteRange) -> Value:
        start, stop = byte_range
        if start > 0 and stop is None:  # whether all came is seen by the size alone
            if (size := await self._size(path)) is None:
                raise RangeNotHonoured("the filesystem does not tell the size of this object, which a range to its end needs")
            if start >= size:
                return Value(b"", None, size)
            stop = size
        try:
            data = view(await self._call("cat_file", path, start=start, end=stop))
        except Exception as error:
            if is_missing(error) or not (isinstance(error, NO_SUFFIX) or status_of(error) in NO_SUFFIX_STATUS):
                raise
            if (size := await self._size(path)) is None:
                raise
            first = max(size + start, 0) if start < 0 else start
            if first >= size:  # nothing is there, which servers answer by an error
                return Value(b"", None, size)
            if start >= 0:
                raise
            start, stop = first, size
            data = view(await self._call("cat_file", path, start=start, end=stop))
        if stop is None and start == 0:
            return Value(data, None, len(data))
        wanted = -start if stop is None else stop - start
        return Value(data) if len(data) == wanted else await self._checked(path, data, (start, stop), wanted)

    async def _checked(self, path: str, data: Any, byte_range: ByteRange, wanted: int) -> Value:
        """What came where it has another length than was asked for: the end of the object, or all of it, as far as its size is known."""
        size = await self._size(path)
        if size is None and len(data) < wanted:
            return Value(data)
        start = byte_range[0]
        there = 0 if size is None else min(wanted, size if start < 0 else max(size - start, 0))
        if size is not None and len(data) == there:
            return Value(data, None, size)
        if len(data) == size:  # some servers answer a range with everything
            return Value(sliced(data, byte_range), None, size)
        if len(data) < there:
            raise TruncatedBody(f"{len(data):,} bytes came where {there:,} were asked for", transient=True)
        raise RangeNotHonoured(f"{len(data):,} bytes came where {byte_range} was asked for")

    async def _size(self, path: str) -> int | None:
        """Bytes of the object, or None where the filesystem does not tell."""
        (await self._filesystem()).invalidate_cache()
        facts = await self._call("info", path)
        size = facts.get("size")
        return size if isinstance(size, int) and facts.get("type", "file") == "file" else None

    async def set(self, key: str, data: Buffer) -> None:
        path, value = self._at(key), view(data).tobytes()
        try:
            try:
                await self._call("pipe_file", path, value)
            except FileNotFoundError as error:
                if not is_missing(error) or self._quoted:  # a bucket is not made by the way
                    raise
                await self._call("makedirs", path.rpartition("/")[0], exist_ok=True)
                await self._call("pipe_file", path, value)
        except Exception as error:
            raise translated(error) from None

    async def delete(self, key: str) -> None:
        path = self._at(key)
        try:
            await self._call("rm_file", path)
        except Exception as error:
            if not is_missing(error):
                raise translated(error) from None

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for name in await self._names("ls", prefix):
            if "/" not in name[:-1]:
                yield name

    async def list(self, prefix: str) -> AsyncIterator[str]:
        start = f"{prefix}/" if prefix else ""
        if self._finds():
            for name in await self._names("find", prefix):
                yield start + name
            return
        for name in await self._names("ls", prefix):
            if not name.endswith("/"):
                yield start + name
                continue
            async for key in self.list(start + name[:-1]):
                yield key

    def _finds(self) -> bool:
        """Whether the filesystem has a deep listing of its own. The general one of fsspec leaves out what it could not list."""
        kind: Any = self._class if self._shared is None else _below(self._shared).__class__
        method = "_find" if kind.async_impl is True else "find"
        return not getattr(kind, method).__module__.startswith(("fsspec.spec", "fsspec.asyn"))

    async def _names(self, method: str, prefix: str) -> list[str]:
        """Names below `prefix`; those of folders end in "/". What cannot be a key is left out, as nobody could read it."""
        path = self._at(prefix) if prefix else (self._root or self._start) + (f"?{self._query}" if self._query else "")
        try:
            fs = await self._filesystem()
            fs.invalidate_cache()
            found = await self._call(method, path, detail=True)
            fs.invalidate_cache()  # reads would take sizes from it
        except Exception as error:
            if is_missing(error):
                return []
            raise translated(error) from None
        entries: Any = cast("dict[str, Any]", found).values() if isinstance(found, dict) else found
        start = str(self._class._strip_protocol(path.partition("?")[0] if self._quoted else path)).strip("/")
        names: set[str] = set()
        for entry in entries:
            name = str(entry["name"]).strip("/")
            if (below := name.removeprefix(f"{start}/" if start else "")) != name or not start:
                if self._quoted:  # a link of a page
                    below = unquote(below.partition("?")[0])
                with suppress(InvalidKey):
                    names.add(check_key(below) + "/" * (entry.get("type") == "directory"))
        return sorted(names)

    def _at(self, key: str) -> str:
        """The path of an object; for HTTP, its URL."""
        check_key(key)
        return f"{self._start}{quote(key)}{f'?{self._query}' if self._query else ''}" if self._quoted else f"{self._start}{key}"

    async def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """What a method of the filesystem gives, where the filesystem belongs."""
        fs = await self._filesystem()
        if _below(fs).async_impl is not True:
            return await offload(partial(getattr(fs, method), *arguments, **options))
        call = getattr(fs, f"_{method}")(*arguments, **options)
        if fs.asynchronous:
            return await call
        # The user's filesystem has its sessions on fsspec's loop. One made anew for this loop would lack what was done to it since.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, fs.loop))

    async def _filesystem(self) -> Any:
        if self._shared is not None:
            return self._shared
        if not self._of_loop:  # some connect, or open a file, as soon as they are made; that it is not there is no missing object
            try:
                self._shared, _ = await offload(partial(import_module("fsspec").core.url_to_fs, self._source, **self.storage_options))
            except Exception as error:
                raise translated(error) from None
            return self._shared
        loop = asyncio.get_running_loop()
        if (made := self._made.get(loop)) is not None:
            return made[0]
        for closed in [other for other in self._made if other.is_closed()]:
            del self._made[closed]
        options = {**self._class._get_kwargs_from_urls(self._source), **self.storage_options}
        fs = self._class(**options, asynchronous=True, skip_instance_cache=True)
        keeper = _keep(fs, self._made, loop)
        self._made[loop] = fs, keeper
        _closed_with(self.context).add(self)
        await anext(keeper)
        return fs

    async def close(self) -> None:
        """Close what was opened on this event loop, as its end or that of the context would."""
        if (made := self._made.get(asyncio.get_running_loop())) is not None:
            await made[1].aclose()


_open: weakref.WeakKeyDictionary[Context, weakref.WeakSet[FsspecStore]] = weakref.WeakKeyDictionary()


def _closed_with(context: Context) -> weakref.WeakSet[FsspecStore]:
    """The stores that the end of `context` closes."""
    if (stores := _open.get(context)) is None:
        stores = _open[context] = weakref.WeakSet()
        context.closers.append(partial(_close_all, stores))
    return stores


async def _close_all(stores: weakref.WeakSet[FsspecStore]) -> None:
    for store in list(stores):
        await store.close()


def _below(fs: Any) -> Any:
    """The filesystem that answers: where this is a folder of another, that one. A folder says that it is asynchronous in any case."""
    return _below(fs.fs) if fs.protocol == "dir" else fs


async def _keep(fs: Any, made: dict[Any, Any], loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
    """A generator, as a loop closes all that are left when it shuts down."""
    try:
        yield
    finally:
        made.pop(loop, None)
        for name in ("_session", "session", "_s3"):  # of HTTP and Google; as some name it in public; of S3
            if (close := getattr(getattr(fs, name, None), "close", None)) is not None:
                closing = close()
                if asyncio.iscoroutine(closing):
                    await closing
