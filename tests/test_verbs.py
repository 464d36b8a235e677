"""Verbs over whole nodes: what they leave, and what they leave alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

import azarr
from azarr.errors import NodeNotFound, ReadOnly, StoreError, TransportError
from azarr.stores import MemoryStore, Value
from fakes import Conditional, turns

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])


async def tree(store: Any, zarr_format: int) -> None:
    await azarr.create_group(store, attributes={"title": "all"}, zarr_format=zarr_format)
    for path in ("a/x", "a/b/y", "z"):
        await azarr.save(store, path, np.arange(5), chunks=(2,), attributes={"path": path}, zarr_format=zarr_format)


@FORMATS
async def test_what_is_saved_is_loaded(zarr_format: int, tmp_path: Any):
    values = np.linspace(0, 1, 12, dtype="f4").reshape(3, 4)
    array = await azarr.save(tmp_path, "a/x", values, chunks=(2, 3), zarr_format=zarr_format)
    assert (array.chunks, array.dtype) == ((2, 3), np.dtype("f4"))
    assert np.array_equal(await azarr.load(tmp_path, "a/x"), values)
    await azarr.save(tmp_path, "words", ["a", "bc"], dtype=str, zarr_format=zarr_format)
    assert (await azarr.load(tmp_path, "words")).tolist() == ["a", "bc"]


@FORMATS
async def test_deleting_takes_a_node_and_all_below_it(zarr_format: int, tmp_path: Any):
    for store in ({}, tmp_path, Conditional()):
        await tree(store, zarr_format)
        await azarr.delete(store, "a/b")
        group = await azarr.open_group(store)
        assert [name async for name, _ in group.walk()] == ["a", "a/x", "z"]
        await azarr.delete(store, "a")
        assert await group.keys() == ["z"]
        with pytest.raises(NodeNotFound):
            await azarr.delete(store, "a")
        await azarr.delete(store)
        with pytest.raises(NodeNotFound):
            await azarr.open(store)


async def test_a_half_deleted_node_is_not_seen():
    class Stubborn(MemoryStore):
        def put(self, key: str, data: Any, version: str | None = "*") -> bool:
            if data is None and "/c/" in key:
                raise StoreError("no", store="a disk", key=key)
            return super().put(key, data, version)

    store = Stubborn()
    await tree(store, 3)
    with pytest.raises(StoreError, match=r"'a/.*' of a disk: no"):
        await azarr.delete(store, "a")
    assert await (await azarr.open_group(store)).keys() == ["z"]


async def test_what_cannot_be_listed_or_written_is_not_deleted():
    class Plain:
        def __init__(self, store: MemoryStore) -> None:
            self.get, self.set, self.delete = store.get, store.set, store.delete

    store: dict[str, bytes] = {}
    await tree(store, 3)
    with pytest.raises(StoreError, match="this store cannot list"):
        await azarr.delete(Plain(MemoryStore(store)), "a")
    with pytest.raises(ReadOnly, match="cannot be written to"):
        await azarr.delete("http://localhost:1/data.zarr", "a")


@FORMATS
async def test_consolidated_metadata_are_what_the_documents_say(zarr_format: int, tmp_path: Any):
    for store in ({}, tmp_path, Conditional()):
        await tree(store, zarr_format)
        group = await azarr.consolidate(store)
        assert dict(group.attrs) == {"title": "all"}
        assert sorted(group.known) == ["a", "z"]
        opened = await azarr.open_consolidated(store)
        plain = await azarr.open_group(store, consolidated=False)
        assert [name async for name, _ in opened.walk()] == [name async for name, _ in plain.walk()]
        for path in ("a/x", "a/b/y", "z"):
            one, other = await opened[path], await plain[path]
            assert (one.metadata, dict(one.attrs), await one[1:3]).__repr__() == (other.metadata, dict(other.attrs), await other[1:3]).__repr__()
        below = await azarr.consolidate(store, "a")
        assert sorted(below.metadata.consolidated) == (["b", "b/y", "x"])


@FORMATS
async def test_each_change_of_a_node_takes_consolidated_metadata_away(zarr_format: int):
    store: dict[str, bytes] = {}
    await tree(store, zarr_format)
    array = await azarr.open_array(store, "a/x", mode="r+")
    for change in (
        lambda: array.update_attrs({"x": 1}),
        lambda: array.resize((7,)),
        lambda: array.append([1]),
        lambda: azarr.save(store, "a/y", [1], zarr_format=zarr_format),
        lambda: azarr.create_group(store, "c", zarr_format=zarr_format),
        lambda: azarr.delete(store, "a/b"),
    ):
        await azarr.consolidate(store)
        assert (await azarr.open_consolidated(store)).known
        await change()
        assert (await azarr.open_group(store)).metadata.consolidated is None
    await azarr.consolidate(store)
    await array[...].write(3)
    assert (await azarr.open_consolidated(store)).known  # they do not have the chunks


class Pausing(Conditional):
    """A store of which one call, after so many others, waits until it may go on; then it is as `late` as can be."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.before, self.late, self.go = before, asyncio.Event(), asyncio.Event()

    async def get(self, key: str, byte_range: Any = None) -> Any:
        found = await super().get(key, byte_range)
        await self.pause()
        return found

    async def replace(self, key: str, data: Any, version: str | None) -> bool:
        await self.pause()
        return await super().replace(key, data, version)

    async def pause(self) -> None:
        self.before -= 1
        if self.before == 0:
            self.late.set()
            await self.go.wait()


@FORMATS
async def test_what_changes_while_metadata_are_consolidated_is_in_them_or_they_are_gone(zarr_format: int):
    for before in range(1, 20):
        store = Pausing(0)
        await azarr.create_group(store, zarr_format=zarr_format)
        array = await azarr.create_array(store, "x", shape=(1,), dtype="u1", zarr_format=zarr_format)
        store.before = before
        consolidating = asyncio.create_task(azarr.consolidate(store))
        await asyncio.wait([consolidating, late := asyncio.create_task(store.late.wait())], return_when=asyncio.FIRST_COMPLETED)
        changing = asyncio.create_task(array.update_attrs({"changed": True}))
        await turns(200)
        store.go.set()
        await asyncio.gather(consolidating, changing)
        late.cancel()
        group = await azarr.open_group(store)  # with consolidated metadata, if they are there
        assert dict((await group.x).attrs) == {"changed": True}


async def test_a_group_inside_consolidated_metadata_does_not_have_its_own():
    store: dict[str, bytes] = {}
    await tree(store, 3)
    await azarr.consolidate(store, "a")
    await azarr.consolidate(store)
    members = json.loads(store["zarr.json"])["consolidated_metadata"]["metadata"]
    assert sorted(members) == ["a", "a/b", "a/b/y", "a/x", "z"]
    assert "consolidated_metadata" not in members["a"]


async def test_many_are_read_at_once():
    store: dict[str, bytes] = {}
    await tree(store, 3)
    x, z = await azarr.open(store, "a/x"), azarr.open(store, "z")
    first, second, third = await azarr.read_many(x[1:3], z[...], x.vindex[[0, 4]])
    assert (first.tolist(), second.tolist(), third.tolist()) == ([1, 2], [0, 1, 2, 3, 4], [0, 4])
    assert await azarr.read_many() == []

    class Broken:
        async def get(self, key: str, byte_range: Any = None) -> Value | None:
            if key.startswith("c/"):
                raise OSError("the connection was lost")
            return await MemoryStore({"zarr.json": store["z/zarr.json"]}).get(key)

    with pytest.raises(TransportError, match="the connection was lost"):
        await azarr.read_many(x[...], azarr.open_array(Broken())[...])
