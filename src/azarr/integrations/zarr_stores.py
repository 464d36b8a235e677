"""zarr-python and azarr on each other's stores: `AzarrStore` is a store for zarr-python, `ZarrPythonStore` is one for azarr."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, cast

from azarr._engine.chunk_cache import forget
from azarr._engine.requests import Requests
from azarr._platform import together
from azarr.context import DEFAULT_CONTEXT, Context
from azarr.errors import MissingPackage, StoreError, UnversionedWarning
from azarr.scratch import Buffer, view
from azarr.stores import store_from
from azarr.stores.base import BlockingWritable, ByteRange, ConditionalStore, Listing, Store, Value, WritableStore, check_key
from azarr.stores.foreign import is_missing, translated

try:
    zarr: Any = import_module("zarr.abc.store")
    buffers: Any = import_module("zarr.core.buffer")
except ImportError as error:
    raise MissingPackage("a store of zarr-python", "zarr", "pip install zarr") from error

ZarrStore: Any = zarr.Store
LOOKS = 16
"""Names that are looked at at the same time."""


def store_of(store: Any) -> Store:
    """A store of zarr-python as one of azarr."""
    return store.store if isinstance(store, AzarrStore) else ZarrPythonStore(store)


class AzarrStore(ZarrStore):
    """For zarr-python, and xarray: what `azarr.open` takes as its store, read as azarr reads it: with its retries, limits and checks.

    It is used on whatever event loop zarr-python runs. What azarr cannot write to is read only. Errors: `StoreError`; it is never a missing
    chunk. zarr-python asks for the index of a shard and for its chunks by themselves, so a shard that is replaced meanwhile is not noticed.
    """

    def __init__(self, store: Any, *, read_only: bool = False, context: Context | None = None) -> None:
        self.store, self.context = store_from(store, context), context or DEFAULT_CONTEXT
        ZarrStore.__init__(self, read_only=read_only or not isinstance(self.store, WritableStore))

    def __repr__(self) -> str:
        return f"AzarrStore({self.store!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AzarrStore) and other.read_only == self.read_only and _same(self.store, other.store)

    def __hash__(self) -> int:
        return hash((type(self.store).__name__, self.read_only))

    def __reduce__(self) -> Any:
        return partial(AzarrStore, read_only=self.read_only, context=self.context), (self.store,)

    def with_read_only(self, read_only: bool = False) -> AzarrStore:
        return AzarrStore(self.store, read_only=read_only, context=self.context)

    @property
    def supports_writes(self) -> bool:
        return isinstance(self.store, WritableStore)

    @property
    def supports_deletes(self) -> bool:
        return self.supports_writes

    @property
    def supports_listing(self) -> bool:
        return isinstance(self.store, Listing)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        await self._ensure_open()
        value = await self._get(key, _range(byte_range))
        return None if value is None else prototype.buffer.from_bytes(value.data)

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]) -> list[Any]:
        async with together() as group:
            tasks = [group.create_task(self.get(key, prototype, byte_range)) for key, byte_range in key_ranges]
        return [task.result() for task in tasks]

    async def exists(self, key: str) -> bool:
        await self._ensure_open()
        return await self._get(key, (0, 1)) is not None

    async def getsize(self, key: str) -> int:
        await self._ensure_open()
        value = await self._get(key, (0, 1))
        if value is not None and value.size is None:
            value = await self._get(key)
        if value is None:
            raise FileNotFoundError(key)
        return len(value.data) if value.size is None else value.size

    async def set(self, key: str, value: Any) -> None:
        await self._writable()
        store, data = cast("WritableStore", self.store), value.as_numpy_array()
        await self._change(key, lambda: store.set(key, data))

    async def set_if_not_exists(self, key: str, value: Any) -> None:
        await self._writable()
        store, data = self.store, value.as_numpy_array()
        if isinstance(store, ConditionalStore):
            await self._change(key, lambda: store.replace(key, data, None), once=True)
        elif not await self.exists(key):
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        await self._writable()
        store = cast("WritableStore", self.store)
        await self._change(key, lambda: store.delete(key))

    def list(self) -> AsyncIterator[str]:
        return self.list_prefix("")

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        folder = prefix.rpartition("/")[0]
        with _nothing_there():
            async for key in self._listing.list(folder):
                if key.startswith(prefix):
                    yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        seen = set[str]()
        with _nothing_there():
            async for found in self._listing.list_dir(prefix.strip("/")):
                if (name := found.removesuffix("/")) not in seen:
                    seen.add(name)
                    yield name

    @property
    def _listing(self) -> Listing:
        if not isinstance(self.store, Listing):
            raise NotImplementedError(f"{self.store!r} cannot be listed")
        return self.store

    async def _writable(self) -> None:
        await self._ensure_open()
        self._check_writable()

    async def _get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        with _nothing_there():
            return await Requests(self.store, self.context).get(check_key(key), byte_range)
        return None

    async def _change(self, key: str, send: Any, *, once: bool = False) -> None:
        """A write; sent again where that may help, unless it may be sent `once` only. Who reads from here on is told what is there."""
        requests = Requests(self.store, self.context)
        try:
            await (send() if once else requests.repeated(check_key(key), send))
        finally:
            requests.forget(key)
            forget(self.store, key)


class ZarrPythonStore:
    """A store of zarr-python, for azarr: used on the event loop where azarr is awaited, and as trustworthy as it is.

    zarr-python tells no versions: an object that is replaced while it is read range by range is not noticed.
    """

    def __init__(self, store: Any) -> None:
        self.store, self._told = store, False

    def __repr__(self) -> str:
        return f"ZarrPythonStore({self.store!r})"

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        check_key(key)
        if byte_range is not None and byte_range[0] == byte_range[1]:
            return Value(b"")
        value = await self._read(key, byte_range)
        if value is not None and byte_range is not None and not self._told:
            self._told = True
            told = f"{self!r} tells no versions: an object that is replaced while it is read is not noticed"
            warnings.warn(told, UnversionedWarning, stacklevel=2)
        return value

    async def _read(self, key: str, byte_range: ByteRange | None) -> Value | None:
        try:
            found = await self.store.get(key, buffers.default_buffer_prototype(), _request(byte_range))
        except Exception as error:
            if is_missing(error):
                return None
            raise self._error(error) from None
        if found is None:
            return None
        data = view(found.as_numpy_array())
        return Value(data, None, len(data) if byte_range is None else None)

    async def set(self, key: str, data: Buffer) -> None:
        check_key(key)
        await self._answered(self.store.set(key, buffers.default_buffer_prototype().buffer.from_bytes(view(data).tobytes())))

    async def delete(self, key: str) -> None:
        check_key(key)
        await self._answered(self.store.delete(key))

    async def list(self, prefix: str) -> AsyncIterator[str]:
        for key in await self._names(self.store.list_prefix(f"{check_key(prefix)}/" if prefix else "")):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """zarr-python does not tell objects from prefixes, so each name is asked for."""
        start = f"{check_key(prefix)}/" if prefix else ""
        names = sorted({name.strip("/") for name in await self._names(self.store.list_dir(prefix))} - {""})
        is_object, work = dict[str, bool](), iter(names)

        async def look() -> None:
            for name in work:
                is_object[name] = await self._is_object(start + name)

        async with together() as group:
            for _ in range(min(LOOKS, len(names))):
                group.create_task(look())
        for name in names:
            yield name if is_object[name] else f"{name}/"

    async def _names(self, listing: AsyncIterator[str]) -> list[str]:
        try:
            return [name async for name in listing]
        except Exception as error:
            if is_missing(error):
                return []
            raise self._error(error) from None

    async def _is_object(self, key: str) -> bool:
        return await self._answered(self.store.exists(key))

    async def _answered(self, answer: Any) -> Any:
        try:
            return await answer
        except Exception as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> Exception:
        return translated(error)


@contextmanager
def _nothing_there() -> Generator[None]:
    """zarr-python asks for keys where folders are, and below objects: there is no object, and that is no error for it."""
    try:
        yield
    except StoreError as error:
        if not isinstance(error.__cause__, (IsADirectoryError, NotADirectoryError)):
            raise


def _range(asked: Any) -> ByteRange | None:
    """What zarr-python asks for, as azarr says it."""
    if asked is None:
        return None
    if isinstance(asked, zarr.RangeByteRequest):
        return asked.start, asked.end
    if isinstance(asked, zarr.OffsetByteRequest):
        return asked.offset, None
    if isinstance(asked, zarr.SuffixByteRequest):
        return (-asked.suffix, None) if asked.suffix else (0, 0)
    raise TypeError(f"Unexpected byte_range, got {asked!r}")


def _request(byte_range: ByteRange | None) -> Any:
    if byte_range is None:
        return None
    start, stop = byte_range
    if start < 0:
        return zarr.SuffixByteRequest(-start)
    return zarr.OffsetByteRequest(start) if stop is None else zarr.RangeByteRequest(start, stop)


def _same(store: Any, other: Any) -> bool:
    """Whether two stores reach the same objects, as far as they tell."""
    if isinstance(store, BlockingWritable) and isinstance(other, BlockingWritable):
        return store.place("zarr.json") == other.place("zarr.json")
    return store == other
