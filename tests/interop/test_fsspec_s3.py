"""S3 by s3fs, over a server that speaks its language: azarr's contract, what its errors mean, and sessions that are closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import fsspec
import numpy as np
import pytest
from contracts import unversioned

import azarr
from azarr.errors import StoreError
from azarr.stores import FsspecStore, Listing, WritableStore
from azarr.testing import StoreContract
from buckets import bucket_of, server

pytestmark = pytest.mark.interop


def options(**others: Any) -> dict[str, Any]:
    return {
        "key": "testing",
        "secret": "canary-of-a-secret",
        "endpoint_url": server(),
        "client_kwargs": {"region_name": "us-east-1"},
        **others,
    }


class TestContract(StoreContract):
    has = (WritableStore, Listing)

    @asynccontextmanager
    async def store(self, objects: dict[str, bytes]) -> AsyncGenerator[Any]:
        name, _ = await bucket_of({f"below/here/{key}": data for key, data in objects.items()})
        async with azarr.Context() as context:
            with unversioned():
                yield FsspecStore(f"s3://{name}/below/here", storage_options=options(), context=context)


async def test_a_bucket_that_is_not_there_is_an_error_not_a_missing_object() -> None:
    async with azarr.Context() as context:
        store = FsspecStore("s3://nowhere-at-all/data", storage_options=options(), context=context)
        for byte_range in (None, (0, 4), (-4, None)):
            with pytest.raises(StoreError, match="bucket") as caught:
                await store.get("zarr.json", byte_range)
            assert "canary" not in repr((store, caught.value))
        with pytest.raises(StoreError, match="bucket"):
            await store.set("zarr.json", b"{}")
        with pytest.raises(StoreError, match="bucket"):
            [key async for key in store.list("")]
        with pytest.raises(StoreError, match="bucket"):
            await azarr.open(store)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_one_store_serves_several_loops_whoever_made_the_filesystem(asynchronous: bool) -> None:
    async def write() -> str:
        name, _ = await bucket_of({})
        return name

    async def once(store: Any, number: int) -> Any:
        array = await azarr.open_array(store, "a", mode="a", shape=(4, 4), dtype="i4", chunks=(2, 2))
        await array[...].write(np.full((4, 4), number))
        return (await array[...]).tolist()

    name = asyncio.run(write())
    if asynchronous:
        store = FsspecStore(f"s3://{name}/data", storage_options=options())
    else:
        store = FsspecStore(fsspec.filesystem("s3", **options()), f"{name}/data")
    for number in (1, 2):
        assert asyncio.run(once(store, number)) == [[number] * 4] * 4
