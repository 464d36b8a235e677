"""Fetching metadata documents: several at once, in one round trip, or in one thread where the store blocks."""

from __future__ import annotations

from collections.abc import Sequence

from azarr._engine.decoding import named, together
from azarr._engine.waiting import budget_of
from azarr._platform import offload
from azarr.context import Context
from azarr.errors import StoreError
from azarr.scratch import Scratch, view
from azarr.stores.base import BlockingStore, Store, is_blocking


async def fetch_documents(store: Store, keys: Sequence[str], context: Context) -> list[bytes | None]:
    """What `store` has under each of `keys`, None where it has nothing."""
    if is_blocking(store):
        return await offload(lambda: _read_all(store, keys))
    budget, found = budget_of(context), dict[int, bytes | None]()
    work = iter(enumerate(keys))

    async def loop() -> None:
        for position, key in work:
            async with budget.request(0):
                try:
                    value = await store.get(key)
                except OSError as error:
                    raise named(error, store, key) from (error.__cause__ if isinstance(error, StoreError) else error)
                found[position] = None if value is None else view(value.data).tobytes()

    async with together() as group:
        for _ in range(min(len(keys), context.requests)):
            group.create_task(loop())
    return [found[position] for position in range(len(keys))]


def _read_all(store: BlockingStore, keys: Sequence[str]) -> list[bytes | None]:
    reader, scratch = store.reader(), Scratch()
    found: list[bytes | None] = []
    for key in keys:
        data = reader.whole(key, scratch)
        found.append(None if data is None else view(data).tobytes())
    return found
