"""What may stand for a store: objects of other libraries, by what they look like, as none of these is imported; and stores as they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from azarr.array import Array, Selection
from azarr.context import Context
from azarr.errors import redact
from azarr.group import Group
from azarr.ref import PendingSelection, Ref
from azarr.stores import SCHEMES, SUFFIXES, store_from
from azarr.stores.base import Store

CHAINS = {"reference": "ReferenceStore({!r})", "zip": "ZipStore({!r})"}
"""Of what fsspec chains by "::", azarr's way."""
WITHOUT = ("file", "reference", "zip")
"""Schemes of URLs whose stores take no options."""

HANDLES: dict[Any, str] = {
    Array: "pass array.store, and array.path",
    Group: "pass group.store, and f'{group.path}/name' for what is in the group (group.path for itself)",
    Ref: "await it, or go on from it by ref['name']; of what is opened there are .store and .path",
    Selection: "selection.array is what it is of, which has .store and .path",
    PendingSelection: "await what it is of, which has .store and .path",
}
"""What to pass instead of a handle where a store is asked for."""


def store_of(source: Any, context: Context | None) -> Store:
    """The store that `source` means: a URL or mapper of fsspec, a session of Icechunk, an object of zarr-python or obspec, or a store."""
    if isinstance(source, str):
        first, _, rest = source.partition("::")
        if rest and (way := CHAINS.get(first)):
            raise ValueError(f"{redact(source)!r}: azarr does not chain; its way is azarr.stores.{way.format(redact(rest))}")
        if "://" not in source and first not in import_module("azarr.stores.fsspec").CACHES:
            return store_from(Path(source), context)
        scheme = source.partition("://")[0]
        if scheme not in SCHEMES and scheme.lower() in SCHEMES:
            return store_from(scheme.lower() + source[len(scheme) :], context)
        if find_spec("fsspec") is None:
            more = 'pip install "azarr[fsspec]" for those that fsspec knows'
            raise ValueError(f"{redact(source)!r}: no store for the scheme {scheme!r}; pass a store object, or {more}")
        return _fsspec(source, context=context)
    if (way := HANDLES.get(type(source))) is not None:
        raise TypeError(f"a store is needed, not this {type(source).__name__}: {way}")
    icechunk = sys.modules.get("icechunk")
    if icechunk is not None and isinstance(source, (icechunk.IcechunkStore, icechunk.Session, icechunk.Repository)):
        return import_module("azarr.integrations.icechunk").IcechunkStore(source)
    if (zarr := sys.modules.get("zarr.abc.store")) is not None:
        if isinstance(source, zarr.Store):
            return import_module("azarr.integrations.zarr_stores").store_of(source)
        if isinstance(getattr(getattr(source, "store_path", None), "store", None), zarr.Store):
            raise TypeError(f"a store is needed, not this {type(source).__name__} of zarr-python: pass its .store, and its .path")
    if hasattr(source, "fs") and hasattr(source, "root"):
        return _fsspec(source.fs, source.root, context=context)
    if hasattr(source, "_strip_protocol"):
        raise TypeError("a filesystem of fsspec names no place in it; open azarr.stores.FsspecStore(fs, path)")
    if callable(getattr(source, "get_async", None)):
        return import_module("azarr.stores.objects").ObjectStore(source, context=context)
    if callable(getattr(source, "get", None)):
        return source
    raise TypeError(f"a store is a URL, a path, a mapping, or an object with an async get, not {type(source).__name__}")


def store_with(source: Any, options: Mapping[str, Any], context: Context | None) -> Store:
    """The store of a URL, with its `storage_options`: for HTTP, arguments of `HTTPStore`; for buckets, those of `ObjectStore`, or with
    `anon=True` of `BucketStore`; for other URLs, what their filesystem of fsspec takes. Errors: `TypeError`, `ValueError`.
    """
    scheme = source.partition("://")[0] if isinstance(source, str) and "://" in source else ""
    if not scheme or scheme in WITHOUT:
        what = redact(repr(source)) if isinstance(source, str) else type(source).__name__
        raise TypeError(f"storage_options are for URLs of other machines, not for {what}")
    if (name := SCHEMES.get(scheme)) is None:
        return _fsspec(source, context=context, storage_options=dict(options))
    if (kind := SUFFIXES.get(os.path.splitext(source.partition("?")[0])[1].lower())) is not None:
        raise TypeError(f"storage_options are for the store that has {redact(source)!r}: {kind} takes such a store, and a key")
    given = dict(options)
    if name == "BucketStore" and not given.pop("anon", False):
        name = "ObjectStore"
    try:
        return getattr(import_module("azarr.stores"), name)(source, context=context, **given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}; FsspecStore(url, storage_options=...) takes those of fsspec") from error


def _fsspec(*source: Any, **options: Any) -> Store:
    return import_module("azarr.stores.fsspec").FsspecStore(*source, **options)
