"""Stores: one per file, behind the small protocols of `base`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from azarr.errors import redact
from azarr.stores.base import BlockingStore, ByteRange, Listing, Store, Value, WritableStore
from azarr.stores.counting import CountingStore
from azarr.stores.http import HTTPStore
from azarr.stores.local import LocalStore
from azarr.stores.memory import MemoryStore

__all__ = [
    "BlockingStore",
    "ByteRange",
    "CountingStore",
    "HTTPStore",
    "Listing",
    "LocalStore",
    "MemoryStore",
    "Store",
    "Value",
    "WritableStore",
    "store_from",
]


def store_from(source: Any) -> Store:
    """The store that `source` means: a URL, a path of a folder, a mapping of keys to bytes, or a store.

    EXTENSION_POINT: other schemes of URLs, other kinds of objects.
    """
    if isinstance(source, Mapping):
        return MemoryStore(cast("Mapping[str, bytes]", source))
    if isinstance(source, os.PathLike):
        return LocalStore(cast("os.PathLike[str]", source))
    if isinstance(source, str):
        scheme, separator, _ = source.partition("://")
        if not separator:
            return LocalStore(source)
        if scheme in ("http", "https"):
            return HTTPStore(source)
        if scheme == "file":
            return LocalStore(unquote(urlsplit(source).path))
        raise ValueError(f"{redact(source)!r}: no store for the scheme {scheme!r}; pass a store object")
    if callable(getattr(source, "get", None)):
        return source
    raise TypeError(f"a store is a URL, a path, a mapping, or an object with an async get, not {type(source).__name__}")
