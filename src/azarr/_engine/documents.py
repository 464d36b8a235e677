"""Metadata documents: fetching several at once, in one round trip, or in one thread where the store blocks; and changing one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from azarr._engine.blocking import MOST_AT_ONCE, reader_at_once
from azarr._engine.decoding import named
from azarr._engine.requests import Requests
from azarr._engine.turns import place_of, turn
from azarr._platform import offload, together
from azarr.context import Context
from azarr.document import Document, dump, parse
from azarr.errors import NodeNotFound, StoreError, WriteConflict
from azarr.scratch import Scratch, view
from azarr.stores.base import ConditionalStore, Reader, Value, WouldWait, WritableStore, is_blocking

T = TypeVar("T")
NODES = ("zarr.json", ".zarray")
ATTEMPTS = 64
"""Times that an object is read and changed again because somebody else replaced it meanwhile."""


async def fetch_documents(store: Any, keys: Sequence[str], context: Context, *, fresh: bool = False) -> list[bytes | None]:
    """What `store` has under each of `keys`, None where it has nothing; `fresh`: and not what a cache holds of it."""
    if fresh and hasattr(store, "settle"):
        for key in keys:
            store.forget(key)
        await store.settle()
    if is_blocking(store):
        if len(keys) <= MOST_AT_ONCE and (reader := await reader_at_once(store)) is not None:
            with suppress(WouldWait):
                return _read_all(reader, keys)
        return await offload(lambda: _read_all(store.reader(), keys))
    requests, found = Requests(store, context), dict[int, bytes | None]()
    if len(keys) == 1:
        return [_bytes(await requests.get(keys[0]))]
    work = iter(enumerate(keys))

    async def loop() -> None:
        for position, key in work:
            found[position] = _bytes(await requests.get(key))

    async with together() as group:
        for _ in range(min(len(keys), context.requests)):
            group.create_task(loop())
    return [found[position] for position in range(len(keys))]


def _bytes(value: Value | None) -> bytes | None:
    return None if value is None else view(value.data).tobytes()


async def change_document(store: WritableStore, key: str, edit: Callable[[Document], Document], *, lenient: bool = False) -> Document:
    """Put what `edit` makes of the document under `key` in its place, and return it. One that makes no node may begin empty.

    `edit` is called again where others replaced it meanwhile. `lenient`: bare tokens that it has stay.
    Errors: `NodeNotFound`, `WriteConflict`, `MetadataError`, `StoreError`.
    """
    whole = (0, None) if hasattr(store, "reader") else None  # a range, so that the version is told
    async with turn(place_of(store, key), ()):
        for _ in range(ATTEMPTS):
            value = await translated(store.get(key, whole), store, key)
            if value is None and key.rpartition("/")[2] in NODES:
                raise gone(store, key)
            before = {} if value is None else parse(view(value.data).tobytes(), key, lenient=lenient)
            after = edit(before)
            if after == before and dump(after, lenient=True) == dump(before, lenient=True):  # for Python, 1 is 1.0 and True
                return before
            data = dump(after, key, lenient=lenient)
            version = None if value is None else value.version
            if isinstance(store, ConditionalStore) and (value is None or version is not None):
                if await translated(store.replace(key, data, version), store, key):
                    return after
            else:
                await translated(store.set(key, data), store, key)
                return after
    raise conflict(store, key)


def gone(store: object, key: str) -> NodeNotFound:
    """The error of a node that was deleted since it was opened."""
    return NodeNotFound(repr(store), key.rpartition("/")[0] or "/", f"{key.rpartition('/')[2]}, which was there before")


def conflict(store: object, key: str) -> WriteConflict:
    """The error of an object that was never the one that had been read."""
    return WriteConflict(f"it was replaced by others {ATTEMPTS} times while it was being changed", store=repr(store), key=key)


async def translated(answer: Awaitable[T], store: object, key: str) -> T:
    """What `store` answers about `key`; its errors as azarr's."""
    try:
        return await answer
    except OSError as error:
        raise named(error, store, key) from (error.__cause__ if isinstance(error, StoreError) else error)


def _read_all(reader: Reader, keys: Sequence[str]) -> list[bytes | None]:
    scratch = Scratch()
    found: list[bytes | None] = []
    for key in keys:
        data = reader.whole(key, scratch)
        found.append(None if data is None else view(data).tobytes())
    return found
