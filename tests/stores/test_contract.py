"""What every store promises, over every store there is (see `kinds`)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kinds import ATOMIC, LISTING, READABLE, WRITABLE, Kind

import azarr
from azarr.errors import InvalidKey, NodeNotFound
from azarr.stores import Listing, WritableStore
from documents import sharded, v2_array, v2_store, v3_array, v3_store

readable = pytest.mark.parametrize("kind", READABLE, ids=lambda kind: kind.__name__)
listing = pytest.mark.parametrize("kind", LISTING, ids=lambda kind: kind.__name__)
writable = pytest.mark.parametrize("kind", WRITABLE, ids=lambda kind: kind.__name__)
TEN = bytes(range(10))
OBJECTS = {"ten": TEN, "empty": b"", "a/b/c": b"deep", "a/b.c": b"sibling", "ab/c": b"other"}
SECRETS = (
    "../secret",
    "a/../../secret",
    "/etc/hostname",
    "..",
    "a\\..\\..\\secret",
    "C:\\secret",
    "a\0b",
    "",
    "a//b",
    "a/",
    ".",
    "./ten",
    "a/./b",
)


def data_of(value: Any) -> bytes | None:
    return None if value is None else bytes(value.data)


@readable
async def test_get_gives_all_of_an_object_and_its_size(kind: Kind, tmp_path: Path):
    async with kind(OBJECTS, tmp_path) as store:
        value = await store.get("ten")
        assert (data_of(value), value.size) == (TEN, 10)
        assert data_of(await store.get("a/b/c")) == b"deep"


@readable
async def test_missing_is_none_and_empty_is_not_missing(kind: Kind, tmp_path: Path):
    async with kind(OBJECTS, tmp_path) as store:
        for key in ("nine", "a/b/d", "x/y/z", "ten.", "Ten"):
            assert await store.get(key) is None
            assert await store.get(key, (0, 2)) is None
            assert await store.get(key, (-2, None)) is None
        value = await store.get("empty")
        assert (data_of(value), value.size) == (b"", 0)


@readable
@pytest.mark.parametrize(
    ("byte_range", "expected"),
    [
        ((0, 10), TEN),
        ((0, 1), b"\0"),
        ((3, 7), b"\3\4\5\6"),
        ((9, 10), b"\x09"),
        ((4, None), TEN[4:]),
        ((0, None), TEN),
        ((-3, None), b"\7\x08\x09"),
        ((-10, None), TEN),
        ((-99, None), TEN),
        ((8, 99), b"\x08\x09"),
        ((5, 5), b""),
        ((10, 12), b""),
        ((99, 100), b""),
        ((99, None), b""),
    ],
    ids=str,
)
async def test_a_range_gives_those_bytes_as_far_as_there_are_any(kind: Kind, byte_range: Any, expected: bytes, tmp_path: Path):
    async with kind(OBJECTS, tmp_path) as store:
        value = await store.get("ten", byte_range)
        assert data_of(value) == expected
        assert value.size in (10, None)


@readable
async def test_the_end_of_an_empty_object_is_empty(kind: Kind, tmp_path: Path):
    async with kind(OBJECTS, tmp_path) as store:
        assert data_of(await store.get("empty", (-16, None))) == b""


@readable
async def test_ranges_of_one_object_have_one_version(kind: Kind, tmp_path: Path):
    async with kind(OBJECTS, tmp_path) as store:
        assert len({(await store.get("ten", byte_range)).version for byte_range in ((0, 1), (3, 7), (-3, None), (2, None))}) == 1


@readable
async def test_many_readers_at_once_each_get_their_bytes(kind: Kind, tmp_path: Path):
    objects = {f"c/{k}": bytes([k % 251]) * (k * 37 % 5000 + 1) for k in range(200)}
    async with kind(objects, tmp_path) as store:
        whole = await asyncio.gather(*(store.get(key) for key in objects))
        assert [data_of(value) for value in whole] == list(objects.values())
        ends = await asyncio.gather(*(store.get(key, (-1, None)) for key in objects))
        assert [data_of(value) for value in ends] == [data[-1:] for data in objects.values()]


@readable
@pytest.mark.parametrize("key", SECRETS)
async def test_invalid_keys_are_refused(kind: Kind, key: str, tmp_path: Path):
    async with kind(OBJECTS, tmp_path) as store:
        with pytest.raises(InvalidKey, match="is not a key"):
            await store.get(key)
        with pytest.raises(InvalidKey):
            await store.get(key, (0, 1))
        if isinstance(store, WritableStore):
            with pytest.raises(InvalidKey):
                await store.set(key, b"evil")
            with pytest.raises(InvalidKey):
                await store.delete(key)
        if isinstance(store, Listing) and key:
            for listing in (store.list, store.list_dir):
                with pytest.raises(InvalidKey):
                    [name async for name in listing(key)]
    assert not (tmp_path / "secret").exists() or (tmp_path / "secret").read_bytes() == b"outside"


@readable
@pytest.mark.parametrize("path", ["../secret", "a/../../secret", "..", "a\\..\\..\\secret", "a\0b", "__a", "...", "a/zarr.json"])
async def test_paths_that_leave_the_store_are_refused_before_anything_is_asked(kind: Kind, path: str, tmp_path: Path):
    async with kind(OBJECTS, tmp_path) as store:
        for opened in (azarr.open, azarr.open_group, azarr.open_array):
            with pytest.raises(InvalidKey, match="not a path of a node"):
                opened(store, path)
        with pytest.raises(InvalidKey):
            azarr.open(store)[path]


@readable
async def test_keys_may_have_any_other_character(kind: Kind, tmp_path: Path):
    objects = {
        key: key.encode()
        for key in ("a b", "ü/é", "50%", "%2e%2e", "a?b", "a#b", "a&b=c+d", "a;b,c", "a:b", "日本", "'q'", '"', "...", "a..b", "~")
    }
    async with kind(objects, tmp_path) as store:
        for key, data in objects.items():
            assert data_of(await store.get(key)) == data


@readable
@pytest.mark.parametrize("zarr_format", [2, 3])
async def test_arrays_read_right_missing_chunks_included(kind: Kind, zarr_format: int, tmp_path: Path):
    if zarr_format == 2:
        objects = v2_store(v2_array(shape=[10], fill_value=9), {"0": b"\0\1\2\3", "2": b"\x08\x09\0\0"})
    else:
        objects = v3_store(v3_array(shape=[10], fill_value=9), {"c/0": b"\0\1\2\3", "c/2": b"\x08\x09\0\0"})
    async with kind(objects, tmp_path) as store:
        array = await azarr.open_array(store)
        assert array.zarr_format == zarr_format
        assert (await array[...]).tolist() == [0, 1, 2, 3, 9, 9, 9, 9, 8, 9]
        assert (await array[::-3]).tolist() == [9, 9, 3, 0]


@readable
async def test_shards_read_right_whole_and_in_part(kind: Kind, tmp_path: Path):
    shard = bytes(range(1, 5)) + np.array([[0, 2], [2, 2]], "<u8").tobytes()
    objects = v3_store(v3_array(shape=[8], codecs=sharded(2), fill_value=9), {"c/1": shard})
    async with kind(objects, tmp_path) as store:
        array = await azarr.open_array(store)
        assert (await array[...]).tolist() == [9, 9, 9, 9, 1, 2, 3, 4]
        assert (await array[3:6]).tolist() == [9, 1, 2]
        assert (await array[7]) == 4


@readable
async def test_no_node_is_node_not_found(kind: Kind, tmp_path: Path):
    async with kind(OBJECTS, tmp_path) as store:
        for path in ("", "a", "nowhere/at/all"):
            with pytest.raises(NodeNotFound) as caught:
                await azarr.open(store, path)
            assert caught.value.path == (path or "/")
            assert "zarr.json" in str(caught.value)


@writable
async def test_what_was_set_is_there_until_it_is_deleted(kind: Kind, tmp_path: Path):
    async with kind({}, tmp_path) as store:
        await store.set("a/b", b"one")
        assert data_of(await store.get("a/b")) == b"one"
        await store.set("a/b", b"")
        assert data_of(await store.get("a/b")) == b""
        await store.set("a/b", b"three" * 50_000)
        assert data_of(await store.get("a/b")) == b"three" * 50_000
        await store.delete("a/b")
        assert await store.get("a/b") is None
        await store.delete("a/b")  # nothing is there, and that is fine


@writable
async def test_set_takes_any_buffer_and_keeps_a_copy(kind: Kind, tmp_path: Path):
    async with kind({}, tmp_path) as store:
        for data in (bytearray(b"1234"), np.frombuffer(bytearray(b"1234"), np.uint8), memoryview(bytearray(b"1234"))):
            await store.set("key", data)
            data[0] = 0
            assert data_of(await store.get("key")) == b"1234"


@listing
async def test_listing_gives_names_right_below_and_all_keys_below(kind: Kind, tmp_path: Path):
    async with kind(OBJECTS, tmp_path) as store:
        assert sorted([name async for name in store.list_dir("")]) == ["a/", "ab/", "empty", "ten"]
        assert sorted([name async for name in store.list_dir("a")]) == ["b.c", "b/"]
        assert sorted([key async for key in store.list("")]) == sorted(OBJECTS)
        assert sorted([key async for key in store.list("a")]) == ["a/b.c", "a/b/c"]
        assert [key async for key in store.list("nowhere")] == [name async for name in store.list_dir("nowhere")] == []


@pytest.mark.parametrize("kind", ATOMIC, ids=lambda kind: kind.__name__)
async def test_readers_beside_a_writer_see_the_old_object_or_the_new_one(kind: Kind, tmp_path: Path):
    async with kind({"key": b"\0" * 100_000}, tmp_path) as store:

        async def write() -> None:
            for k in range(1, 40):
                await store.set("key", bytes([k]) * (100_000 + k))

        async def read() -> list[int]:
            seen: list[int] = []
            while not writer.done():
                data = data_of(await store.get("key"))
                assert data is not None
                assert data == data[:1] * (100_000 + data[0])
                seen.append(data[0])
            return seen

        writer = asyncio.create_task(write())
        for seen in await asyncio.gather(*(read() for _ in range(4))):
            assert seen == sorted(seen)
        await writer


@writable
async def test_array_written_through_the_store_reads_back(kind: Kind, tmp_path: Path):
    values = np.arange(600, dtype="int32").reshape(20, 30)
    async with kind({}, tmp_path) as store:
        array = await azarr.create_array(store, "g/a", shape=(20, 30), dtype="int32", chunks=(4, 7), shards=(8, 14))
        await array[...].write(values)
        group = await azarr.open_group(store)
        assert await group.keys() == ["g"]
        assert np.array_equal(await group["g/a"][3:, ::-2], values[3:, ::-2])
