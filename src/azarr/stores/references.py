"""Reference documents of Kerchunk, and the files they refer to, such as NetCDF, as one store that is read and listed, not written to.

A key that is not in the references is missing. A target that is not there, that was not allowed, or that is too short, is an error.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, cast
from urllib.parse import unquote, urlsplit, urlunsplit
from weakref import WeakKeyDictionary

from azarr._engine.documents import translated
from azarr._engine.requests import Requests, shared
from azarr._platform import offload
from azarr.context import DEFAULT_CONTEXT, Context
from azarr.document import parse
from azarr.errors import CorruptData, InvalidKey, ObjectChanged, StoreError, redact
from azarr.scratch import view
from azarr.stores import store_from
from azarr.stores.base import UNKNOWN, ByteRange, Kept, Store, Value, check_key, is_blocking
from azarr.stores.local import LocalStore, path_of
from azarr.stores.memory import sliced
from azarr.stores.reference_documents import Entry, Index, Part
from azarr.stores.reference_runs import Runs
from azarr.stores.reference_tables import Tables, read_tables
from azarr.stores.reference_targets import PORTS, Place, TargetRefused, Targets, parse_place, parse_prefix

__all__ = ["ReferenceStore", "TargetRefused"]

PARQUET = (".parq", ".parquet", "/")
"""How the name of a folder of tables ends."""
Prefix = str | os.PathLike[str]


class ReferenceStore:
    """What the references in `source` refer to. That is a URL or path of a JSON document, or of a folder of Parquet that ends in `.parq`,
    `.parquet` or a slash; the document itself, as a mapping; or a store and a key in it.

    Targets are read only where that is allowed: below `targets`, one or several URLs or paths, and below the prefixes in `stores`, which
    maps each to the store that has what lies below it (so that it may have credentials). Without `targets`, the first is the origin of a
    `source` that is a URL, the folder of one that is a path, the store of one that is in a store, and nothing for a mapping. Credentials
    of `source` are not sent to targets. Parts of a target that lie side by side and are asked for at the same time are one request.

    Errors: `TargetRefused`; `MetadataError` for what is no reference; `ObjectChanged` for a target that is replaced while this store lives.
    """

    def __init__(
        self, source: Any, *, targets: Prefix | Sequence[Prefix] | None = None, stores: Mapping[Prefix, Any] | None = None,
        context: Context | None = None,
    ) -> None:  # fmt: skip
        self.context = context or DEFAULT_CONTEXT
        self._store, self._key, base, own = _document_of(source, context)
        self._shown = f"{len(source)} entries" if self._store is None else redact(repr(source))
        if targets is not None:
            allowed = [parse_prefix(each) for each in ([targets] if isinstance(targets, (str, os.PathLike)) else targets)]
        elif base is None or not base.scheme:
            allowed = []
        else:
            allowed = [base if base.scheme == "file" else base._replace(parts=())]
        given = {parse_prefix(prefix): store_from(store, context) for prefix, store in (stores or {}).items()}
        self._targets = Targets(base, allowed, given, context, own)
        self._index: Index | Tables | None = None if self._store is not None else Index(source, "references")
        self._loading: dict[Any, list[asyncio.Future[Any]]] = {}
        self._runs: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[int, str], Runs]] = WeakKeyDictionary()
        self._versions: dict[tuple[int, str], str] = {}

    def __repr__(self) -> str:
        return f"ReferenceStore({self._shown})"

    def held(self, key: str, byte_range: ByteRange | None = None, version: str | None = None) -> Value | None:
        """What the references themselves have, or that they have nothing; `UNKNOWN` if something has to be asked."""
        check_key(key)
        entry = self._index.find(key) if isinstance(self._index, Index) else UNKNOWN
        return UNKNOWN if isinstance(entry, (Part, Value)) else None if entry is None else _inline(entry, byte_range)

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        check_key(key)
        entry = await self._find(key)
        if entry is None:
            return None
        return await self._read(entry, byte_range) if isinstance(entry, Part) else _inline(entry, byte_range)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        for key in await self._keys(prefix):
            if _is_key(key):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        keys, start, at = await self._keys(prefix), len(prefix) + 1 if prefix else 0, 0
        while at < len(keys):
            head, slash, _ = keys[at][start:].partition("/")
            if not _is_key(key := keys[at]):
                at += 1
                continue
            yield head + slash
            # "0" is what follows the slash, so nothing below this name comes after it.
            at = bisect_left(keys, f"{key[:start]}{head}0", at + 1) if slash else at + 1

    async def _keys(self, prefix: str) -> Sequence[str]:
        start = f"{check_key(prefix)}/" if prefix else ""
        if self._index is None:
            await Requests(self, self.context).repeated(prefix, self._loaded)
        return await (await self._loaded()).keys(start)

    async def _find(self, key: str) -> Entry | None:
        index = await self._loaded()
        return index.find(key) if isinstance(index, Index) else await index.find(key)

    async def _loaded(self) -> Index | Tables:
        if self._index is None:
            self._index = await shared(self._loading, asyncio.get_running_loop(), self._load)
        return self._index

    async def _load(self) -> Index | Tables:
        store, key, limits = self._store, self._key, self.context.limits
        assert store is not None
        if key.endswith(PARQUET):
            index = await read_tables(store, key.rstrip("/") + "/", limits)
        else:
            value = await translated(store.get(key), store, key)
            index = None if value is None else await offload(partial(_parsed, value, key, self.context))
        if index is None:
            raise StoreError("there are no references here", store=repr(store), key=key)
        return index

    async def _read(self, entry: Part, byte_range: ByteRange | None) -> Value:
        store, key = self._targets.find(entry.target)
        if entry.stop is None:  # of a range, all stores tell the version
            return await self._ask(store, key, (0, None) if byte_range is None and is_blocking(store) else byte_range)
        size = entry.stop - entry.start
        start, stop = (0, None) if byte_range is None else byte_range
        start = max(size + start, 0) if start < 0 else min(start, size)
        stop = size if stop is None else min(stop, size)
        if start >= stop:
            return Value(b"", None, size)
        of_loop = self._runs.setdefault(asyncio.get_running_loop(), {})
        if (runs := of_loop.get((id(store), key))) is None:
            runs = of_loop[id(store), key] = Runs(partial(self._part, store, key))
        value = await runs.get(entry.start + start, entry.start + stop)
        return value._replace(size=size)

    async def _part(self, store: Any, key: str, start: int, stop: int) -> Value:
        value = await self._ask(store, key, (start, stop))
        if len(value.data) != stop - start:
            raise CorruptData(f"the references name bytes {start:,} to {stop:,}, which are not all there", store=repr(store), key=key)
        return value

    async def _ask(self, store: Any, key: str, byte_range: ByteRange | None) -> Value:
        value: Value | None = await translated(store.get(key) if byte_range is None else store.get(key, byte_range), store, key)
        if value is None:
            raise StoreError("the references name this object, which is not there", store=repr(store), key=key)
        if value.version is not None and self._versions.setdefault((id(store), key), value.version) != value.version:
            raise ObjectChanged("the object was replaced, so the references may be of another; open them again", store=repr(store), key=key)
        return value


def _parsed(value: Value, key: str, context: Context) -> Index:
    context.limits.check("metadata", len(value.data), f"the references {key!r}")
    return Index(parse(view(value.data).tobytes(), key, lenient=True, limits=context.limits), key)


def _inline(data: bytes, byte_range: ByteRange | None) -> Value:
    return Kept(data if byte_range is None else sliced(data, byte_range), None, len(data))


def _is_key(key: str) -> bool:
    with suppress(InvalidKey):
        return bool(check_key(key))
    return False


def _document_of(source: Any, context: Context | None) -> tuple[Store | None, str, Place | None, Any]:
    """The store and key of the document, where relative targets begin, and the store that has those."""
    if isinstance(source, Mapping):
        return None, "", None, None
    if isinstance(source, tuple):
        store, key = cast("tuple[Any, str]", source)
        parts = tuple(check_key(key.rstrip("/")).split("/"))
        return (own := store_from(store, context)), key, Place("", "", parts[:-1]), own
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"references are a URL, a path, a mapping, or a store and a key, not {type(source).__name__}")
    text = os.fspath(cast("Prefix", source))
    scheme, separator, _ = text.partition("://")
    if (document := text.partition("?")[0].rpartition("/"))[2] == "zarr.json":
        raise ValueError(f"{redact(text)!r} is the metadata document itself: open {redact(document[0] or '.')!r}")
    if scheme.partition("::")[0] == "reference":
        raise ValueError("'reference:' is fsspec's; here it is azarr.open('https://host/refs.json'), or ReferenceStore(document)")
    end = "/" if text.partition("?")[0].endswith("/") else ""
    if not separator or scheme == "file":
        path = os.path.abspath(path_of(text))
        folder, name = os.path.split(path)
        return LocalStore(folder, follow_symlinks="anywhere"), name + end, parse_place(folder), None
    if scheme in PORTS:
        split = urlsplit(text)
        folder, _, name = split.path.rstrip("/").rpartition("/")
        place = parse_place(f"{scheme}://{split.netloc.rpartition('@')[2]}{folder}")
        return store_from(urlunsplit(split._replace(path=folder)), context), unquote(name) + end, place, None
    folder, _, name = text.rstrip("/").rpartition("/")
    return store_from(folder, context), name + end, parse_place(folder), None
