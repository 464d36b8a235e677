"""What every store promises. Asserts and pytest; it knows a store by its protocols, and what is behind it not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, ClassVar

import numpy as np
import pytest

import azarr
from azarr.errors import InvalidKey, NodeNotFound, StoreError
from azarr.scratch import Scratch
from azarr.stores.base import (
    ANY,
    UNCHANGED,
    BlockingWritable,
    ByteRange,
    ConditionalStore,
    Holding,
    Listing,
    PinningStore,
    WritableStore,
    is_blocking,
)
from azarr.testing.keys import ODD_KEYS, invalid_keys

__all__ = ["StoreContract"]

PROTOCOLS = (PinningStore, WritableStore, ConditionalStore, Holding, Listing, BlockingWritable)
TEN = bytes(range(10))
OBJECTS = {"ten": TEN, "empty": b"", "a/b/c": b"deep", "a/b.c": b"sibling", "ab/c": b"other"}
RANGES: dict[ByteRange, bytes] = {
    (0, 10): TEN,
    (0, 1): b"\0",
    (3, 7): b"\3\4\5\6",
    (9, 10): b"\x09",
    (4, None): TEN[4:],
    (0, None): TEN,
    (-3, None): b"\7\x08\x09",
    (-10, None): TEN,
    (-99, None): TEN,
    (8, 99): b"\x08\x09",
    (5, 5): b"",
    (10, 12): b"",
    (99, 100): b"",
    (99, None): b"",
}
Test = Callable[..., Any]


def needs(*protocols: type | str) -> Callable[[Test], Test]:
    """A test for stores that have these protocols."""

    def mark(test: Test) -> Test:
        vars(test)["needs"] = set(protocols)
        return test

    return mark


def _needed(test: Test) -> set[Any]:
    return vars(test).get("needs", set())


def data_of(value: Any) -> bytes | None:
    """The bytes of an answer of `get`."""
    return None if value is None else bytes(value.data)


class StoreContract:
    """The tests of a store. Inherit from it in a class whose name begins with `Test`, and run pytest.

    `has` are the protocols of `azarr.stores` that the store has beside `Store`: that it has those and no others is a test, and those of the
    others are not there. The tests are coroutines: any plugin of pytest that runs such runs these (`pytestmark = pytest.mark.anyio`).
    """

    has: ClassVar[tuple[type, ...]] = ()
    cannot: ClassVar[tuple[type, ...]] = ()
    """Protocols whose methods are there, and only raise: what is behind the store cannot do this."""
    atomic: ClassVar[bool] = True
    """Whether an object that is replaced is at every moment the old one or the new one."""

    def store(self, objects: dict[str, bytes]) -> AbstractAsyncContextManager[Any]:
        """A store that holds `objects`, and nothing else, for as long as the context lasts."""
        raise NotImplementedError("store(objects) gives the store to be tested")

    def failing(self) -> AbstractAsyncContextManager[Any]:
        """If you give it: a store of which nothing can be got, though it would be there: forbidden, out of order, not reached."""
        raise NotImplementedError("failing() gives a store that fails")

    def outside(self) -> object:
        """What lies around the store, in a form that can be compared: it is the same before and after invalid keys are used."""
        return None

    def __init_subclass__(cls) -> None:
        """Leave out the tests of what the store does not have."""
        super().__init_subclass__()
        told = {"atomic": cls.atomic, "failing": cls.failing is not StoreContract.failing}
        has = {*cls.has, *(name for name, is_so in told.items() if is_so)}
        for name, test in vars(StoreContract).items():
            if name.startswith("test_") and getattr(cls, name) in (None, test):
                setattr(cls, name, test if _needed(test) <= has else None)

    async def test_it_has_the_protocols_it_says(self) -> None:
        async with self.store(OBJECTS) as store:
            found = {protocol.__name__ for protocol in PROTOCOLS if isinstance(store, protocol)}
            assert found == {protocol.__name__ for protocol in (*self.has, *self.cannot)}

    async def test_get_gives_all_of_an_object_and_its_size(self) -> None:
        async with self.store(OBJECTS) as store:
            value = await store.get("ten")
            assert (data_of(value), value.size) == (TEN, 10)
            assert data_of(await store.get("a/b/c")) == b"deep"

    async def test_missing_is_none_and_empty_is_not_missing(self) -> None:
        async with self.store(OBJECTS) as store:
            for key in ("nine", "a/b/d", "x/y/z", "ten.", "Ten"):
                assert await store.get(key) is None, key
                assert await store.get(key, (0, 2)) is None, key
                assert await store.get(key, (-2, None)) is None, key
            value = await store.get("empty")
            assert value is not None, "what is empty is not missing"
            assert (data_of(value), value.size) == (b"", 0)
            assert data_of(await store.get("empty", (-16, None))) == b""

    @needs("failing")
    async def test_what_fails_is_an_error_and_never_missing(self) -> None:
        async with self.failing() as store:
            for byte_range in (None, (0, 4), (4, None), (-4, None)):
                with pytest.raises(StoreError):
                    await store.get("ten", byte_range)

    async def test_a_range_gives_those_bytes_as_far_as_there_are_any(self) -> None:
        async with self.store(OBJECTS) as store:
            values = {byte_range: await store.get("ten", byte_range) for byte_range in RANGES}
            assert {byte_range: data_of(value) for byte_range, value in values.items()} == RANGES
            assert {value.size for value in values.values()} <= {10, None}

    async def test_ranges_of_one_object_have_one_version(self) -> None:
        async with self.store(OBJECTS) as store:
            assert len({(await store.get("ten", byte_range)).version for byte_range in ((0, 1), (3, 7), (-3, None), (2, None))}) == 1

    async def test_many_readers_at_once_each_get_their_bytes(self) -> None:
        objects = {f"c/{k}": bytes([k % 251]) * (k * 37 % 5000 + 1) for k in range(200)}
        async with self.store(objects) as store:
            whole = await asyncio.gather(*(store.get(key) for key in objects))
            assert [data_of(value) for value in whole] == list(objects.values())
            ends = await asyncio.gather(*(store.get(key, (-1, None)) for key in objects))
            assert [data_of(value) for value in ends] == [data[-1:] for data in objects.values()]

    async def test_what_is_missing_at_first_is_there_in_an_array(self) -> None:
        """A missing chunk is the fill value, in both formats; others, and shards, whole and in part, are what was written."""
        for zarr_format, shards in ((2, None), (3, None), (3, (4,))):
            objects: dict[str, bytes] = {}
            made = await azarr.create_array(
                objects, "g/a", shape=[10], dtype="u1", chunks=[2], shards=shards, fill_value=9, zarr_format=zarr_format
            )
            await made[:4].write([0, 1, 2, 3])
            async with self.store(objects) as store:
                array = await azarr.open_array(store, "g/a")
                assert array.zarr_format == zarr_format
                assert (await array[...]).tolist() == [0, 1, 2, 3, *[9] * 6]
                assert (await array[3:6]).tolist() == [3, 9, 9]
                assert (await array[::-3]).tolist() == [9, 9, 3, 0]

    async def test_no_node_is_node_not_found(self) -> None:
        async with self.store(OBJECTS) as store:
            for path in ("", "a", "nowhere/at/all"):
                with pytest.raises(NodeNotFound, match=r"zarr\.json") as caught:
                    await azarr.open(store, path)
                assert caught.value.path == (path or "/")

    async def test_paths_that_leave_the_store_are_refused_before_anything_is_asked(self) -> None:
        async with self.store(OBJECTS) as store:
            for path in ("../secret", "a/../../secret", "..", "a\\..\\..\\secret", "a\0b", "a/zarr.json"):
                for opened in (azarr.open, azarr.open_group, azarr.open_array):
                    with pytest.raises(InvalidKey, match="not a path of a node"):
                        opened(store, path)
                with pytest.raises(InvalidKey):
                    azarr.open(store)[path]

    async def test_invalid_keys_are_refused_by_every_verb_and_nothing_is_touched(self) -> None:
        async with self.store(OBJECTS) as store:
            held = await _all_of(store)
            around = self.outside()
            for key in invalid_keys():
                for verb, ask in _verbs(store, key):
                    told = await _error_of(ask)
                    assert isinstance(told, InvalidKey), f"{verb} of {key!r} is not refused by InvalidKey: {told!r}"
                if is_blocking(store):  # whoever asks a worker has checked, and if not, there is nothing
                    with suppress(InvalidKey, StoreError):
                        assert store.reader().whole(key, Scratch()) is None, key
                    with suppress(InvalidKey, StoreError):
                        assert store.reader().part(key, (0, 1), Scratch()) is None, key
                    with suppress(InvalidKey, StoreError):
                        assert store.reader().into(key, np.empty(7, np.uint8)) is None, key
                if isinstance(store, BlockingWritable):
                    with store.writer() as writer, pytest.raises(InvalidKey):
                        writer.put(key, b"evil")
            assert self.outside() == around
            assert await _all_of(store) == held

    async def test_odd_keys_are_keys_like_others(self) -> None:
        """Each is the name of one object, and of that alone; or writing to it is a `StoreError`, after which nothing is there."""
        stored = {key: key.encode() for key in ODD_KEYS}
        async with self.store({} if WritableStore in self.has else stored) as store:
            if WritableStore in self.has:
                around = self.outside()
                for key in ODD_KEYS:
                    if isinstance(await _error_of(store.set(key, stored[key])), StoreError):
                        del stored[key]
                assert self.outside() == around
            assert len(stored) > len(ODD_KEYS) * 0.9
            for key, data in stored.items():
                assert data_of(await store.get(key)) == data, key
                assert data_of(await store.get(key, (-1, None))) == data[-1:], key
            if Listing in self.has:
                assert sorted([key async for key in store.list("")]) == sorted(stored)
            with suppress(StoreError):  # too long for some
                assert await store.get("x" * 5000) is None

    @needs(PinningStore)
    async def test_a_version_is_got_or_it_has_changed(self) -> None:
        async with self.store(OBJECTS) as store:
            version = (await store.get("ten", (0, 4))).version
            assert data_of(await store.get_if("ten", (4, None), match=version)) == TEN[4:]
            same = await store.get_if("ten", unless=version)
            assert same is UNCHANGED or same.version == version  # some servers know no conditions
            other = (await store.get("a/b/c", (0, 4))).version
            assert data_of(await store.get_if("ten", unless=other)) == TEN
            with pytest.raises(azarr.errors.ObjectChanged):
                await store.get_if("ten", (4, None), match=other)

    @needs(WritableStore)
    async def test_what_was_set_is_there_until_it_is_deleted(self) -> None:
        async with self.store({}) as store:
            for data in (b"one", b"", b"three" * 50_000, b"4"):
                await store.set("a/b", data)
                assert data_of(await store.get("a/b")) == data
            await store.delete("a/b")
            assert await store.get("a/b") is None
            await store.delete("a/b")  # nothing is there, and that is fine

    @needs(WritableStore)
    async def test_set_takes_any_buffer_and_keeps_a_copy(self) -> None:
        async with self.store({}) as store:
            for data in (bytearray(b"1234"), np.frombuffer(bytearray(b"1234"), np.uint8), memoryview(bytearray(b"1234"))):
                await store.set("key", data)
                data[0] = 0
                assert data_of(await store.get("key")) == b"1234"

    @needs(WritableStore, "atomic")
    async def test_readers_beside_a_writer_see_the_old_object_or_the_new_one(self) -> None:
        async with self.store({"key": b"\0" * 100_000}) as store:

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

    @needs(WritableStore, Listing)
    async def test_array_written_through_the_store_reads_back(self) -> None:
        values = np.arange(600, dtype="int32").reshape(20, 30)
        async with self.store({}) as store:
            array = await azarr.create_array(store, "g/a", shape=(20, 30), dtype="int32", chunks=(4, 7), shards=(8, 14))
            await array[...].write(values)
            group = await azarr.open_group(store)
            assert await group.keys() == ["g"]
            assert np.array_equal(await group["g/a"][3:, ::-2], values[3:, ::-2])

    @needs(ConditionalStore)
    async def test_an_object_is_replaced_only_if_it_is_of_the_version_that_was_read(self) -> None:
        async with self.store({}) as store:
            assert await store.replace("a/x", b"1", None)
            assert not await store.replace("a/x", b"2", None)
            first = (await store.get("a/x", (0, None))).version
            assert await store.replace("a/x", b"3", first)
            assert not await store.replace("a/x", b"4", first)
            assert not await store.replace("a/x", None, first)
            assert data_of(await store.get("a/x")) == b"3"
            assert await store.replace("a/x", None, (await store.get("a/x", (0, None))).version)
            assert await store.get("a/x") is None

    @needs(ConditionalStore)
    async def test_of_writers_who_replace_one_version_one_succeeds(self) -> None:
        async with self.store({"key": b"old"}) as store:
            version = (await store.get("key", (0, None))).version
            done = await asyncio.gather(*(store.replace("key", bytes([k]), version) for k in range(8)))
            assert sum(done) == 1
            assert data_of(await store.get("key")) == bytes([done.index(True)])

    @needs(Holding)
    async def test_what_is_held_can_be_read_and_held_again(self) -> None:
        async with self.store(OBJECTS) as store:
            for _ in range(2):
                async with store.hold("ten"):
                    assert data_of(await store.get("ten")) == TEN

    @needs(Listing)
    async def test_listing_gives_names_right_below_and_all_keys_below(self) -> None:
        async with self.store(OBJECTS) as store:
            assert sorted([name async for name in store.list_dir("")]) == ["a/", "ab/", "empty", "ten"]
            assert sorted([name async for name in store.list_dir("a")]) == ["b.c", "b/"]
            assert sorted([key async for key in store.list("")]) == sorted(OBJECTS)
            assert sorted([key async for key in store.list("a")]) == ["a/b.c", "a/b/c"]
            assert [key async for key in store.list("nowhere")] == [name async for name in store.list_dir("nowhere")] == []

    @needs(Listing, WritableStore)
    async def test_what_is_set_or_deleted_is_listed_so(self) -> None:
        async with self.store(OBJECTS) as store:
            await store.set("new/b", b"")
            await store.delete("a/b/c")
            assert sorted([key async for key in store.list("")]) == sorted({*OBJECTS, "new/b"} - {"a/b/c"})

    @needs(BlockingWritable)
    async def test_workers_read_and_write_the_same(self) -> None:
        async with self.store(OBJECTS) as store:
            reader, scratch, out = store.reader(), Scratch(), np.empty(10, np.uint8)
            for key, data in (*OBJECTS.items(), ("nine", None)):
                found = reader.whole(key, scratch)
                assert (None if found is None else bytes(found)) == data
                assert data_of(reader.part(key, (0, None), scratch)) == data
            assert {byte_range: data_of(reader.part("ten", byte_range, scratch)) for byte_range in RANGES} == RANGES
            assert (reader.into("ten", out), out.tobytes()) == (10, TEN)
            for row in out, np.full(10, 7, np.uint8):  # whatever was there before
                assert (reader.into("a/b/c", row), row[:4].tobytes(), reader.into("nine", row)) == (4, OBJECTS["a/b/c"], None)
            small = np.empty(9, np.uint8)
            assert reader.into("ten", small) > small.size
            with store.writer() as writer:
                assert writer.put("ten", [b"1", b"", b"23"], reader.part("ten", (0, 1), scratch).version)
                assert not writer.put("ten", b"4", None)
                assert writer.put("a/b/c", None, ANY)
            assert (data_of(await store.get("ten")), await store.get("a/b/c")) == (b"123", None)


def _verbs(store: Any, key: str) -> Iterator[tuple[str, Any]]:
    """All that `store` can be asked for with a key, each to be awaited."""
    for byte_range in (None, (0, 1), (-1, None)):
        yield "get", _asked(lambda byte_range=byte_range: store.get(key, byte_range))
    if isinstance(store, PinningStore):
        yield "get_if", _asked(lambda: store.get_if(key, unless="1"))
    if isinstance(store, WritableStore):
        yield "set", _asked(lambda: store.set(key, b"evil"))
        yield "delete", _asked(lambda: store.delete(key))
    if isinstance(store, ConditionalStore):
        yield "replace", _asked(lambda: store.replace(key, b"evil", None))
        yield "replace", _asked(lambda: store.replace(key, None, "1"))
    if isinstance(store, Holding):
        yield "hold", _held(store, key)
    if isinstance(store, Listing) and key:  # "" is the root
        yield "list", _listed(store.list, key)
        yield "list_dir", _listed(store.list_dir, key)


async def _asked(ask: Callable[[], Any]) -> Any:
    return await ask()


async def _error_of(asked: Any) -> Any:
    """What was raised, or else what was given."""
    try:
        return await asked
    except Exception as error:
        return error


async def _held(store: Any, key: str) -> None:
    async with store.hold(key):
        pass


async def _listed(listing: Any, prefix: str) -> list[str]:
    return [name async for name in listing(prefix)]


async def _all_of(store: Any) -> dict[str, bytes | None]:
    """Everything in a store, as far as it can be listed."""
    can_list = isinstance(store, Listing)
    keys = await _listed(store.list, "") if can_list else OBJECTS
    return {key: data_of(await store.get(key)) for key in keys}
