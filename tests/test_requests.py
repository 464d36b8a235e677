"""How many requests each thing makes, key by key: part of azarr's contract. A change here is a change for everyone whose data are far away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import azarr
from azarr._engine.budget import budget_of
from azarr.errors import NodeNotFound, NotAGroup, NotAnArray
from azarr.testing import CountingStore
from documents import waiting
from hierarchies import consolidated, weather
from servers import ranged, serving, status, whole


def asked(store: CountingStore) -> list[str]:
    """The keys asked for since the last time, in the order in which they went out; ranges are none of them."""
    keys = [key for key, byte_range in store.requests if byte_range is None]
    assert len(keys) == len(store.requests)
    store.requests.clear()
    return keys


# Opening


async def test_opening_an_array_of_v3():
    store = waiting(await weather(3))
    await azarr.open_array(store, "rain", zarr_format=3)
    assert asked(store) == ["rain/zarr.json"]


async def test_opening_a_group_of_v3():
    store = waiting(await weather(3))
    await azarr.open_group(store, zarr_format=3)
    assert asked(store) == ["zarr.json"]
    await azarr.open(store, "air", zarr_format=3)
    assert asked(store) == ["air/zarr.json"]


async def test_opening_an_array_of_v2():
    store = waiting(await weather(2))
    await azarr.open_array(store, "rain", zarr_format=2)
    assert asked(store) == ["rain/.zarray", "rain/.zattrs"]


async def test_opening_a_group_of_v2():
    store = waiting(await weather(2))
    await azarr.open_group(store, zarr_format=2)
    assert asked(store) == [".zmetadata", ".zgroup", ".zattrs"]
    await azarr.open_group(store, zarr_format=2, consolidated=False)
    assert asked(store) == [".zgroup", ".zattrs"]
    await azarr.open(store, "air", zarr_format=2)
    assert asked(store) == ["air/.zarray", "air/.zmetadata", "air/.zgroup", "air/.zattrs"]


@pytest.mark.parametrize("zarr_format", [2, 3])
async def test_opening_without_a_format_asks_for_those_of_both_in_one_round_trip(zarr_format: int):
    store = waiting(await weather(zarr_format))
    await azarr.open_array(store, "rain")
    assert asked(store) == ["rain/zarr.json", "rain/.zarray", "rain/.zattrs"]
    await azarr.open_group(store)
    assert asked(store) == ["zarr.json", ".zmetadata", ".zgroup", ".zattrs"]
    await azarr.open(store)
    assert asked(store) == ["zarr.json", ".zarray", ".zmetadata", ".zgroup", ".zattrs"]
    await azarr.open(store, mode="r+")
    assert asked(store) == ["zarr.json", ".zarray", ".zgroup", ".zattrs"]


async def test_the_documents_of_a_node_are_asked_for_at_once():
    documents = await weather(2)

    class Slow(CountingStore):
        waiting, most = 0, 0

        async def get(self, key: str, byte_range: Any = None) -> Any:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            try:
                return await super().get(key, byte_range)
            finally:
                self.waiting -= 1

    class Yielding:
        async def get(self, key: str, byte_range: Any = None) -> Any:
            for _ in range(10):
                await asyncio.sleep(0)
            return await waiting(documents).get(key, byte_range)

    store = Slow(Yielding())
    await azarr.open(store)
    assert store.most == 5


async def test_a_node_that_is_not_there():
    store = waiting({})
    with pytest.raises(NodeNotFound):
        await azarr.open(store, "a")
    assert asked(store) == ["a/zarr.json", "a/.zarray", "a/.zmetadata", "a/.zgroup", "a/.zattrs"]
    with pytest.raises(NodeNotFound):
        await azarr.open_array(store, "a")
    assert asked(store) == ["a/zarr.json", "a/.zarray", "a/.zattrs", "a/.zgroup"]
    with pytest.raises(NodeNotFound):
        await azarr.open_group(store, "a", zarr_format=3)
    assert asked(store) == ["a/zarr.json"]


async def test_a_node_of_the_other_kind():
    store = waiting(await weather(2))
    with pytest.raises(NotAGroup):
        await azarr.open_group(store, "rain", zarr_format=2)
    assert asked(store) == ["rain/.zmetadata", "rain/.zgroup", "rain/.zattrs", "rain/.zarray"]
    with pytest.raises(NotAnArray):
        await azarr.open_array(store, "air", zarr_format=2)
    assert asked(store) == ["air/.zarray", "air/.zattrs", "air/.zgroup"]


# Members


async def test_a_member_is_of_the_format_of_its_group():
    store = waiting(await weather(3))
    group = await azarr.open_group(store, zarr_format=3)
    asked(store)
    await group["air/temperature"]
    assert asked(store) == ["air/temperature/zarr.json"]
    store = waiting(await weather(2))
    group = await azarr.open_group(store)
    asked(store)
    await group.air.temperature
    assert asked(store) == [f"air/temperature/{name}" for name in (".zarray", ".zmetadata", ".zgroup", ".zattrs")]


async def test_a_node_deep_below_a_reference_is_opened_without_those_above():
    store = waiting(await weather(3))
    await azarr.open(store, zarr_format=3).air.temperature
    assert asked(store) == ["air/temperature/zarr.json"]


@pytest.mark.parametrize(("zarr_format", "documents"), [(2, [".zmetadata", ".zgroup", ".zattrs"]), (3, ["zarr.json"])])
async def test_consolidated_members_are_opened_without_asking_for_anything(zarr_format: int, documents: list[str]):
    store = waiting(consolidated(await weather(zarr_format)))
    group = await azarr.open_consolidated(store, zarr_format=zarr_format)
    assert asked(store) == documents
    air = await group.air
    await air.temperature
    await group["air/temperature"]
    await group.members()
    await group.keys()
    await group.tree()
    assert [path async for path, _ in group.walk()]
    assert asked(store) == []


async def test_a_reference_below_a_consolidated_group_asks_for_its_metadata_alone():
    store = waiting(consolidated(await weather(3)))
    await azarr.open_consolidated(store, zarr_format=3).air.temperature
    assert asked(store) == ["zarr.json"]


class Listed(CountingStore):
    """It notes what is listed too, as "list a/"."""

    async def list_dir(self, prefix: str) -> Any:
        self.requests.append((f"list {prefix}/", None))
        async for name in self.inner.list_dir(prefix):
            yield name

    async def list(self, prefix: str) -> Any:
        async for key in self.inner.list(prefix):
            yield key


@pytest.mark.parametrize(("zarr_format", "documents"), [(2, [".zarray", ".zgroup", ".zattrs"]), (3, ["zarr.json"])])
async def test_members_are_listed_once_and_their_documents_asked_for_together(zarr_format: int, documents: list[str]):
    store = Listed(waiting(await weather(zarr_format)).inner)
    group = await azarr.open_group(store, zarr_format=zarr_format)
    asked(store)
    await group.members()
    assert asked(store) == ["list /", *[f"{name}/{document}" for name in ("air", "rain") for document in documents]]


# Selecting, reading, describing


async def test_what_is_known_is_not_asked_for():
    store = waiting(await weather(3))
    array = await azarr.open_array(store, "air/temperature")
    asked(store)
    part = array[1:].oindex[[0], [2, 1]]
    assert (repr(array), array._repr_html_(), part.shape, part.plan(), array.attrs["units"]) is not None
    assert asked(store) == []


async def test_reading_asks_for_each_chunk_once():
    store = waiting(await weather(3))
    array = await azarr.open_array(store, "rain")
    asked(store)
    await array[...]
    assert sorted(asked(store)) == ["rain/c/0", "rain/c/1"]
    await array[3]
    assert asked(store) == ["rain/c/1"]
    await array[2:2]
    assert asked(store) == []
    await array.vindex[[0, 3, 1, 0]]
    assert sorted(asked(store)) == ["rain/c/0", "rain/c/1"]
    assert [block.data.size async for block in array.blocks(ordered=True)] == [2, 2]
    assert sorted(asked(store)) == ["rain/c/0", "rain/c/1"]


async def test_opening_and_reading_in_one_await():
    store = waiting(await weather(3))
    assert await azarr.open_group(store, zarr_format=3).rain[0] == 1
    assert asked(store) == ["rain/zarr.json", "rain/c/0"]


async def test_a_whole_shard_is_one_request_and_a_part_of_it_two_of_which_the_index_is_kept():
    documents: dict[str, bytes] = {}
    made = await azarr.create_array(documents, shape=(8,), dtype="u1", chunks=(2,), shards=(8,), compressors=None)
    await made[...].write([1, 2, 3, 4, 5, 6, 7, 8])
    store = waiting(documents)
    array = await azarr.open_array(store, zarr_format=3)
    asked(store)
    await array[...]
    assert asked(store) == ["c/0"]
    array = await azarr.open_array(store, zarr_format=3)
    asked(store)
    assert (await array[2:5]).tolist() == [3, 4, 5]
    assert store.requests == [("c/0", (-68, None)), ("c/0", (2, 6))]
    store.requests.clear()
    assert await array[7] == 8
    assert store.requests == [("c/0", (6, 8))]


# Creating


@pytest.mark.parametrize("zarr_format", [2, 3])
async def test_creating_asks_what_stands_there_and_above(zarr_format: int):
    class Writing(CountingStore):
        async def set(self, key: str, data: Any) -> None:
            self.requests.append((f"set {key}", None))
            await self.inner.set(key, data)

        async def delete(self, key: str) -> None:
            raise AssertionError("nothing is deleted")

    store = Writing(waiting({}).inner)
    await azarr.create_array(store, "a", shape=(4,), dtype="u1", zarr_format=zarr_format)
    made = ["zarr.json", "a/zarr.json"] if zarr_format == 3 else [".zgroup", "a/.zarray"]
    made = [step for key in made for step in (key, f"set {key}")]  # which is asked for again where the store cannot compare
    left = [*(["a/.zattrs"] if zarr_format == 2 else []), "a/.azarr-copy", ".azarr-copy"]  # of what was there before
    looked = ["zarr.json"] if zarr_format == 3 else [".zmetadata", "a/.zmetadata"]  # for consolidated metadata, which would be stale
    again = ["zarr.json" if zarr_format == 3 else ".zgroup"]  # whether the group above is still there
    assert asked(store) == ["zarr.json", ".zarray", ".zgroup", ".zattrs", "a/zarr.json", "a/.zarray", "a/.zgroup", *left, *looked, *made, *again, *looked]


# The network


class Held(CountingStore):
    """It answers once it is told to; `come` is when it was asked so often."""

    def __init__(self, inner: Any, *, until: int) -> None:
        super().__init__(inner)
        self.until, self.go, self.come = until, asyncio.Event(), asyncio.Event()

    async def get(self, key: str, byte_range: Any = None) -> Any:
        value = await super().get(key, byte_range)
        if len(self.requests) == self.until:
            self.come.set()
        await self.go.wait()
        return value


async def sharded(shape: int, chunks: int) -> dict[str, bytes]:
    """One shard of bytes, each its own position."""
    documents: dict[str, bytes] = {}
    made = await azarr.create_array(documents, shape=(shape,), dtype="u1", chunks=(chunks,), shards=(shape,), compressors=None)
    await made[...].write([each % 251 for each in range(shape)])
    return documents


async def test_the_same_request_in_flight_is_one_for_all_who_ask():
    store = Held(waiting(await weather(3)).inner, until=2)
    store.go.set()
    context = azarr.Context()
    arrays = [await azarr.open_array(store, "rain", zarr_format=3, context=context) for _ in range(5)]
    store.go.clear()
    asked(store)
    reads = asyncio.gather(*(array[...].read() for array in arrays for _ in range(4)))
    joined: Any = budget_of(context).loading
    for _ in range(100_000):
        await asyncio.sleep(0)
        if sum(map(len, joined.values())) == 2 * 19:  # the others of 20 reads of two chunks
            break
    store.go.set()
    assert [values.tolist() for values in await reads] == [[1, 2, 3, 4]] * 20
    assert sorted(asked(store)) == ["rain/c/0", "rain/c/1"]


async def test_a_hundred_reads_of_one_shard_ask_for_its_index_once():
    store = Held(waiting(await sharded(200, 2)).inner, until=1)
    store.go.set()
    array = await azarr.open_array(store, zarr_format=3)
    asked(store)
    found = await asyncio.gather(*(array[2 * each] for each in range(100)))
    assert [int(value) for value in found] == [2 * each for each in range(100)]
    assert [byte_range for _, byte_range in store.requests].count((-1604, None)) == 1
    assert len(store.requests) == 101


async def test_parts_of_a_shard_that_stand_close_together_are_one_range():
    store = waiting(await sharded(240, 2))
    array = await azarr.open_array(store, zarr_format=3)
    asked(store)
    assert (await array[::40]).tolist() == [0, 40, 80, 120, 160, 200]
    assert store.requests == [("c/0", (-1924, None)), ("c/0", (0, 202))]


async def test_a_store_may_say_how_far_apart_parts_are_asked_for_together():
    store = waiting(await sharded(240, 2))
    store.gap = 50  # pyright: ignore[reportAttributeAccessIssue]  # stores may have it
    array = await azarr.open_array(store, zarr_format=3)
    asked(store)
    assert (await array.oindex[[0, 40, 160]]).tolist() == [0, 40, 160]
    assert sorted(store.requests[1:]) == [("c/0", (0, 42)), ("c/0", (160, 162))]


async def test_many_selections_of_many_arrays_ask_for_each_chunk_once():
    store = Held(waiting(await weather(3)).inner, until=2)
    store.go.set()
    rain, air = await azarr.open_array(store, "rain"), await azarr.open_array(store, "air/temperature")
    store.go.clear()
    store.come.clear()
    asked(store)
    reads = asyncio.ensure_future(azarr.read_many(rain[0], rain[1], air[...]))
    await store.come.wait()
    store.go.set()
    assert [values.tolist() for values in await reads] == [1, 2, [[1, 2, 3], [4, 5, 6]]]
    assert sorted(asked(store)) == ["air/temperature/c/0/0", "rain/c/0"]


async def test_a_request_that_fails_for_a_moment_is_sent_again_and_no_other():
    class Failing(CountingStore):
        async def get(self, key: str, byte_range: Any = None) -> Any:
            value = await super().get(key, byte_range)
            if key == "rain/c/1" and [name for name, _ in self.requests].count(key) < 3:
                raise ConnectionResetError("the cable")
            return value

    store = Failing(waiting(await weather(3)).inner)
    context = azarr.Context(retries=azarr.Retries(first=0))
    array = await azarr.open_array(store, "rain", zarr_format=3, context=context)
    asked(store)
    assert (await array[...]).tolist() == [1, 2, 3, 4]
    assert sorted(asked(store)) == ["rain/c/0", "rain/c/1", "rain/c/1", "rain/c/1"]
    assert context.counters.retries == 2


async def test_what_a_cache_holds_is_not_asked_for():
    store = waiting(await weather(3))
    array = await azarr.open_array(azarr.Cached(store), "rain", zarr_format=3)
    await array[...]
    assert sorted(asked(store)) == ["rain/c/0", "rain/c/1", "rain/zarr.json"]
    await array[...]
    await array[3]
    assert asked(store) == []


async def test_decoded_chunks_that_are_kept_are_not_asked_for():
    store = waiting(await weather(3))
    array = await azarr.open_array(store, "rain", zarr_format=3, context=azarr.Context(cache="1 MiB"))
    await array[:2]
    asked(store)
    assert (await array[...]).tolist() == [1, 2, 3, 4]
    assert asked(store) == ["rain/c/1"]


# A server that knows less than others


async def test_a_server_without_ranges_is_asked_for_whole_shards():
    async with serving(await sharded(240, 2)) as server:
        server.misbehave["c/0"] = whole
        array = await azarr.open_array(server.url, zarr_format=3)
        server.requests.clear()
        assert (await array[2:6]).tolist() == [2, 3, 4, 5]
        assert server.requests == [("c/0", "bytes=-1924"), ("c/0", "bytes=2-5")]
        assert (await array[10:12]).tolist() == [10, 11]
        assert server.requests[2:] == [("c/0", None)]


async def test_a_server_that_cannot_count_from_the_end_is_asked_for_the_size_once_more_for_each_shard():
    async def from_the_start(request: Any, data: bytes) -> Any:
        if request.headers.get("Range", "").startswith("bytes=-"):
            return await status(501)(request, data)
        return ranged(request, data)

    async with serving(await sharded(240, 2)) as server:
        server.misbehave["c/0"] = from_the_start
        array = await azarr.open_array(server.url, zarr_format=3)
        server.requests.clear()
        assert (await array[2:6]).tolist() == [2, 3, 4, 5]
        assert server.requests == [("c/0", "bytes=-1924"), ("c/0", "bytes=0-0"), ("c/0", "bytes=240-2163"), ("c/0", "bytes=2-5")]
        again = await azarr.open_array(array.store, zarr_format=3)
        server.requests.clear()
        assert (await again[8:10]).tolist() == [8, 9]
        assert server.requests == [("c/0", "bytes=0-0"), ("c/0", "bytes=240-2163"), ("c/0", "bytes=8-9")]
