"""The stores that the contract is run over: each made with some objects in it, for as long as a context lasts. Others join here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from azarr.stores import BucketStore, HTTPStore, LocalStore, MemoryStore
from azarr.testing import CountingStore
from buckets import bucket_of
from servers import serving

Objects = dict[str, bytes]
Kind = Callable[[Objects, Path], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def memory(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    yield MemoryStore(dict(objects))


@asynccontextmanager
async def local(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    root = folder / "root"
    for key, data in objects.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(data)
    (folder / "secret").write_bytes(b"outside")
    yield LocalStore(root)


@asynccontextmanager
async def http(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    async with serving(dict(objects)) as server:
        yield HTTPStore(server.url)


@asynccontextmanager
async def counting(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    yield CountingStore(MemoryStore(dict(objects)))


@asynccontextmanager
async def bucket(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    name, endpoint = await bucket_of({f"below/here/{key}": data for key, data in objects.items()})
    yield BucketStore(f"s3://{name}/below/here", endpoint=endpoint)


READABLE: tuple[Kind, ...] = (memory, local, http, bucket, counting)
WRITABLE: tuple[Kind, ...] = (memory, local)
LISTING: tuple[Kind, ...] = (*WRITABLE, bucket)
