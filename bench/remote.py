"""The readers over HTTP: like `readers`, but what they open is a URL. Knows the libraries' calls; never a clock.

A store that a library does not keep by itself is made once in a process, so that its connections are warm when it counts.
"""

import asyncio
import os
from collections.abc import Callable
from functools import cache
from typing import Any

from bench import floor_http
from bench.data import group_truth
from bench.readers import FUSED, FUSED_ONE, Library, Members, azarr_members, gathered, getitem, in_turn, subscript, tensorstore_read, words

CONCURRENCY = 128
TUNED = {"async.concurrency": CONCURRENCY, "array.sharding_coalesce_max_gap_bytes": 0}
TUNED_FSSPEC = {"encoded": True, "TCPConnector.limit": CONCURRENCY}
TS_REQUESTS = {"http_request_concurrency": {"limit": CONCURRENCY}}
TS_TUNED = TS_REQUESTS | {"data_copy_concurrency": {"limit": 2}}
TS_ENVIRONMENT = {"TENSORSTORE_HTTP_THREADS": "2"}
TS_CACHED = {"recheck_cached_metadata": False, "recheck_cached_data": False}


async def _azarr_members(url: str, consolidated: bool) -> Members:
    import azarr

    if consolidated:
        return await azarr_members(url, True)
    group = azarr.open_group(url, zarr_format=3)  # a reference: it asks for nothing
    arrays = await asyncio.gather(*(group[name].open() for name in group_truth()))
    return {name: (array.shape, array.dtype) for name, array in zip(group_truth(), arrays, strict=True)}


# zarr-python --------------------------------------------------------------------------------------------------------


async def _session(**options: Any) -> Any:
    import aiohttp

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY), **options)


@cache
def _fsspec(url: str) -> Any:
    from zarr.storage import FsspecStore

    return FsspecStore.from_url(url, storage_options={"get_client": _session, "encoded": True}, read_only=True)


@cache
def _obstore(url: str) -> Any:
    from obstore.store import HTTPStore
    from zarr.storage import ObjectStore

    return ObjectStore(HTTPStore.from_url(url, client_options={"allow_http": True}), read_only=True)


# Clouds: the same server as a bucket of S3, by paths ------------------------------------------------------------------


def _bucket(url: str) -> tuple[str, dict[str, Any]]:
    """The URL of the bucket that a folder of the server is, and the options of obstore to reach it without credentials."""
    endpoint, bucket, data = url.rsplit("/", 2)
    return f"s3://{bucket}/{data}", {"endpoint": endpoint, "skip_signature": True, "region": "us-east-1"}


@cache
def _azarr_cloud(url: str) -> Any:
    from azarr.stores import ObjectStore

    place, options = _bucket(url)
    return ObjectStore(place, **options)


@cache
def _obstore_cloud(url: str) -> Any:
    from obstore.store import from_url
    from zarr.storage import ObjectStore

    place, options = _bucket(url)
    return ObjectStore(from_url(place, client_options={"allow_http": True}, **options), read_only=True)


@cache
def _azarr_fsspec(url: str) -> Any:
    from azarr.stores import FsspecStore

    return FsspecStore(url, storage_options={"get_client": _session, "encoded": True})


def _azarr(store: Callable[[str], Any]) -> Callable[[str], Any]:
    async def start(url: str) -> Any:
        import azarr

        return await azarr.open_array(store(url))

    return start


def _zarr(store: Callable[[str], Any], settings: dict[str, Any]) -> Callable[[str], Any]:
    async def start(url: str) -> Any:
        import zarr
        from zarr.api import asynchronous

        zarr.config.set(settings)
        return await asynchronous.open_array(store=store(url), mode="r", zarr_format=3)

    return start


def _zarr_members(store: Callable[[str], Any]) -> Callable[[str, bool], Any]:
    async def members(url: str, consolidated: bool) -> Members:
        import zarr
        from zarr.api import asynchronous

        zarr.config.set(TUNED)
        if consolidated:
            group = await asynchronous.open_group(store=store(url), mode="r", zarr_format=3, use_consolidated=True)
            return {name: (array.shape, array.dtype) async for name, array in group.arrays()}
        opening = (asynchronous.open_array(store=store(url), path=name, mode="r", zarr_format=3) for name in group_truth())
        return {name: (array.shape, array.dtype) for name, array in zip(group_truth(), await asyncio.gather(*opening), strict=True)}

    return members


# tensorstore --------------------------------------------------------------------------------------------------------


@cache
def _context(tuned: bool) -> Any:
    if tuned:
        os.environ |= TS_ENVIRONMENT  # it looks at them when it sends its first request
    import tensorstore

    return tensorstore.Context(TS_TUNED if tuned else TS_REQUESTS)


def _tensorstore_start(url: str, tuned: bool) -> Any:
    context = _context(tuned)
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "http", "base_url": f"{url}/"}} | TS_CACHED
    return tensorstore.open(spec, context=context, read=True, open=True)


def _tensorstore(tuned: bool) -> Callable[[str], Any]:
    return lambda url: _tensorstore_start(url, tuned).result()


def _tensorstore_members(tuned: bool) -> Callable[[str, bool], Members]:
    def members(url: str, consolidated: bool) -> Members:
        futures = {name: _tensorstore_start(f"{url}/{name}", tuned) for name in group_truth()}
        arrays = {name: future.result() for name, future in futures.items()}
        return {name: (array.shape, array.dtype) for name, array in arrays.items()}

    return members


# The table ----------------------------------------------------------------------------------------------------------


def _azarr_way(name: str, title: str, store: Callable[[str], Any], module: str, **said: str) -> Library:
    return Library(name, title, "azarr", module, _azarr(store), subscript, gathered, True, **said)


def _zarr_way(name: str, title: str, store: Callable[[str], Any], settings: dict[str, Any]) -> Library:
    family, module = title.split(",")[0], "fsspec" if store is _fsspec else "obstore"
    said = words(settings | {"zarr_format": 3} | (TUNED_FSSPEC if store is _fsspec else {}))
    return Library(name, title, family, module, _zarr(store, settings), getitem, gathered, True, settings=said)


def _tensorstore_way(name: str, title: str, *, tuned: bool) -> Library:
    settings = words(TS_CACHED | (TS_TUNED | TS_ENVIRONMENT if tuned else TS_REQUESTS))
    return Library(name, title, "tensorstore", "tensorstore", _tensorstore(tuned), tensorstore_read, in_turn, settings=settings)


def _floor(name: str, title: str, kind: type, threads: int, module: str) -> Library:
    settings = f"{floor_http.CONNECTIONS} warm connections, libblosc2, NumPy assignment; threads: {threads}"
    return Library(name, title, "floor", module, floor_http.opener(kind, threads), floor_http.read, in_turn, settings=settings)


_ALL = (
    _zarr_way("zarr-fsspec", "zarr-python, fsspec", _fsspec, TUNED),
    _zarr_way("zarr-fsspec-fused", "zarr-python fused, fsspec", _fsspec, TUNED | FUSED),
    _zarr_way("zarr-fsspec-fused-one", "zarr-python fused, fsspec, one worker", _fsspec, TUNED | FUSED_ONE),
    _zarr_way("zarr-obstore", "zarr-python, obstore", _obstore, TUNED),
    _zarr_way("zarr-obstore-fused", "zarr-python fused, obstore", _obstore, TUNED | FUSED),
    _zarr_way("zarr-obstore-fused-one", "zarr-python fused, obstore, one worker", _obstore, TUNED | FUSED_ONE),
    _azarr_way("azarr-cloud", "azarr, ObjectStore", _azarr_cloud, "obstore"),
    _azarr_way("azarr-fsspec", "azarr, FsspecStore", _azarr_fsspec, "fsspec", settings=words(TUNED_FSSPEC)),
    _zarr_way("zarr-cloud", "zarr-python, obstore of S3", _obstore_cloud, TUNED),
    _zarr_way("zarr-cloud-fused", "zarr-python fused, obstore of S3", _obstore_cloud, TUNED | FUSED),
    _tensorstore_way("tensorstore-http", "tensorstore over HTTP", tuned=False),
    _tensorstore_way("tensorstore-http-tuned", "tensorstore over HTTP, tuned", tuned=True),
    _floor("floor-aiohttp", "floor, aiohttp", floor_http.Aiohttp, 1, "aiohttp"),
    _floor("floor-bare", "floor, bare protocol", floor_http.Bare, 2, "blosc2"),
)
REMOTE = {library.name: library for library in _ALL}

MEMBERS = {
    "azarr": _azarr_members,
    "zarr-fsspec": _zarr_members(_fsspec),
    "zarr-obstore": _zarr_members(_obstore),
    "tensorstore-http": _tensorstore_members(False),
    "tensorstore-http-tuned": _tensorstore_members(True),
    "floor-aiohttp": floor_http.members(floor_http.Aiohttp),
    "floor-bare": floor_http.members(floor_http.Bare),
}
