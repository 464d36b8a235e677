"""What is stored of an array: which chunks there are, how many bytes they have, and shards without gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr.errors import LimitExceeded, ReadOnly, ShardIndexError, StoreError, WriteConflict
from azarr.stores import LocalStore, MemoryStore
from azarr.tools.surveying import coords_of
from documents import waiting
from fakes import Conditional
from oracles import crc32c

SHAPES = [
    {"shape": (), "chunks": ()},
    {"shape": (10,), "chunks": (3,)},
    {"shape": (0, 4), "chunks": (1, 2)},
    {"shape": (7, 5), "chunks": (2, 2)},
    {"shape": (7, 5), "chunks": (2, 2), "zarr_format": 2},
    {"shape": (), "chunks": (), "zarr_format": 2},
    {"shape": (7, 5), "chunks": (2, 2), "chunk_key_encoding": "."},
    {"shape": (9, 10), "chunks": (2, 1), "shards": (4, 3)},
    {"shape": (9, 10), "chunks": (2, 1), "shards": (4, 3), "order": "F"},
]
layouts = pytest.mark.parametrize("layout", SHAPES, ids=str)


async def partly(source: Any, layout: dict[str, Any]) -> tuple[azarr.Array, np.ndarray]:
    """An array of which every third chunk is stored, and which those are."""
    array = await azarr.create_array(source, "x", dtype="u1", compressors=None, **layout)
    assert array.chunks is not None
    counts = [-(-length // chunk) for length, chunk in zip(array.shape, array.chunks, strict=True)]
    there = np.zeros(counts, bool)
    for number, coords in enumerate(np.ndindex(*counts)):
        if number % 3 == 0:
            there[coords] = True
            await array[tuple(slice(index * chunk, (index + 1) * chunk) for index, chunk in zip(coords, array.chunks, strict=True))].write(1)
    return array, there


@layouts
async def test_presence_is_of_the_chunks_that_were_written(layout: dict[str, Any], tmp_path: Path):
    for source in ({}, tmp_path, Conditional()):
        array, there = await partly(source, layout)
        found = await array.presence()
        assert found.dtype == bool
        assert found.tolist() == there.tolist()


@layouts
async def test_presence_where_the_store_cannot_list(layout: dict[str, Any]):
    store: dict[str, bytes] = {}
    _, there = await partly(store, layout)
    array = await azarr.open_array(waiting(store), "x")
    assert (await array.presence()).tolist() == there.tolist()


@layouts
async def test_bytes_stored_are_those_of_the_objects(layout: dict[str, Any], tmp_path: Path):
    store: dict[str, bytes] = {}
    array, _ = await partly(store, layout)
    expected = sum(len(data) for key, data in store.items() if not key.rpartition("/")[2].startswith(("zarr.json", ".z")))
    await partly(tmp_path, layout)
    nodes = [array, await azarr.open_array(tmp_path, "x"), await azarr.open_array(waiting(store), "x")]
    assert [await node.nbytes_stored() for node in nodes] == [expected] * 3


async def test_objects_that_are_no_chunks_of_the_array_do_not_count():
    store: dict[str, bytes] = {}
    array = await azarr.save(store, "x", np.arange(1, 5, dtype="u1"), chunks=(2,), compressors=None)
    store |= {"x/c/2": b"??", "x/c/01": b"?", "x/c/0/0": b"?", "x/c": b"?", "x/c/-1": b"?", "x/c/" + "9" * 30: b"?", "x/notes": b"?", "y/c/0": b"?"}
    assert (await array.presence()).tolist() == [True, True]
    assert await array.nbytes_stored() == 4


async def test_sizes_that_a_store_does_not_tell_are_those_of_the_whole_objects():
    store: dict[str, bytes] = {}
    await azarr.save(store, "", np.arange(1, 5, dtype="u1"), chunks=(2,), compressors=None)
    inner = waiting(store)

    class Silent:
        async def get(self, key: str, byte_range: Any = None) -> Any:
            value = await inner.get(key, byte_range)
            return value and value._replace(size=None)

    assert await (await azarr.open_array(Silent())).nbytes_stored() == 4


async def test_presence_of_more_chunks_than_a_result_may_have_is_refused():
    array = await azarr.create_array({}, shape=(1 << 62,), chunks=(1,), dtype="u1")
    with pytest.raises(LimitExceeded, match="an element for each chunk"):
        await array.presence()


async def test_a_damaged_shard_index_is_an_error_of_presence():
    store: dict[str, bytes] = {}
    array = await azarr.save(store, "", np.arange(1, 9, dtype="u1"), chunks=(2,), shards=(4,))
    store["c/0"] = store["c/0"][:-1] + b"?"
    with pytest.raises(StoreError, match="'c/0' of"):
        await array.presence()


# Compacting


def with_gaps(shard: bytes, counts: int, gap: int) -> bytes:
    """The same inner chunks, as a writer leaves them that appends: with a gap before each, and in reverse."""
    index = np.frombuffer(shard[-16 * counts - 4 : -4], "<u8").reshape(-1, 2).copy()
    data = b""
    for row in range(counts)[::-1]:
        if index[row, 0] != 2**64 - 1:
            begin, nbytes = map(int, index[row])
            data += b"\xee" * gap
            index[row, 0] = len(data)
            data += shard[begin : begin + nbytes]
    return data + index.tobytes() + crc32c(index.tobytes()).to_bytes(4, "little")


async def gapped(store: Any) -> tuple[azarr.Array, np.ndarray]:
    values = np.arange(1, 41, dtype="u2")
    values[4:8] = 0
    array = await azarr.save(store, "x", values, chunks=(2,), shards=(20,))
    for number in range(2):
        shard = bytes((await array.store.get(f"x/c/{number}")).data)
        await array.store.set(f"x/c/{number}", with_gaps(shard, 10, 50 * number))
    return array, values


async def test_compacting_closes_gaps_and_nothing_else(tmp_path: Path):
    for source in ({}, tmp_path, Conditional()):
        array, values = await gapped(source)
        before, stored, there = await array.nbytes_stored(), bytes((await array.store.get("x/c/0")).data), await array.presence()
        assert (await array[...]).tolist() == values.tolist()
        assert await array.compact() == 50 * 10
        assert await array.nbytes_stored() == before - 50 * 10
        assert bytes((await array.store.get("x/c/0")).data) == stored  # it had none
        assert (await array[...]).tolist() == values.tolist()
        assert (await array.presence()).tolist() == there.tolist()
        assert await array.compact() == 0


async def test_compacting_deletes_a_shard_with_nothing_in_it():
    store: dict[str, bytes] = {}
    array, _ = await gapped(store)
    empty = np.full(20, 2**64 - 1, "<u8").tobytes()
    store["x/c/1"] = b"gap" + empty + crc32c(empty).to_bytes(4, "little")
    await array.compact()
    assert "x/c/1" not in store
    assert (await array[20:]).tolist() == [0] * 20


async def test_compacting_what_has_no_shards_does_nothing_and_what_was_opened_to_read_is_refused():
    store: dict[str, bytes] = {}
    array = await azarr.save(store, "x", [1, 2])
    assert await array.compact() == 0
    with pytest.raises(ReadOnly):
        await (await azarr.open_array(store, "x")).compact()


async def test_a_damaged_shard_is_an_error_of_compacting_and_stays():
    store: dict[str, bytes] = {}
    array, _ = await gapped(store)
    store["x/c/1"] = store["x/c/1"][:20]
    before = dict(store)
    with pytest.raises(ShardIndexError, match="'x/c/1' of"):
        await array.compact()
    assert store["x/c/1"] == before["x/c/1"]


async def test_compacting_loses_no_write_of_others():
    array, _ = await gapped(Conditional())
    store, written = array.store, list[int]()
    really = store.replace

    async def replace(key: str, data: Any, version: str | None) -> bool:
        if not written:
            written.append(1000)
            other = await azarr.open_array(MemoryStore(store.mapping), "x", mode="r+")
            await other[20].write(written[-1])
        return await really(key, data, version)

    store.replace = replace
    await array.compact()
    assert written == [1000]
    assert await array[20] == 1000
    assert (await array[21:]).tolist() == list(range(22, 41))


async def test_compacting_gives_up_where_others_always_come_first():
    array, _ = await gapped(Conditional())

    async def replace(key: str, data: Any, version: str | None) -> bool:
        return False

    array.store.replace = replace
    with pytest.raises(WriteConflict, match="was replaced by others 64 times"):
        await array.compact()


# The caller's buffer


@pytest.mark.parametrize("options", [{"chunks": (4,)}, {"chunks": (2,), "shards": (4,)}, {"chunks": (8,)}], ids=str)
async def test_values_are_the_callers_again_when_a_write_returns(options: dict[str, Any], tmp_path: Path):
    for source in ({}, tmp_path, Conditional()):
        values = np.arange(1, 9, dtype="i4")
        array = await azarr.create_array(source, shape=(8,), dtype="i4", compressors=None, **options)
        await array[...].write(values)
        values[...] = -1
        assert (await array[...]).tolist() == list(range(1, 9))
        values[...] = range(8)
        await array[1:4].write(values[1:4])
        values[...] = -1
        assert (await array[...]).tolist() == [1, 1, 2, 3, 5, 6, 7, 8]
        assert values.tolist() == [-1] * 8


async def test_a_write_does_not_change_what_it_is_given(tmp_path: Path):
    for source in ({}, LocalStore(tmp_path)):
        values = np.arange(8, dtype=">i4")
        values.flags.writeable = False
        array = await azarr.save(source, "", values, chunks=(3,), compressors="blosc")
        assert (await array[...]).tolist() == list(range(8))


async def test_keys_beyond_the_array_are_of_no_chunk():
    array = await azarr.create_array({}, "t", shape=(10, 4), chunks=(3, 4), dtype="u1")
    keys = ["t/c/0/0", "t/c/3/0", "t/c/4/0", "t/c/0/1", "t/c/0", "u/c/0/0"]
    assert [coords_of(array.target, key) for key in keys] == [(0, 0), (3, 0), None, None, None, None]
    scalar, empty = [await azarr.create_array({}, shape=shape, dtype="u1") for shape in ((), (0,))]
    assert (coords_of(scalar.target, "c"), coords_of(empty.target, "c/0")) == ((), None)
