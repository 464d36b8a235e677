"""Stores: one per file, behind the small protocols of `base`. Those that need more than memory are imported when they are first used."""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from azarr.context import Context
from azarr.stores.base import (
    BlockingStore,
    ByteRange,
    Cleaning,
    ConditionalStore,
    Holding,
    Listing,
    PinningStore,
    Store,
    Value,
    WritableStore,
)
from azarr.stores.memory import MemoryStore

if TYPE_CHECKING:
    from azarr.stores.buckets import BucketStore
    from azarr.stores.fsspec import FsspecStore
    from azarr.stores.http import HTTPStore
    from azarr.stores.local import LocalStore
    from azarr.stores.objects import ObjectStore
    from azarr.stores.opfs import OPFSStore
    from azarr.stores.references import ReferenceStore
    from azarr.stores.zip import ZipStore

# fmt: off
__all__ = [
    "BlockingStore", "BucketStore", "ByteRange", "Cleaning", "ConditionalStore", "FsspecStore", "HTTPStore", "Holding", "Listing",
    "LocalStore", "MemoryStore", "OPFSStore", "ObjectStore", "PinningStore", "ReferenceStore", "Store", "Value", "WritableStore",
    "ZipStore", "store_from",
]

LAZY = {"BucketStore": "buckets", "FsspecStore": "fsspec", "HTTPStore": "http", "LocalStore": "local", "OPFSStore": "opfs",
        "ObjectStore": "objects", "ReferenceStore": "references", "ZipStore": "zip"}
SCHEMES = {"http": "HTTPStore", "https": "HTTPStore", "s3": "BucketStore", "gs": "BucketStore", "file": "LocalStore", "zip": "ZipStore",
           "reference": "ReferenceStore", **dict.fromkeys(("az", "azure", "abfs", "abfss"), "ObjectStore")}
"""EXTENSION_POINT: other schemes of URLs. Those that are not here are for fsspec, where it is installed."""
SUFFIXES = {".zip": "ZipStore", **dict.fromkeys((".json", ".parq", ".parquet"), "ReferenceStore")}
# fmt: on


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"azarr.stores.{LAZY[name]}"), name)


def store_from(source: Any, context: Context | None = None, options: Mapping[str, Any] | None = None) -> Store:
    """The store that `source` means: a URL (with `options`), a path (of a folder, zip file, references), a mapping of bytes, an object."""
    if not isinstance(context, Context | None):  # pyright: ignore[reportUnnecessaryIsInstance]  # people give what they have
        raise TypeError(f"context is an azarr.Context(...), not {context!r}")
    if options:
        return import_module("azarr.integrations.sources").store_with(source, options, context)
    if not hasattr(source, "fs") and isinstance(source, Mapping):
        return MemoryStore(cast("Mapping[str, bytes]", source))
    if isinstance(source, (str, os.PathLike)):
        place = os.path.expanduser(cast("str | os.PathLike[str]", source))
        scheme, separator, _ = place.partition("://")
        name = SCHEMES.get(scheme) if (separator or "::" in place) and isinstance(source, str) else "LocalStore"
        if name is not None:
            kind = SUFFIXES.get(os.path.splitext(place.partition("?")[0])[1].lower(), name)
            name = name if kind == "ZipStore" and name == "LocalStore" and __getattr__(name)(place).root.is_dir() else kind
            return __getattr__(name)(place, **({} if name == "LocalStore" else {"context": context}))
    return import_module("azarr.integrations.sources").store_of(source, context)
