"""The stores that the contract is run over: each made with some objects in it, for as long as a context lasts. Others join here."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import azarr
from azarr.errors import UnversionedWarning
from azarr.stores import BucketStore, FsspecStore, HTTPStore, LocalStore, MemoryStore, OPFSStore
from azarr.testing import CountingStore
from buckets import bucket_of
from oracles import BROWSER
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


@asynccontextmanager
async def opfs(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    store = OPFSStore(f"tests/{folder.name}")
    for key, data in objects.items():
        await store.set(key, data)
    yield store
    for key in [key async for key in store.list("")]:
        await store.delete(key)


@asynccontextmanager
async def fsspec_memory(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    with unversioned():
        store = FsspecStore(f"memory://{folder.name}/below")
        for key, data in objects.items():
            await store.set(key, data)
        yield store
        for key in [key async for key in store.list("")]:
            await store.delete(key)


@asynccontextmanager
async def fsspec_local(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    async with local(objects, folder) as store:
        with unversioned():
            yield FsspecStore(f"file://{store.root}")


@asynccontextmanager
async def fsspec_http(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    async with serving(dict(objects)) as server, azarr.Context() as context:
        with unversioned():
            yield FsspecStore(server.url, context=context)


@contextmanager
def unversioned() -> Generator[None]:
    """For stores that warn that they tell no versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnversionedWarning)
        yield


def files_of_browser() -> tuple[Kind, ...]:
    """The store of browsers, where this is one: Node runs the same Python, and has no such files."""
    return (opfs,) if BROWSER and hasattr(getattr(import_module("js"), "navigator", None), "storage") else ()


SERVED: tuple[Kind, ...] = (http,) if BROWSER else (http, bucket)
OF_FSSPEC: tuple[Kind, ...] = () if BROWSER else (fsspec_memory, fsspec_local)
WRITABLE: tuple[Kind, ...] = (memory, local, *files_of_browser(), *OF_FSSPEC)
ATOMIC: tuple[Kind, ...] = tuple(kind for kind in WRITABLE if kind is not fsspec_local)
"""Those whose objects are replaced in one go."""
READABLE: tuple[Kind, ...] = (*WRITABLE, *SERVED, *(() if BROWSER else (fsspec_http,)), counting)
LISTING: tuple[Kind, ...] = (*WRITABLE, *SERVED[1:])
