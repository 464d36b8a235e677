"""Which contexts keep decoded chunks (`tools.chunk_cache`), and what was replaced of them."""

from __future__ import annotations

import weakref
from importlib import import_module
from typing import Any

from azarr._engine.turns import place_of
from azarr.context import Context, bytes_of

_caches: weakref.WeakKeyDictionary[Context, Any] = weakref.WeakKeyDictionary()
"""Of the contexts that have one."""


def cache_of(context: Context) -> Any:
    """The cache of all who use `context`, in all threads; None if it has none."""
    if not context.cache or not (most := bytes_of(context.cache)):
        return None
    return _caches.get(context) or _caches.setdefault(context, import_module("azarr.tools.chunk_cache").ChunkCache(most))


def forget(store: object, key: str) -> None:
    """An object was replaced."""
    if _caches:
        place = place_of(store, key)
        for cache in list(_caches.values()):
            cache.forget(place)
