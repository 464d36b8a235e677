"""What may stand for a store: objects of other libraries, by what they look like, as none of these is imported; and stores as they are."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from azarr.context import Context
from azarr.errors import redact
from azarr.stores.base import Store


def store_of(source: Any, context: Context | None) -> Store:
    """The store that `source` means: a URL or mapper of fsspec, a session of Icechunk, an object of zarr-python or obspec, or a store."""
    if isinstance(source, str):
        if find_spec("fsspec") is None:
            more = 'pip install "azarr[fsspec]" for those that fsspec knows'
            scheme = source.partition("://")[0]
            raise ValueError(f"{redact(source)!r}: no store for the scheme {scheme!r}; pass a store object, or {more}")
        return _fsspec(source, context=context)
    icechunk = sys.modules.get("icechunk")
    if icechunk is not None and isinstance(source, (icechunk.IcechunkStore, icechunk.Session, icechunk.Repository)):
        return import_module("azarr.integrations.icechunk").IcechunkStore(source)
    if (zarr := sys.modules.get("zarr.abc.store")) is not None and isinstance(source, zarr.Store):
        return import_module("azarr.integrations.zarr_stores").store_of(source)
    if hasattr(source, "fs") and hasattr(source, "root"):
        return _fsspec(source.fs, source.root, context=context)
    if hasattr(source, "_strip_protocol"):
        raise TypeError("a filesystem of fsspec names no place in it; open azarr.stores.FsspecStore(fs, path)")
    if callable(getattr(source, "get_async", None)):
        return import_module("azarr.stores.objects").ObjectStore(source, context=context)
    if callable(getattr(source, "get", None)):
        return source
    raise TypeError(f"a store is a URL, a path, a mapping, or an object with an async get, not {type(source).__name__}")


def _fsspec(*source: Any, context: Context | None) -> Store:
    return import_module("azarr.stores.fsspec").FsspecStore(*source, context=context)
