"""Decoded chunks that a context keeps: read again without asking, never older than a write of this process, never changed by readers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr import Context
from azarr._engine.chunk_cache import cache_of
from azarr.stores import ByteRange, LocalStore, MemoryStore, Value
from azarr.testing import CountingStore
from documents import regular, sharded, v3_array, v3_store
from fakes import Conditional, Held, HeldBlocking, Waiting, is_chunk, turns

VALUES = np.arange(1, 601, dtype="i4").reshape(20, 30)
FLAT = {"chunks": (7, 8)}
SHARDS = {"chunks": (2, 5), "shards": (10, 10)}
layouts = pytest.mark.parametrize("layout", [FLAT, SHARDS], ids=["chunks", "shards"])


class CountingBlocking(MemoryStore):
    """A store whose reads block; `asked` are the keys of chunks that were read."""

    def __init__(self, mapping: Any) -> None:
        super().__init__(mapping)
        self.asked: list[str] = []

    def whole(self, key: str, scratch: Any) -> Any:
        if is_chunk(key):
            self.asked.append(key)
        return super().whole(key, scratch)

    def into(self, key: str, out: Any) -> Any:
        if is_chunk(key):
            self.asked.append(key)
        return super().into(key, out)

    def part(self, key: str, byte_range: ByteRange, scratch: Any) -> Any:
        self.asked.append(key)  # nothing else is read in parts
        return super().part(key, byte_range, scratch)


class CountingWaiting(CountingStore):
    """The same for a store that waits."""

    @property
    def asked(self) -> list[str]:
        return [key for key, _ in self.requests if is_chunk(key)]


def blocking(documents: dict[str, bytes]) -> Any:
    return CountingBlocking(documents)


def waiting(documents: dict[str, bytes]) -> Any:
    return CountingWaiting(MemoryStore(documents))


ways = pytest.mark.parametrize("way", [blocking, waiting])


async def stored(values: Any = VALUES, **options: Any) -> dict[str, bytes]:
    store: dict[str, bytes] = {}
    await azarr.save(store, "", values, **options)
    return store


# Asked for once


@ways
@layouts
async def test_a_second_read_asks_for_nothing(way: Callable[..., Any], layout: Any):
    store = way(await stored(**layout))
    array = await azarr.open_array(store, zarr_format=3, context=Context(cache="1 MiB"))
    np.testing.assert_array_equal(await array[...], VALUES)
    count = len(store.asked)
    assert count > 0
    for _ in range(2):
        np.testing.assert_array_equal(await array[...], VALUES)
        np.testing.assert_array_equal(await array[3:17, ::-3], VALUES[3:17, ::-3])
        np.testing.assert_array_equal(await array[4], VALUES[4])
        assert await array[19, 29] == 600
    assert len(store.asked) == count


@ways
@layouts
async def test_only_what_is_not_at_hand_is_asked_for(way: Callable[..., Any], layout: Any):
    store = way(await stored(**layout))
    array = await azarr.open_array(store, zarr_format=3, context=Context(cache="1 MiB"))
    np.testing.assert_array_equal(await array[:5], VALUES[:5])
    first = set(store.asked)
    before = len(store.asked)
    np.testing.assert_array_equal(await array[...], VALUES)
    assert len(store.asked) > before
    if "shards" not in layout:
        assert first.isdisjoint(store.asked[before:])


@ways
async def test_without_a_cache_each_read_asks_again(way: Callable[..., Any]):
    store = way(await stored(**FLAT))
    array = await azarr.open_array(store, zarr_format=3, context=Context())
    for _ in range(3):
        assert await array[0, 0] == 1
    assert store.asked == ["c/0/0"] * 3


async def test_opening_again_reads_again():
    documents = await stored(**FLAT)
    context = Context(cache="1 MiB")
    array = await azarr.open_array(waiting(documents), zarr_format=3, context=context)
    assert await array[0, 0] == 1
    other = await stored(VALUES + 1, **FLAT)
    documents["c/0/0"] = other["c/0/0"]  # by another process
    assert await array[0, 0] == 1
    assert await azarr.open_array(waiting(documents), zarr_format=3, context=context)[0, 0] == 2


def replaced(documents: dict[str, bytes], other: dict[str, bytes]) -> None:
    """By another process."""
    documents.update({key: data for key, data in other.items() if is_chunk(key)})


@ways
async def test_one_read_has_chunks_of_one_version_of_a_shard(way: Callable[..., Any]):
    options: dict[str, Any] = {"chunks": (2,), "shards": (8,), "dtype": "u1", "compressors": None}
    documents = await stored(np.full(8, 1), **options)
    array = await azarr.open_array(way(documents), zarr_format=3, context=Context(cache="1 MiB"))
    assert (await array[0:2]).tolist() == [1, 1]
    replaced(documents, await stored(np.full(8, 2), **options))
    assert (await array[0:6]).tolist() == [2, 2, 2, 2, 2, 2]
    assert (await array[0:2]).tolist() == [2, 2]


@ways
async def test_chunks_that_were_kept_of_two_versions_of_a_shard_are_read_again(way: Callable[..., Any]):
    options: dict[str, Any] = {"chunks": (2,), "shards": (8,), "dtype": "u1", "compressors": None}
    documents = await stored(np.full(8, 1), **options)
    array = await azarr.open_array(way(documents), zarr_format=3, context=Context(cache="1 MiB"))
    assert (await array[0:2]).tolist() == [1, 1]
    replaced(documents, await stored(np.full(8, 2), **options))
    assert (await array[2:4]).tolist() == [2, 2]
    assert (await array[0:4]).tolist() == [2, 2, 2, 2]


@ways
async def test_a_read_of_several_jobs_for_one_shard_begins_again_without_what_was_kept_of_an_older_one(way: Callable[..., Any]):
    options: dict[str, Any] = {"chunks": (1 << 20,), "shards": (40 << 20,), "dtype": "u1", "compressors": None}
    documents = await stored(np.full(40 << 20, 1, "u1"), **options)
    array = await azarr.open_array(way(documents), zarr_format=3, context=Context(cache="64 MiB"))
    assert (await array[-5:]).tolist() == [1] * 5
    replaced(documents, await stored(np.full(40 << 20, 2, "u1"), **options))
    steps: list[tuple[int, int]] = []
    assert set((await array[...].read(progress=lambda *step: steps.append(step))).tolist()) == {2}
    assert steps[-1] == (40, 40)
    assert (await array[-5:]).tolist() == [2] * 5


# What is kept


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (lambda array: array.oindex[[0, 19, 3], [2, 2, 29]], VALUES[np.ix_([0, 19, 3], [2, 2, 29])]),
        (lambda array: array.vindex[[19, 0, 7, 0], [29, 0, 8, 0]], np.array([600, 1, 219, 1])),
        (lambda array: array[::-1, 5:6], VALUES[::-1, 5:6]),
        (lambda array: array[np.arange(20) % 6 == 1], VALUES[np.arange(20) % 6 == 1]),
    ],
    ids=["orthogonal", "points", "reversed", "mask"],
)
@ways
@layouts
async def test_selections_of_every_kind_are_the_same_from_the_cache(way: Callable[..., Any], layout: Any, select: Any, expected: Any):
    store = way(await stored(**layout))
    array = await azarr.open_array(store, zarr_format=3, context=Context(cache="1 MiB"))
    np.testing.assert_array_equal(await select(array), expected)
    count = len(store.asked)
    np.testing.assert_array_equal(await select(array), expected)
    assert len(store.asked) == count
    await array[...]
    np.testing.assert_array_equal(await select(array), expected)


@ways
@layouts
@pytest.mark.parametrize("order", ["C", "F"])
async def test_into_out_comes_the_same_from_the_cache(way: Callable[..., Any], layout: Any, order: Any):
    array = await azarr.open_array(way(await stored(**layout)), zarr_format=3, context=Context(cache="1 MiB"))
    for _ in range(2):
        out = np.zeros((20, 30), "i4", order=order)
        assert await array[...].read(out=out) is out
        np.testing.assert_array_equal(out, VALUES)
        points = np.zeros(6, "i4")[::2]
        await array.vindex[[0, 19, 7], [0, 29, 8]].read(out=points)
        assert points.tolist() == [1, 600, 219]


@ways
async def test_fields_of_a_struct_come_from_one_chunk(way: Callable[..., Any]):
    values = np.array([(1, 1.5), (2, 2.5), (3, 3.5)], [("n", "i2"), ("x", "f8")])
    store = way(await stored(values, chunks=(2,)))
    array = await azarr.open_array(store, zarr_format=3, context=Context(cache="1 MiB"))
    assert (await array["n"][...]).tolist() == [1, 2, 3]
    count = len(store.asked)
    assert (await array["x"][1:]).tolist() == [2.5, 3.5]
    assert (await array[["x"]][...]).tolist() == [(1.5,), (2.5,), (3.5,)]
    assert (await array[...]).tolist() == [(1, 1.5), (2, 2.5), (3, 3.5)]
    assert len(store.asked) == count


@ways
async def test_transposed_chunks_and_other_byte_orders_are_the_same_from_the_cache(way: Callable[..., Any]):
    values = VALUES.astype(">i4")
    store = way(await stored(values, chunks=(7, 8), filters={"name": "transpose", "configuration": {"order": [1, 0]}}))
    array = await azarr.open_array(store, zarr_format=3, context=Context(cache="1 MiB"))
    for _ in range(2):
        np.testing.assert_array_equal(await array[...], VALUES)
        np.testing.assert_array_equal(await array[2:9, 29:1:-4], VALUES[2:9, 29:1:-4])


@ways
async def test_strings_are_right_and_asked_for_each_time(way: Callable[..., Any]):
    store = way(await stored(np.array(["a", "bb", "c" * 100_000]), dtype=str, chunks=(2,)))
    context = Context(cache="1 MiB")
    array = await azarr.open_array(store, zarr_format=3, context=context)
    for _ in range(2):
        assert (await array[...]).tolist() == ["a", "bb", "c" * 100_000]
    assert sorted(store.asked) == ["c/0", "c/0", "c/1", "c/1"]  # their size is not known, so they could not be bounded


@ways
async def test_absent_chunks_read_as_fill_values_and_are_asked_for_each_time(way: Callable[..., Any]):
    documents = await stored(**FLAT, fill_value=-1)
    del documents["c/0/0"]
    array = await azarr.open_array(way(documents), zarr_format=3, context=Context(cache="1 MiB"))
    assert await array[0, 0] == -1
    documents["c/0/0"] = (await stored(**FLAT))["c/0/0"]
    assert await array[0, 0] == 1


@ways
async def test_shards_in_shards_are_the_same_from_the_cache(way: Callable[..., Any]):
    inside = bytes([1, 2]) + np.array([[0, 1], [1, 1]], "<u8").tobytes()  # a shard of two chunks of one element
    both = inside + bytes([3, 4]) + inside[2:]
    shard = both + np.array([[0, len(inside)], [len(inside), len(inside)]], "<u8").tobytes()
    document = v3_array(shape=[8], chunk_grid=regular(4), codecs=sharded(2, codecs=sharded(1)))
    array = await azarr.open_array(way(v3_store(document, {"c/0": shard, "c/1": shard})), context=Context(cache="1 MiB"))
    for _ in range(2):
        assert (await array[...]).tolist() == [1, 2, 3, 4, 1, 2, 3, 4]
        assert (await array[3:6]).tolist() == [4, 1, 2]


@ways
@layouts
async def test_what_a_read_gives_is_the_callers_to_change(way: Callable[..., Any], layout: Any):
    array = await azarr.open_array(way(await stored(**layout)), zarr_format=3, context=Context(cache="1 MiB"))
    for _ in range(3):
        for selection in (slice(None), (slice(0, 7), slice(0, 8)), (slice(0, 2), slice(0, 5)), 0):
            found = await array[selection]
            np.testing.assert_array_equal(found, VALUES[selection])
            found[...] = -1


# The bound


@ways
async def test_the_bound_is_in_bytes_and_the_longest_unused_go_first(way: Callable[..., Any]):
    store = way(await stored(np.arange(1000, dtype="u1") % 251, chunks=(100,)))
    context = Context(cache=1500)
    array = await azarr.open_array(store, zarr_format=3, context=context)
    cache = cache_of(context)
    assert cache is not None
    for number in range(10):
        await array[100 * number]
        await array[0]
        assert cache.nbytes <= 1500
    assert store.asked == [f"c/{number}" for number in range(10)]
    for number in (9, 8, 7, 0):
        await array[100 * number]
    assert len(store.asked) == 10
    await array[100]
    assert len(store.asked) == 11


@ways
async def test_a_chunk_larger_than_the_cache_is_not_kept(way: Callable[..., Any]):
    store = way(await stored(**FLAT))
    context = Context(cache=100)
    array = await azarr.open_array(store, zarr_format=3, context=context)
    for _ in range(2):
        assert await array[0, 0] == 1
    assert store.asked == ["c/0/0"] * 2
    cache = cache_of(context)
    assert cache is not None
    assert cache.nbytes == 0


async def test_a_part_of_a_chunk_keeps_no_more_than_the_chunk():
    store = waiting(await stored(np.zeros(1 << 20, "u1") + 1, chunks=(1 << 16,), shards=(1 << 20,)))
    context = Context(cache="1 MiB")
    array = await azarr.open_array(store, zarr_format=3, context=context)
    assert await array[5] == 1
    cache = cache_of(context)
    assert cache is not None
    assert 1 << 16 <= cache.nbytes < (1 << 16) + 1000


# Writes


def memory(folder: Path) -> Any:
    return MemoryStore()


def local(folder: Path) -> Any:
    return LocalStore(folder)


def unversioned(folder: Path) -> Any:
    return Waiting()


def conditional(folder: Path) -> Any:
    return Conditional()


stores = pytest.mark.parametrize("made", [memory, local, unversioned, conditional], ids=lambda made: made.__name__)


@stores
@layouts
async def test_what_any_handle_of_this_process_writes_is_seen(made: Any, layout: Any, tmp_path: Path):
    store, context = made(tmp_path), Context(cache="1 MiB")
    await azarr.save(store, "var", VALUES, context=context, **layout)
    reader = await azarr.open_array(store, "var", context=context)
    writer = await azarr.open_array(store, "var", mode="r+", context=context)
    other = await azarr.open_array(store, "var", mode="r+")
    expected = VALUES.copy()
    for number, handle in enumerate((writer, other, writer)):
        np.testing.assert_array_equal(await reader[...], expected)
        np.testing.assert_array_equal(await writer[...], expected)
        await handle[number : number + 9, 4].write(-number)
        expected[number : number + 9, 4] = -number
        np.testing.assert_array_equal(await reader[...], expected)
        np.testing.assert_array_equal(await writer[...], expected)
    await writer[...].write(0)
    assert (await reader[...]).sum() == 0
    await azarr.save(store, "var", VALUES, overwrite=True, **layout)
    np.testing.assert_array_equal(await reader[...], VALUES)


async def test_writes_are_seen_through_other_stores_of_the_same_place(tmp_path: Path):
    mapping: dict[str, bytes] = {}
    for one, other in ((MemoryStore(mapping), MemoryStore(mapping)), (LocalStore(tmp_path), LocalStore(f"{tmp_path}/."))):
        writer = await azarr.save(one, "var", VALUES, chunks=(7, 8))
        reader = await azarr.open_array(other, "var", context=Context(cache="1 MiB"))
        assert await reader[0, 0] == 1
        await writer[0, 0].write(9)
        assert await reader[0, 0] == 9


async def test_a_copy_over_an_array_is_seen():
    store: dict[str, bytes] = {}
    await azarr.save(store, "one", VALUES, chunks=(7, 8))
    await azarr.save(store, "two", VALUES + 1, chunks=(7, 8))
    reader = await azarr.open_array(store, "one", context=Context(cache="1 MiB"))
    assert await reader[0, 0] == 1
    await azarr.copy(await azarr.open_array(store, "two"), store, "one", overwrite=True)
    assert await reader[0, 0] == 2


class Lost(Waiting):
    """A store where a write takes place, but its answer is lost."""

    async def set(self, key: str, data: Any) -> None:
        await super().set(key, data)
        if self.armed and is_chunk(key):
            raise OSError("the connection was lost")


async def test_a_write_of_which_nobody_knows_whether_it_took_place_is_seen_if_it_did():
    store = Lost()
    writer = await azarr.save(store, "", VALUES, chunks=(7, 8))
    reader = await azarr.open_array(store, context=Context(cache="1 MiB"))
    assert await reader[0, 0] == 1
    store.armed = True
    with pytest.raises(azarr.errors.StoreError, match="the connection was lost"):
        await writer[:7, :8].write(9)
    assert await reader[0, 0] == 9


# What arrives late


class Late(Held):
    """A store whose first answer is made when it is asked, and comes when the gate opens."""

    versions = True

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        if not is_chunk(key):
            return await self.inner.get(key)
        answer = await self.inner.get(key, byte_range)
        if answer is not None and not self.versions:
            answer = Value(answer.data, None, answer.size)
        first = not self.reached.is_set()
        self.reached.set()
        if first:
            await self.gate.wait()
        return answer

    async def set(self, key: str, data: Any) -> None:
        await self.inner.set(key, data)

    async def delete(self, key: str) -> None:
        await self.inner.delete(key)


async def test_an_old_chunk_that_arrives_after_a_write_is_not_kept():
    store = Late(await stored(np.ones(4, "u1"), chunks=(4,)))
    context = Context(cache="1 MiB")
    reader = await azarr.open_array(store, context=context)
    writer = await azarr.open_array(store, mode="r+", context=context)
    reading = asyncio.create_task(reader[...].read())
    await store.reached.wait()
    await writer[...].write([2, 3, 4, 5])
    store.gate.set()
    assert (await reading).tolist() == [1, 1, 1, 1]  # it was begun before the write
    assert (await reader[...]).tolist() == [2, 3, 4, 5]


async def test_who_reads_after_a_write_does_not_share_a_request_from_before():
    store = Late(await stored(np.ones(4, "u1"), chunks=(4,)))
    context = Context()
    reader = await azarr.open_array(store, context=context)
    writer = await azarr.open_array(store, mode="r+", context=context)
    early = asyncio.create_task(reader[...].read())
    await store.reached.wait()
    await writer[...].write([2, 3, 4, 5])
    late = asyncio.create_task(reader[...].read())
    await turns()
    store.gate.set()
    assert (await late).tolist() == [2, 3, 4, 5]
    assert (await early).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("versions", [True, False], ids=["versions", "no versions"])
async def test_who_reads_after_a_write_does_not_share_the_index_of_a_shard_from_before(versions: bool):
    old, new = np.array([1, 2, 3, 4], "u1"), np.array([0, 0, 7, 8], "u1")  # absent chunks, so that the index is another
    store, context = Late(await stored(old, chunks=(1,), shards=(4,))), Context()
    store.versions = versions
    reader = await azarr.open_array(store, context=context)
    writer = await azarr.open_array(store, mode="r+", context=context)
    early = asyncio.create_task(reader[:3].read())
    await store.reached.wait()
    await writer[...].write(new)
    late = asyncio.create_task(reader[:3].read())
    await turns()
    store.gate.set()
    assert (await late).tolist() == [0, 0, 7]
    with contextlib.suppress(azarr.errors.CorruptData):  # where there are no versions, it may notice by chance, or not
        await early


async def test_an_old_chunk_that_a_thread_read_before_a_write_is_not_kept():
    documents = await stored(np.ones(4, "u1"), chunks=(4,))

    class Slow(HeldBlocking):
        def call(self, key: str, read: Callable[[], Any]) -> Any:
            found = read()
            return super().call(key, lambda: found)

    store, context = Slow(documents), Context(cache="1 MiB")
    reader = await azarr.open_array(store, context=context)
    reading = asyncio.create_task(reader[...].read())
    await asyncio.to_thread(store.reached.wait)
    writer = await azarr.open_array(documents, mode="r+")
    await writer[...].write([2, 3, 4, 5])
    store.gate.set()
    assert (await reading).tolist() == [1, 1, 1, 1]
    assert (await reader[...]).tolist() == [2, 3, 4, 5]


async def test_many_readers_and_writers_at_once_never_read_what_was_overwritten_before():
    documents = await stored(np.zeros(64, "i8"), chunks=(4,))
    context = Context(cache=2000)
    store = Conditional(documents)
    reader = await azarr.open_array(store, context=context)
    writer = await azarr.open_array(store, mode="r+", context=context)
    latest = np.zeros(64, "i8")

    async def write(number: int) -> None:
        place = number * 7 % 61
        await writer[place : place + 3].write(number)
        latest[place : place + 3] = np.maximum(latest[place : place + 3], number)

    async def read() -> None:
        before = latest.copy()
        assert (await reader[...] >= before).all()

    for number in range(1, 200, 10):
        await asyncio.gather(*(write(each) for each in range(number, number + 10)), *(read() for _ in range(5)))
