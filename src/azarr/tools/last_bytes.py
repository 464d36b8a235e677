"""The last bytes of objects, from servers that do not know how to count from the end, and in pages that cannot ask them to: by their place,
once the size is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azarr.errors import ObjectChanged, RangeNotHonoured
from azarr.stores.base import UNCHANGED, Value
from azarr.stores.http import TRANSIENT, is_plain, pinned, version_of


async def by_size(store: Any, url: str, count: int, conditions: Mapping[str, str]) -> Value | None:
    """The last `count` bytes for `HTTPStore`, by the size that HEAD tells, or else by that of a part. Errors: as those of `get_if`."""
    if store.sizes:
        answer = await store.send(url, conditions, method="HEAD")
        if answer.status in TRANSIENT:  # which says nothing of what the server can do
            return store.whole_of(answer, conditions)
        if answer.status == 200 and answer.headers.get("content-length", "").isdigit():
            return await _tail(store, url, count, conditions, answer)
        store.sizes = answer.status in store.missing
        if store.sizes:
            return None
    first = await store.part(url, (0, 1), conditions)
    if first is None or first is UNCHANGED or first.size == 0:
        return first
    if first.size is None:
        raise RangeNotHonoured("the server serves no last bytes of objects, and does not tell their sizes")
    value = await store.part(url, (max(first.size - count, 0), first.size), pinned(first.version) or conditions)
    if value is None or value.version != first.version:
        raise ObjectChanged("the object was replaced while it was being read; read again")
    store.suffixes = False
    return value


async def _tail(store: Any, url: str, count: int, conditions: Mapping[str, str], answer: Any) -> Value | None:
    """What lies behind the place that `answer` tells. Asked for with an open end, it shows a size that is not true."""
    size, encoded = int(answer.headers["content-length"]), not is_plain(answer.headers.get("content-encoding", ""))
    if not size:
        return Value(b"", version_of(answer.headers, 0), 0)
    start = max(size - count, 0)
    value = None if encoded else await store.part(url, (start, None), conditions, size - start)
    if encoded or (value is not None and len(value.data) != size - start):
        store.ranges = False  # whole objects are what the browser decodes
        raise RangeNotHonoured("the server tells another size of the object than that of what it serves: it may encode it on the way")
    return value
