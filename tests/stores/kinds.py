"""The stores that the contract is run over: each made with some objects in it, for as long as a context lasts. Others join here."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import azarr
from azarr.errors import UnversionedWarning
from azarr.stores import (
    BucketStore,
    ConditionalStore,
    FsspecStore,
    Holding,
    HTTPStore,
    Listing,
    LocalStore,
    MemoryStore,
    ObjectStore,
    OPFSStore,
    PinningStore,
    ReferenceStore,
    WritableStore,
    ZipStore,
)
from azarr.stores.base import BlockingWritable
from azarr.stores.staging import STAGED
from azarr.testing import CountingStore
from buckets import CREDENTIALS, bucket_of
from oracles import BROWSER
from servers import serving, status

Objects = dict[str, bytes]
Kind = Callable[[Objects, Path], AbstractAsyncContextManager[Any]]
WATCHED: list[Callable[[], object]] = []


@asynccontextmanager
async def memory(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    yield MemoryStore(dict(objects))


@asynccontextmanager
async def local(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    (root := folder / "root").mkdir(parents=True)
    for key, data in objects.items():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(data)
    (folder / "secret").write_bytes(b"outside")
    yield LocalStore(root)


@asynccontextmanager
async def http(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    async with serving(dict(objects)) as server:
        with watched(lambda: len(server.requests)):
            yield HTTPStore(server.url)


@asynccontextmanager
async def local_failing(folder: Path) -> AsyncGenerator[Any]:
    (folder / "root" / "ten").mkdir(parents=True)
    yield LocalStore(folder / "root")


@asynccontextmanager
async def http_failing(folder: Path) -> AsyncGenerator[Any]:
    async with serving({}) as server:
        server.misbehave["ten"] = status(500)
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


def zipped(objects: Objects, *, deflated: bool = True) -> bytes:
    """A zip file of `objects`, made by Python: every second one is deflated, if any are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, (key, data) in enumerate(objects.items()):
            archive.writestr(zipfile.ZipInfo(key), data, zipfile.ZIP_DEFLATED if deflated and number % 2 else zipfile.ZIP_STORED)
    return file.getvalue()


@asynccontextmanager
async def zip_in_memory(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    yield ZipStore(zipped(objects))


@asynccontextmanager
async def zip_on_disk(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    (folder / "a.zip").write_bytes(zipped(objects))
    yield ZipStore(folder / "a.zip")


@asynccontextmanager
async def zip_over_http(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    async with serving({"a.zip": zipped(objects)}) as server:
        with watched(lambda: len(server.requests)):
            yield ZipStore(f"{server.url}/a.zip")


@asynccontextmanager
async def zip_being_made(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    async with ZipStore.create(folder / "made.zip") as store:
        for key, data in objects.items():
            await store.set(key, data)
        yield store


@asynccontextmanager
async def cloud(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    name, endpoint = await bucket_of({f"below/here/{key}": data for key, data in objects.items()}, public=False)
    store = ObjectStore(f"s3://{name}/below", "here", endpoint=endpoint, **CREDENTIALS)
    with watched(lambda: not_below(ObjectStore(f"s3://{name}", endpoint=endpoint, **CREDENTIALS)._inner, "below/here/")):
        yield store


@asynccontextmanager
async def obstore_memory(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    inner = import_module("obstore.store").MemoryStore()
    store = ObjectStore(inner, "below")
    for key, data in objects.items():
        await store.set(key, data)
    with watched(lambda: not_below(inner, "below/")):
        yield store


@asynccontextmanager
async def obstore_local(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    (folder / "root").mkdir()
    (folder / "secret").write_bytes(b"outside")
    store = ObjectStore(import_module("obstore.store").LocalStore(folder / "root"))
    for key, data in objects.items():
        await store.set(key, data)
    yield store


@asynccontextmanager
async def fsspec_memory(objects: Objects, folder: Path) -> AsyncGenerator[Any]:
    with unversioned():
        store = FsspecStore(f"memory://{folder.name}/below")
        for key, data in objects.items():
            await store.set(key, data)
        everything = import_module("fsspec").filesystem("memory").store
        with watched(lambda: sorted(path for path in everything if not path.startswith(f"/{folder.name}/below/"))):
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
        with unversioned(), watched(lambda: len(server.requests)):
            yield FsspecStore(server.url, context=context)


@contextmanager
def watched(look: Callable[[], object]) -> Generator[None]:
    """What a store must not change is looked at by `look`, as long as this lasts."""
    WATCHED.append(look)
    yield
    WATCHED.remove(look)


def not_below(store: Any, prefix: str) -> list[str]:
    """All objects of a store of obstore, with their tags, but those below `prefix`."""
    return sorted(f"{meta['path']} {meta['e_tag']}" for page in store.list() for meta in page if not meta["path"].startswith(prefix))


def around(folder: Path) -> object:
    """What stands in `folder` beside `root`, when it was changed and read; and what else is watched."""
    states = [(path, path.lstat()) for path in sorted(folder.rglob("*")) if "root" not in path.parts and not path.name.startswith(STAGED)]
    tree = [(str(path), state.st_ino, state.st_size, state.st_mtime_ns, path.is_file() and state.st_atime_ns) for path, state in states]
    return tree, [look() for look in WATCHED]


@contextmanager
def unversioned() -> Generator[None]:
    """For stores that warn that they tell no versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnversionedWarning)
        yield


def files_of_browser() -> tuple[Kind, ...]:
    """The store of browsers, where this is one: Node runs the same Python, and has no such files."""
    return (opfs,) if BROWSER and hasattr(getattr(import_module("js"), "navigator", None), "storage") else ()


LISTED = (WritableStore, Listing)
SHARED = (WritableStore, ConditionalStore, Holding, Listing)
CLOUD = (PinningStore, WritableStore, ConditionalStore, Listing)
KINDS: dict[Kind, tuple[type, ...]] = {
    memory: (*SHARED, BlockingWritable),
    local: (*SHARED, BlockingWritable),
    http: (PinningStore,),
    counting: (),
    references: (Listing,),
    zip_being_made: LISTED,
    zip_in_memory: (Listing,),
    zip_on_disk: (Listing,),
    zip_over_http: (Listing,),
    **dict.fromkeys(files_of_browser(), SHARED),
    bucket: (PinningStore, Listing),
    cloud: CLOUD,
    obstore_memory: CLOUD,
    obstore_local: (PinningStore, *LISTED),
    fsspec_memory: LISTED,
    fsspec_local: LISTED,
    fsspec_http: (),
}
"""All of them, and the protocols that they have."""
CANNOT: dict[Kind, tuple[type, ...]] = {fsspec_http: LISTED, obstore_local: (ConditionalStore,)}
FAILING: dict[Kind, Callable[[Path], AbstractAsyncContextManager[Any]]] = {local: local_failing, http: http_failing}
