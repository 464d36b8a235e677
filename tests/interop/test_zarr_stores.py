"""zarr-python's own tests of stores pass through azarr's stores, and azarr's contract through those of zarr-python."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr
import zarr.storage
from aiohttp import web
from contracts import unversioned
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from zarr.core.buffer import cpu, default_buffer_prototype
from zarr.testing.stateful import ZarrStoreStateMachine
from zarr.testing.store import StoreTests

import azarr
from azarr.errors import InvalidKey, StoreError, TransportError, UnversionedWarning
from azarr.integrations.zarr_stores import AzarrStore, ZarrPythonStore
from azarr.stores import HTTPStore, Listing, LocalStore, MemoryStore, WritableStore
from azarr.testing import StoreContract
from servers import ranged, serving, status

pytestmark = pytest.mark.interop


class Theirs(StoreTests[AzarrStore, cpu.Buffer]):
    """zarr-python's tests, with fixtures that need no plugin for asyncio. `self.set` and `self.get` go around `AzarrStore`."""

    store_cls, buffer_cls = AzarrStore, cpu.Buffer

    @pytest.fixture
    def store(self, open_kwargs: dict[str, Any]) -> AzarrStore:
        return asyncio.run(self.store_cls.open(**open_kwargs))

    @pytest.fixture
    def store_not_open(self, store_kwargs: dict[str, Any]) -> AzarrStore:
        return self.store_cls(**store_kwargs)

    async def set(self, store: AzarrStore, key: str, value: Any) -> None:
        await store.store.set(key, value.to_bytes())

    async def get(self, store: AzarrStore, key: str) -> Any:
        return self.buffer_cls.from_bytes(bytes((await store.store.get(key)).data))

    def test_store_supports_writes(self, store: AzarrStore) -> None:
        assert store.supports_writes

    def test_store_supports_listing(self, store: AzarrStore) -> None:
        assert store.supports_listing


class TestOverMemory(Theirs):
    @pytest.fixture
    def store_kwargs(self) -> dict[str, Any]:
        return {"store": MemoryStore()}

    def test_store_repr(self, store: AzarrStore) -> None:
        assert repr(store) == "AzarrStore(MemoryStore(0 objects))"

    async def test_serializable_store(self, store: AzarrStore) -> None:
        """A copy of a store in memory has objects of its own, so it is not equal, which theirs asks for."""
        await store.set("foo", self.buffer_cls.from_bytes(b"1"))
        copied = pickle.loads(pickle.dumps(store))
        await store.set("foo", self.buffer_cls.from_bytes(b"2"))
        assert (await copied.get("foo", default_buffer_prototype())).to_bytes() == b"1"


class TestOverAFolder(Theirs):
    @pytest.fixture
    def store_kwargs(self, tmp_path: Path) -> dict[str, Any]:
        return {"store": str(tmp_path / "root")}

    def test_store_repr(self, store: AzarrStore) -> None:
        assert repr(store) == f"AzarrStore({store.store!r})"


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_their_state_machine_holds(kind: str, tmp_path: Path) -> None:
    """Derandomized, as it may draw a key below another one, which no folder can have."""

    def machine() -> ZarrStoreStateMachine:
        return ZarrStoreStateMachine(AzarrStore(MemoryStore() if kind == "memory" else LocalStore(tmp_path / "root")))

    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=30, deadline=None, derandomize=True))


DATASET = xarray.Dataset(
    {"t2m": (("time", "y", "x"), np.arange(24.0).reshape(2, 3, 4), {"units": "K"})},
    coords={"time": np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]"), "x": np.arange(4)},
)


@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
@pytest.mark.parametrize("zarr_format", [2, 3])
async def test_xarray_writes_and_opens_through_azarr_over_http_too(zarr_format: int) -> None:
    objects: dict[str, bytes] = {}
    await asyncio.to_thread(DATASET.to_zarr, AzarrStore(objects), zarr_format=zarr_format, encoding={"t2m": {"chunks": (1, 2, 4)}})
    async with serving(objects) as server:

        def read() -> None:
            store = AzarrStore(server.url)
            assert store.read_only
            assert not store.supports_writes
            assert not store.supports_listing
            with xarray.open_zarr(store) as opened:
                xarray.testing.assert_identical(opened.load(), DATASET)
            assert zarr.open_group(store, mode="r")["t2m"][1, 2, 3] == 23.0

        await asyncio.to_thread(read)


async def test_shards_and_retries_are_azarrs_own_for_zarr_python() -> None:
    objects: dict[str, bytes] = {}
    array = zarr.create_array(AzarrStore(objects), name="a", shape=(64, 64), dtype="i4", chunks=(8, 8), shards=(32, 32))
    array[...] = np.arange(4096).reshape(64, 64)
    async with serving(objects) as server:
        failures = [503, 429]

        async def busy(request: Any, data: bytes) -> Any:
            return web.Response(status=failures.pop()) if failures else ranged(request, data)

        server.misbehave["a/c/1/1"] = busy
        opened = await asyncio.to_thread(zarr.open_array, AzarrStore(server.url), path="a", mode="r")
        assert await asyncio.to_thread(lambda: opened[40:42, 60].tolist()) == [40 * 64 + 60, 41 * 64 + 60]
        server.misbehave["a/c/0/1"] = status(403)
        with pytest.raises(StoreError, match="403"):
            await asyncio.to_thread(lambda: opened[0, 40])


class TestContract(StoreContract):
    has = (WritableStore, Listing)

    @asynccontextmanager
    async def store(self, objects: dict[str, bytes]) -> AsyncGenerator[Any]:
        store = zarr.storage.MemoryStore({key: cpu.Buffer.from_bytes(data) for key, data in objects.items()})
        with unversioned():
            yield azarr.stores.store_from(store)


async def test_azarr_opens_a_store_of_zarr_python_and_its_own_by_the_way_back(tmp_path: Path) -> None:
    group = zarr.open_group(zarr.storage.LocalStore(tmp_path / "a"), mode="w")
    group.create_array("x", shape=4, dtype="i4", chunks=2)[...] = np.arange(4)
    opened = await azarr.open_group(group.store)
    assert await opened.keys() == ["x"]
    assert (await opened["x"][...]).tolist() == [0, 1, 2, 3]
    mine = LocalStore(tmp_path / "a")
    assert azarr.stores.store_from(AzarrStore(mine)) is mine
    assert isinstance(azarr.stores.store_from(group.store), ZarrPythonStore)


async def test_a_node_of_zarr_python_is_no_store_and_says_what_to_pass() -> None:
    group = zarr.open_group({}, mode="w")
    for node in (group, group.create_array("a", shape=4, dtype="i4")):
        with pytest.raises(TypeError, match=r"a store is needed, not this (Group|Array) of zarr-python: pass its .store, and its .path"):
            azarr.open(node)


async def test_errors_of_a_store_of_zarr_python_are_azarrs() -> None:
    class Broken(zarr.storage.MemoryStore):
        async def get(self, *arguments: Any, **options: Any) -> Any:
            raise ConnectionResetError("gone")

    with pytest.raises(TransportError, match="ConnectionResetError: gone") as caught:
        await azarr.stores.store_from(Broken()).get("key")
    assert caught.value.transient
    with pytest.raises(UnversionedWarning, match="tells no versions"):
        await azarr.stores.store_from(zarr.storage.MemoryStore({"key": cpu.Buffer.from_bytes(b"123")})).get("key", (0, 2))


async def test_what_may_not_be_written_is_not_written() -> None:
    store = AzarrStore(objects := {"a": b"1"}, read_only=True)
    with pytest.raises(ValueError, match="read-only"):
        await store.set_if_not_exists("b", cpu.Buffer.from_bytes(b"2"))
    assert store != store.with_read_only()
    assert objects == {"a": b"1"}
    with pytest.raises(InvalidKey):
        await store.get("../a", default_buffer_prototype())
    with pytest.raises(NotImplementedError, match="cannot be listed"):
        [name async for name in AzarrStore(HTTPStore("http://host/data")).list()]
