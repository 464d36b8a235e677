"""Writing any selection: what is stored afterwards is what NumPy would hold, and nothing else was touched."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import azarr
import keys
from azarr.errors import ChunkDecodeError, PartialWrite, StoreError, WriteConflict
from azarr.stores import LocalStore, MemoryStore
from conftest import run
from drawing import examples
from fakes import Conditional, Waiting

DTYPES = ("i4", ">f4", "bool", "M8[s]", "U3", [("x", "i2"), ("y", "f4", (2,))], str, bytes)


@st.composite
def layouts(draw: st.DrawFn, shape: tuple[int, ...]) -> dict[str, Any]:
    """Arguments of `create_array`: chunks or shards, both formats and orders."""
    inner = tuple(draw(st.integers(1, 4)) for _ in shape)
    kind = draw(st.sampled_from(("v2", "v3", "shards", "shards", "transposed shards", "compressed shards")))
    options: dict[str, Any] = {"shape": shape, "chunks": inner, "compressors": draw(st.sampled_from((None, "gzip")))}
    if kind == "v2":
        return options | {"zarr_format": 2, "order": draw(st.sampled_from("CF"))}
    if kind == "v3":
        return options | {"order": draw(st.sampled_from("CF"))}
    shards = tuple(size * draw(st.integers(1, 3)) for size in inner)
    if kind == "compressed shards":
        little = {"name": "bytes", "configuration": {"endian": "little"}}
        codecs = {"chunk_shape": list(inner), "codecs": [little], "index_codecs": [little, "crc32c"]}
        names = {"name": "sharding_indexed", "configuration": codecs}
        return options | {"chunks": shards, "serializer": names, "compressors": "gzip"}
    return options | {"shards": shards, "order": "F" if kind == "transposed shards" else "C"}


def numbered(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.arange(int(np.prod(shape))).reshape(shape)


def selected(data: st.DataObject, array: Any, where: np.ndarray[Any, Any]) -> tuple[Any, np.ndarray[Any, Any]]:
    """A random selection of `array`, and what it selects of `where`."""
    kind = data.draw(st.sampled_from(("basic", "orthogonal", "points", "points of a selection") if where.ndim else ("basic",)))
    if kind == "basic":
        key = data.draw(keys.basic_keys(where.shape))
        return array[key], where[(*key, ...) if ... not in key else key]
    if kind == "points":
        key = data.draw(keys.point_keys(where.shape))
        return array.vindex[key], keys.vectorised(where, key)
    key = data.draw(keys.orthogonal_keys(where.shape))
    part, once = array.oindex[key], keys.orthogonal(where, key)
    if kind == "orthogonal" or not once.ndim or not once.size:
        return part, once
    points = data.draw(keys.point_keys(once.shape))
    return part.vindex[points], keys.vectorised(once, points)


def stores() -> dict[str, Callable[[], Any]]:
    return {"memory": MemoryStore, "waiting": Waiting, "conditional": Conditional}


@pytest.mark.parametrize("make", stores().values(), ids=stores())
@given(shape=keys.SHAPES, data=st.data())
@examples(150)
def test_what_is_written_is_what_numpy_would_hold(make: Callable[[], Any], shape: tuple[int, ...], data: st.DataObject):
    async def go() -> None:
        options = {"dtype": "i4", "fill_value": 7} | data.draw(layouts(shape))
        array = await azarr.create_array(make(), **options)
        model = np.full(shape, 7, array.dtype)
        for _ in range(data.draw(st.integers(1, 4))):
            part, where = selected(data, array, numbered(shape))
            values = data.draw(st.integers(0, 100)) + np.arange(where.size).reshape(where.shape) % 50
            if data.draw(st.booleans()):
                values = data.draw(st.sampled_from((7, 3)))
            assert part.shape == where.shape
            await part.write(values, write_empty=data.draw(st.booleans()))
            model.reshape(-1)[where] = values
            assert np.array_equal(await array[...], model)

    run(go())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
async def test_parts_of_chunks_of_every_kind_of_data_type(dtype: Any):
    for options in ({"chunks": (3,)}, {"chunks": (3,), "shards": (6,)}) if not isinstance(dtype, list) else ({"chunks": (3,), "zarr_format": 2},):
        array = await azarr.create_array({}, shape=(10,), dtype=dtype, **options)
        model = await array[...]
        values = np.array([b"a", b"b", b"c", b"d"] if dtype is bytes else ["a", "b", "c", "d"] if dtype in (str, "U3") else [1] * 4, array.dtype)
        await array[2:6].write(values)
        model[2:6] = values
        await array.vindex[[9, 0]].write(values[:2])
        model[[9, 0]] = values[:2]
        assert repr(await array[...]) == repr(model)  # NaT is not equal to itself


async def test_a_field_is_written_by_itself():
    array = await azarr.create_array({}, shape=(5,), dtype=[("x", "u1"), ("y", "f4"), ("z", "i8")], chunks=(2,))
    await array["x"][1:4].write([1, 2, 3])
    await array[["y", "z"]][:2].write(np.array([(1.5, -1), (2.5, -2)], [("y", "f4"), ("z", "i8")]))
    assert (await array[...]).tolist() == [(0, 1.5, -1), (1, 2.5, -2), (2, 0, 0), (3, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize("options", [{}, {"shards": (4,)}], ids=["chunks", "shards"])
async def test_a_field_of_chunks_that_are_not_there_leaves_the_others_at_their_fill_value(options: dict[str, Any]):
    dtype = [("x", "i8"), ("y", "f8")]
    for _ in range(20):  # what memory happens to hold
        array = await azarr.create_array({}, shape=(4,), dtype=dtype, chunks=(2,), fill_value=np.array((7, 1.5), dtype), **options)
        await array["x"].write(3)
        assert (await array[...]).tolist() == [(3, 1.5)] * 4


async def test_an_error_that_is_not_of_the_store_says_how_far_the_write_came():
    array = await azarr.create_array({}, shape=(2,), dtype=bytes, chunks=(1,), context=azarr.Context(workers=1))
    with pytest.raises(TypeError) as caught:
        await array[...].write(np.array([b"a", "no bytes"], object))
    assert caught.value.__notes__ == ["of the objects that were begun: 1 done, 1 failed, 0 unknown"]


async def test_of_what_is_written_to_one_place_the_last_stays():
    array = await azarr.create_array({}, shape=(4,), dtype="u1", chunks=(3,))
    await array.oindex[[3, 1, 3, 1]].write([1, 2, 3, 4])
    assert (await array[...]).tolist() == [0, 4, 0, 3]


async def test_inner_chunks_that_are_not_touched_keep_their_bytes():
    store: dict[str, bytes] = {}
    array = await azarr.create_array(store, shape=(8,), dtype="u1", chunks=(2,), shards=(8,), compressors="gzip")
    await array[...].write(np.arange(8))
    before = await inner_chunks(array, store)
    damaged = bytearray(store["c/0"])
    damaged[12] ^= 0xFF  # of an inner chunk that is not touched: it is not even decoded
    store["c/0"] = bytes(damaged)
    await array[3:5].write(9)
    after = await inner_chunks(array, store)
    assert after[3] == before[3]
    assert after[1] != before[1]
    assert (await array[2:]).tolist() == [2, 9, 9, 5, 6, 7]


async def inner_chunks(array: azarr.Array, store: dict[str, bytes]) -> list[bytes | None]:
    from azarr.scratch import Scratch

    raw = np.frombuffer(store["c/0"], np.uint8)
    parts = [None if entry is None else raw[slice(*entry)] for entry in array.layout.shard((0,)).all_entries(raw, Scratch())]
    return [None if part is None else bytes(part) for part in parts]


async def test_a_shard_is_packed_without_gaps_and_is_deleted_when_nothing_is_left_in_it():
    store: dict[str, bytes] = {}
    array = await azarr.create_array(store, shape=(8,), dtype="u1", chunks=(2,), shards=(4,), compressors=None)
    await array[:4].write([1, 2, 3, 4])
    full = len(store["c/0"])
    await array[1].write(5)
    assert len(store["c/0"]) == full
    await array[:2].write(0)
    assert len(store["c/0"]) == full - 2
    await array[2:4].write(0)
    assert sorted(store) == ["zarr.json"]
    await array[2:4].write(0, write_empty=True)
    assert sorted(store) == ["c/0", "zarr.json"]


async def test_whole_chunks_are_written_without_reading():
    store = Waiting()
    for options in ({"chunks": (2, 3)}, {"chunks": (1, 3), "shards": (2, 3)}):
        array = await azarr.create_array(store, shape=(6, 9), dtype="u1", overwrite=True, **options)
        store.calls.clear()
        await array[2:, 3:].write(1)
        assert {name for name, _ in store.calls} == {"set"}
        await array[2:, 4:].write(2)
        assert {name for name, _ in store.calls} == {"set", "get"}


@pytest.mark.parametrize("kind", [MemoryStore, LocalStore, Waiting, Conditional])
@pytest.mark.parametrize("options", [{"chunks": (4,)}, {"chunks": (2,), "shards": (8,)}, {"chunks": (5,), "shards": (10,)}], ids=repr)
async def test_rows_that_were_appended_since_an_array_was_opened_stay(kind: Any, options: dict[str, Any], tmp_path: Any):
    store = LocalStore(tmp_path) if kind is LocalStore else kind()
    for fill in (0, 9):
        opened = await azarr.create_array(store, f"{fill}", shape=(5,), dtype="u1", fill_value=fill, **options)
        await opened[...].write([1, 2, 3, 4, 5])
        await opened.append([6, 7])
        await opened[...].write(9)  # all that this handle knows of
        assert (await azarr.open_array(store, f"{fill}")[...]).tolist() == [9, 9, 9, 9, 9, 6, 7]


@pytest.mark.parametrize("options", [{"chunks": (4,)}, {"chunks": (4,), "shards": (8,)}, {"chunks": (2,), "shards": (8,)}], ids=repr)
async def test_damaged_chunks_of_which_all_is_replaced_are_mended(options: dict[str, Any], tmp_path: Any):
    for store in (MemoryStore(), LocalStore(tmp_path)):
        array = await azarr.create_array(store, shape=(7,), dtype="u1", overwrite=True, **options)
        await array[...].write(1)
        for key in [key async for key in store.list("c")]:
            await store.set(key, b"damaged")
        with pytest.raises(azarr.errors.CorruptData):
            await array[1:].write(2)
        await array[...].write(3)
        assert (await array[...]).tolist() == [3] * 7


async def test_a_damaged_chunk_is_not_written_over_in_part():
    store: dict[str, bytes] = {}
    array = await azarr.create_array(store, shape=(4,), dtype="u1", chunks=(4,), compressors=None)
    store["c/0"] = b"abc"
    with pytest.raises(ChunkDecodeError, match="'c/0' of MemoryStore"):
        await array[1:].write(1)
    assert store["c/0"] == b"abc"
    await array[...].write(1)
    assert store["c/0"] == bytes([1, 1, 1, 1])


@pytest.mark.parametrize("write_empty", [False, True])
@pytest.mark.parametrize(("fill", "other"), [(0.0, -0.0), (float("nan"), 0.0), (1.5, 0.0)])
async def test_a_chunk_is_empty_if_it_is_the_fill_value_bit_for_bit(fill: float, other: float, write_empty: bool):
    store: dict[str, bytes] = {}
    array = await azarr.create_array(store, shape=(4,), dtype="f4", chunks=(2,), fill_value=fill)
    await array[:3].write([fill, fill, other], write_empty=write_empty)
    assert ("c/0" in store, "c/1" in store) == (write_empty, True)
    assert np.signbit((await array[...])[2]) == np.signbit(other)


async def test_the_values_are_the_callers_again_when_the_write_has_returned():
    store: dict[str, bytes] = {}
    array = await azarr.create_array(store, shape=(4,), dtype="u1", chunks=(4,), compressors=None)
    values = np.array([1, 2, 3, 4], "u1")
    await array[...].write(values)
    values[:] = 9
    assert (await array[...]).tolist() == [1, 2, 3, 4]


async def test_gathered_writes_to_one_chunk_lose_nothing(tmp_path: Any):
    for store in ({}, tmp_path, Waiting(), Conditional()):
        for options in ({"chunks": (100,)}, {"chunks": (5,), "shards": (100,)}):
            array = await azarr.create_array(store, shape=(100,), dtype="i4", overwrite=True, **options)
            await asyncio.gather(*(array[position].write(position) for position in range(100)))
            assert (await array[...]).tolist() == list(range(100))


def in_some_order(result: np.ndarray[Any, Any], writes: list[tuple[slice, slice]]) -> bool:
    """Whether `result` is what some order of `writes` leaves, each of which wrote its number, from 1 on, over zeros."""
    after: dict[int, set[int]] = {number: set() for number in range(1, len(writes) + 1)}
    touched = np.zeros(result.shape, bool)
    for number, key in enumerate(writes, 1):
        touched[key] = True
        seen = set(np.unique(result[key]).tolist()) - {number}
        if 0 in seen:
            return False
        for winner in seen:
            after[number].add(winner)
    if result[~touched].any():
        return False
    for number, key in enumerate(writes, 1):
        inside = np.zeros(result.shape, bool)
        inside[key] = True
        if (result[~inside] == number).any():
            return False
    while after:  # the one that nobody comes after is the last
        last = [number for number, winners in after.items() if not winners]
        if not last:
            return False
        for number in last:
            del after[number]
        for winners in after.values():
            winners.difference_update(last)
    return True


def test_the_judge_of_orders_knows_a_lost_update():
    left, right = (slice(0, 2), slice(0, 4)), (slice(1, 3), slice(0, 4))
    first = np.zeros((3, 4), int)
    first[left] = 1
    first[right] = 2
    assert in_some_order(first, [left, right])
    mixed = first.copy()
    mixed[1, 0] = 1
    assert not in_some_order(mixed, [left, right])
    lost = first.copy()
    lost[2] = 0
    assert not in_some_order(lost, [left, right])
    assert not in_some_order(np.zeros((3, 4), int), [left])


@pytest.mark.parametrize("rounds", [200])
@pytest.mark.parametrize("sharded", [False, True])
def test_overlapping_writes_equal_some_order_of_them(rounds: int, sharded: bool, tmp_path: Any):
    rng = np.random.default_rng(sharded)

    def cut() -> slice:
        first, last = sorted(rng.choice(13, 2, replace=False).tolist())
        return slice(first, last)

    async def go() -> None:
        for number in range(rounds):
            store: Any = (MemoryStore(), LocalStore(tmp_path / str(number)), Waiting())[number % 3]
            options: dict[str, Any] = {"chunks": (2, 3), "shards": (6, 6)} if sharded else {"chunks": (5, 4)}
            array = await azarr.create_array(store, shape=(12, 12), dtype="u1", compressors=None, **options)
            writes = [(cut(), cut()) for _ in range(8)]
            await asyncio.gather(*(array[key].write(value) for value, key in enumerate(writes, 1)))
            result = await array[...]
            assert in_some_order(result, writes), (number, writes, result)

    asyncio.run(go())


async def test_writes_from_several_event_loops_lose_nothing():
    array = await azarr.create_array({}, shape=(64,), dtype="i4", chunks=(64,))

    async def some(first: int) -> None:
        await asyncio.gather(*(array[position].write(position) for position in range(first, 64, 4)))

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, some(first)) for first in range(4)))
    assert (await array[...]).tolist() == list(range(64))


def schedules(processes: Callable[[], tuple[Any, list[Any], Callable[[], None]]]) -> int:
    """Run two writers in every order of their calls to the store; the number of orders."""
    count, prefixes = 0, [[]]
    while prefixes:
        prefix = prefixes.pop()
        taken, choices = asyncio.run(follow(processes, prefix))
        prefixes += [[*taken[:place], 1] for place in range(len(prefix), len(taken)) if choices[place] and not taken[place]]
        count += 1
    return count


async def follow(processes: Callable[[], tuple[Any, list[Any], Callable[[], None]]], prefix: list[int]) -> tuple[list[int], list[bool]]:
    """One order: at each call of which both wait, the writer that `prefix` says goes on, then the first. What was chosen, and where there was a choice."""
    gates, writers, check = await processes()
    tasks = [asyncio.ensure_future(writer) for writer in writers]
    taken: list[int] = []
    choices: list[bool] = []
    while not all(task.done() for task in tasks):
        for _ in range(200):  # until each writer has ended or waits at its gate
            if all(task.done() or gate.waiting for task, gate in zip(tasks, gates, strict=True)):
                break
            await asyncio.sleep(0.0005)
        waiting = [number for number, gate in enumerate(gates) if gate.waiting]
        if not waiting:
            continue
        wanted = prefix[len(taken)] if len(taken) < len(prefix) else 0
        choice = wanted if wanted in waiting else waiting[0]
        taken.append(choice)
        choices.append(len(waiting) == 2)
        gates[choice].open()
    await asyncio.gather(*tasks)
    await check()
    return taken, choices


@pytest.mark.parametrize("options", [{"chunks": (4,)}, {"chunks": (2,), "shards": (4,)}], ids=["chunk", "shard"])
def test_every_order_of_the_calls_of_two_processes_is_right(options: dict[str, Any]):
    async def processes() -> Any:
        mapping: dict[str, bytes] = {}
        await azarr.create_array(mapping, shape=(4,), dtype="u1", compressors=None, **options)
        stores = [Conditional(mapping), Conditional(mapping)]  # nothing in common but the data, as in two processes
        arrays = [await azarr.open_array(store, mode="r+") for store in stores]
        for store in stores:
            store.gated = True

        async def check() -> None:
            assert mapping["c/0"][:4] == bytes([1, 1, 2, 2]), mapping

        return stores, [arrays[0][:2].write(1), arrays[1][2:].write(2)], check

    assert schedules(processes) >= 6


async def test_an_object_that_others_replace_each_time_is_a_conflict():
    store = Conditional()
    array = await azarr.create_array(store, shape=(4,), dtype="u1", chunks=(4,))
    store.refuses = True
    with pytest.raises(WriteConflict, match=r"'c/0' of .*: it was replaced by others 64 times while it was being changed"):
        await array[1:].write(1)


@pytest.mark.parametrize("kind", ["memory", "waiting"])
async def test_when_one_of_many_fails_the_error_says_how_each_key_stands(kind: str):
    for nth in range(1, 21):
        store: Any = FailingMemory(nth) if kind == "memory" else Waiting(fails_at=nth)
        array = await azarr.create_array(store.inner if kind == "waiting" else store, shape=(20,), dtype="u1", chunks=(1,), compressors=None)
        context = azarr.Context(requests=3, workers=3)
        array = await azarr.open_array(store, mode="r+", context=context)
        store.armed = True
        with pytest.raises(PartialWrite if nth > 3 else StoreError) as caught:
            await array[...].write(1)
        store.armed = False
        stored = {key for key in store.mapping if key.startswith("c/")}
        if isinstance(caught.value, PartialWrite):
            assert set(caught.value.done) <= stored <= set(caught.value.done) | set(caught.value.unknown)
            assert set(caught.value.failed).isdisjoint(stored)
            assert len(caught.value.failed) + len(caught.value.unknown) >= 1


class FailingMemory(MemoryStore):
    """A store in memory whose nth write of a chunk fails."""

    def __init__(self, nth: int) -> None:
        super().__init__()
        self.nth, self.armed, self.counter = nth, False, itertools.count(1)

    def put(self, key: str, data: Any, version: str | None = "*") -> bool:
        if self.armed and key.startswith("c/") and next(self.counter) == self.nth:
            raise StoreError("the disk is full", store="a disk", key=key)
        return super().put(key, data, version)
