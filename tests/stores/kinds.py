"""The stores that the contract is run over: each made with some objects in it, for as long as a context lasts. Others join here."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from azarr.stores import BucketStore, HTTPStore, LocalStore, MemoryStore, OPFSStore, ReferenceStore
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
async def references(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    """One object after the other in one target, with nothing between them; some of them in the references."""
    refs: dict[str, Any] = {}
    target = b""
    for number, (key, data) in enumerate(objects.items()):
        inline = "base64:" + b64encode(data).decode()
        refs[key] = inline if number % 3 == 1 else ["target.bin", len(target), len(data)]
        target += data
    store = MemoryStore({"refs.json": json.dumps({"version": 1, "refs": refs}).encode(), "target.bin": target})
    yield ReferenceStore((store, "refs.json"))


@asynccontextmanager
async def opfs(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    store = OPFSStore(f"tests/{folder.name}")
    for key, data in objects.items():
        await store.set(key, data)
    yield store
    for key in [key async for key in store.list("")]:
        await store.delete(key)


def files_of_browser() -> tuple[Kind, ...]:
    """The store of browsers, where this is one: Node runs the same Python, and has no such files."""
    return (opfs,) if BROWSER and hasattr(getattr(import_module("js"), "navigator", None), "storage") else ()


SERVED: tuple[Kind, ...] = (http,) if BROWSER else (http, bucket)
WRITABLE: tuple[Kind, ...] = (memory, local, *files_of_browser())
READABLE: tuple[Kind, ...] = (*WRITABLE, *SERVED, counting, references)
LISTING: tuple[Kind, ...] = (*WRITABLE, *SERVED[1:], references)
