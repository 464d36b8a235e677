"""A store with a cache around it gives what the store would give, asks for less, and never puts parts of different versions together."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr import Cached, Context, Retries
from azarr.stores import ByteRange, HTTPStore, LocalStore, MemoryStore, Value
from azarr.testing import CountingStore
from azarr.tools import caching
from fakes import Versioned
from faults import FAULTS, Site, always, etag_of, misbehaving

ONES, TWOS = bytes([1]) * 20_000, bytes([2]) * 20_000
"""Chunks that are large beside what else an answer has."""


def soon(**options: Any) -> Context:
    return Context(retries=Retries(first=0), **options)


async def pair(**options: Any) -> dict[str, bytes]:
    """A group with the array "var" of two chunks, of ones and of twos."""
    store: dict[str, bytes] = {}
    await azarr.create_group(store)
    values = np.frombuffer(ONES + TWOS, "u1")
    await azarr.save(store, "var", values, chunks=(20_000,), compressors=None, fill_value=0, **options)
    return store


class Clock:
    """It stands still until a test moves it."""

    now = 1_700_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(caching, "time", made)
    return made


def keys(site: Site) -> list[str]:
    """What was asked for since the last time."""
    asked = sorted(key for _, key, _ in site.requests)
    site.requests.clear()
    return asked


def checked(site: Site) -> set[str]:
    """Keys that were asked for since the last time, each only if it is another than the one at hand."""
    assert all("if-none-match" in headers for headers in site.sent)
    site.sent.clear()
    return set(keys(site))


# When it asks


@pytest.mark.parametrize("recheck", ["open", False, 60])
async def test_what_was_read_is_not_asked_for_again(recheck: Any, clock: Clock):
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair())
        store = Cached(HTTPStore(site.url), recheck=recheck)
        array = await azarr.open_array(store, "var", zarr_format=3, context=context)
        assert (await array[19_999:20_001]).tolist() == [1, 2]
        assert keys(site) == ["var/c/0", "var/c/1", "var/zarr.json"]
        assert (await array[19_999:20_001]).tolist() == [1, 2]
        assert keys(site) == []


async def test_with_open_each_object_is_checked_once_after_each_opening_and_does_not_come_again():
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair(), noted=True)
        store = Cached(HTTPStore(site.url))
        array = await azarr.open_array(store, "var", zarr_format=3, context=context)
        await array[...]
        site.sent.clear()
        keys(site)
        sent = server.nbytes
        array = await azarr.open_array(store, "var", zarr_format=3, context=context)
        for _ in range(2):
            assert (await array[...]).tobytes() == ONES + TWOS
        assert len(site.requests) == 3
        assert checked(site) == {"var/c/0", "var/c/1", "var/zarr.json"}
        assert server.nbytes - sent < 1000


async def test_with_true_each_read_checks_and_nothing_comes_again():
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair(), noted=True)
        store = Cached(HTTPStore(site.url), recheck=True)
        array = await azarr.open_array(store, "var", zarr_format=3, context=context)
        await array[...]
        site.sent.clear()
        keys(site)
        sent = server.nbytes
        for _ in range(3):
            assert (await array[...]).tobytes() == ONES + TWOS
            assert checked(site) == {"var/c/0", "var/c/1"}
        assert server.nbytes - sent < 2000


async def test_with_false_nothing_is_ever_checked():
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair())
        store = Cached(HTTPStore(site.url), recheck=False)
        assert await azarr.open_array(store, "var", zarr_format=3, context=context)[0] == 1
        site.put("var/c/0", TWOS)
        keys(site)
        assert await azarr.open_array(store, "var", zarr_format=3, context=context)[0] == 1
        assert keys(site) == []


async def test_with_seconds_an_answer_is_checked_when_it_is_that_old(clock: Clock):
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair(), noted=True)
        store = Cached(HTTPStore(site.url), recheck=60)
        array = await azarr.open_array(store, "var", zarr_format=3, context=context)
        assert await array[0] == 1
        site.sent.clear()
        keys(site)
        clock.now += 59.9
        assert await array[0] == 1
        assert keys(site) == []
        clock.now += 0.1
        assert await array[0] == 1
        assert checked(site) == {"var/c/0"}
        clock.now += 59.9
        assert await array[0] == 1
        assert keys(site) == []


def test_a_recheck_that_means_nothing_is_refused():
    with pytest.raises(ValueError, match=r'recheck is "open", True, False or a number of seconds, not .never.'):
        Cached(MemoryStore(), recheck="never")


@pytest.mark.parametrize("validator", ["strong", "weak", "date", "none"])
async def test_whatever_a_server_tells_of_versions_a_changed_object_is_seen_at_the_next_check(validator: str):
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair(), validator=validator)
        store = Cached(HTTPStore(site.url), recheck=True)
        array = await azarr.open_array(store, "var", zarr_format=3, context=context)
        assert await array[0] == 1
        site.put("var/c/0", TWOS)
        assert await array[0] == 2
        site.put("var/c/0", None)
        assert await array[0] == 0
        site.put("var/c/0", ONES)
        assert await array[0] == 1


async def test_a_changed_object_is_seen_after_opening_and_after_the_seconds(clock: Clock):
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair())
        opening, waiting = Cached(HTTPStore(site.url)), Cached(HTTPStore(site.url), recheck=60)
        arrays = [await azarr.open_array(store, "var", zarr_format=3, context=context) for store in (opening, waiting)]
        assert [await array[0] for array in arrays] == [1, 1]
        site.put("var/c/0", TWOS)
        assert [await array[0] for array in arrays] == [1, 1]
        clock.now += 60
        assert [await array[0] for array in arrays] == [1, 2]
        assert await azarr.open_array(opening, "var", zarr_format=3, context=context)[0] == 2
        keys(site)
        assert [await arrays[1][0] for _ in range(2)] == [2, 2]
        assert keys(site) == []


# What it keeps


async def test_ranges_and_whole_objects_are_kept_each_for_itself():
    inner = CountingStore(MemoryStore({"ten": bytes(range(10))}))
    store = Cached(inner, recheck=False)
    for _ in range(2):
        for byte_range, expected in ((None, bytes(range(10))), ((2, 5), b"\2\3\4"), ((-3, None), b"\7\x08\x09"), ((8, None), b"\x08\x09")):
            value = await store.get("ten", byte_range)
            assert value is not None
            assert bytes(value.data) == expected
    assert inner.requests == [("ten", None), ("ten", (2, 5)), ("ten", (-3, None)), ("ten", (8, None))]


async def test_what_is_absent_is_kept_until_the_next_check():
    objects = await pair()
    del objects["var/c/1"]
    inner = CountingStore(MemoryStore(objects))
    store = Cached(inner)
    array = await azarr.open_array(store, "var", zarr_format=3)
    for _ in range(3):
        assert await array[-1] == 0
    assert [key for key, _ in inner.requests] == ["var/zarr.json", "var/c/1"]
    objects["var/c/1"] = TWOS
    assert await array[-1] == 0
    assert await azarr.open_array(store, "var", zarr_format=3)[-1] == 2


class Lending(MemoryStore):
    """A store whose values lie in memory that it uses again."""

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        return Value(memoryview(self.lent)[:3])

    def __init__(self) -> None:
        super().__init__()
        self.lent = bytearray(b"abc" + bytes(1 << 20))


async def test_what_is_kept_is_a_copy_of_just_that():
    inner = Lending()
    store = Cached(inner, recheck=False)
    await store.get("key")
    inner.lent[:3] = b"xyz"
    value = await store.get("key")
    assert value is not None
    assert value.data == b"abc"


async def test_memory_is_bounded_in_bytes_and_the_longest_unused_go_first():
    inner = CountingStore(MemoryStore({f"k/{number}": bytes([number]) * 1000 for number in range(50)}))
    store = Cached(inner, memory=10_000, recheck=False)
    for number in range(50):
        await store.get(f"k/{number}")
        await store.get("k/0")
        assert store.nbytes <= 10_000
    assert [key for key, _ in inner.requests].count("k/0") == 1
    inner.requests.clear()
    kept = [number for number in range(50) if store.held(f"k/{number}") is not caching.UNKNOWN]
    assert kept == [0, 44, 45, 46, 47, 48, 49]


async def test_an_object_larger_than_the_memory_is_given_and_not_kept():
    inner = CountingStore(MemoryStore({"large": bytes(10_001), "small": b"abc"}))
    store = Cached(inner, memory=10_000, recheck=False)
    for _ in range(2):
        await store.get("small")
        value = await store.get("large")
        assert value is not None
        assert bytes(value.data) == bytes(10_001)
    assert [key for key, _ in inner.requests] == ["small", "large", "large"]


# On disk


def on_disk(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def test_what_is_on_disk_is_there_for_the_next_cache_which_checks_it_or_does_not(tmp_path: Path):
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair(), noted=True)

        async def read(recheck: Any) -> bytes:
            store = Cached(HTTPStore(site.url), disk=tmp_path, recheck=recheck)
            return (await azarr.open_array(store, "var", zarr_format=3, context=context)[...]).tobytes()

        assert await read("open") == ONES + TWOS
        assert keys(site) == ["var/c/0", "var/c/1", "var/zarr.json"]
        assert await read(False) == ONES + TWOS
        assert keys(site) == []
        site.sent.clear()
        sent = server.nbytes
        for recheck in ("open", True):
            assert await read(recheck) == ONES + TWOS
            assert checked(site) == {"var/c/0", "var/c/1", "var/zarr.json"}
        assert server.nbytes - sent < 2000
        site.put("var/c/1", ONES)
        assert await read(False) == ONES + TWOS
        assert await read("open") == ONES + ONES
        assert await read(False) == ONES + ONES


async def test_what_is_on_disk_is_as_old_as_its_last_check(tmp_path: Path, clock: Clock):
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair())

        async def read() -> int:
            store = Cached(HTTPStore(site.url), disk=tmp_path, recheck=60)
            return await azarr.open_array(store, "var", zarr_format=3, context=context)[0]

        assert await read() == 1
        keys(site)
        clock.now += 59
        assert await read() == 1
        assert keys(site) == []
        clock.now += 2
        assert await read() == 1
        assert keys(site) == ["var/c/0", "var/zarr.json"]
        clock.now += 59
        assert await read() == 1
        assert keys(site) == []


async def test_the_disk_is_bounded_in_bytes_and_the_longest_unused_go_first(tmp_path: Path, clock: Clock):
    inner = CountingStore(MemoryStore({f"k/{number}": bytes([number]) * 10 for number in range(100)}))
    store = Cached(inner, memory=0, disk=tmp_path, disk_size=5000, recheck=False)
    for number in range(100):
        clock.now += 1
        await store.get(f"k/{number}")
        clock.now += 1
        await store.get("k/0")
        assert on_disk(tmp_path) <= 5000
    asked = [key for key, _ in inner.requests]
    assert asked.count("k/0") == 1
    inner.requests.clear()
    await store.get("k/99")
    assert inner.requests == []
    await store.get("k/1")
    assert inner.requests == [("k/1", None)]


async def test_several_caches_of_one_folder_hold_it_to_its_bound(tmp_path: Path):
    caches = [Cached({f"{k}/{n}": bytes(10) for n in range(100)}, memory=0, disk=tmp_path, disk_size=8000) for k in range(4)]
    for number in range(100):
        for k, store in enumerate(caches):
            await store.get(f"{k}/{number}")
            assert on_disk(tmp_path) <= 8000 + 4 * 500


async def test_what_killed_processes_left_half_written_is_deleted(tmp_path: Path):
    old, new = tmp_path / "staged-1", tmp_path / "staged-2"
    old.write_bytes(bytes(1000))
    new.write_bytes(bytes(1000))
    os.utime(old, (1e9, 1e9))
    await Cached({"key": b"value"}, disk=tmp_path).get("key")
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("verb", ["write", "forget", "both"])
async def test_a_disk_that_is_full_or_may_not_be_written_to_is_no_error_and_gives_nothing_old(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refused(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = Cached(MemoryStore({"key": b"old"}), recheck=False, disk=tmp_path, memory=0)
    value = await before.get("key")
    assert value is not None
    for name in ("write", "forget") if verb == "both" else (verb,):
        monkeypatch.setattr(caching._Folder, name, refused)
    store: Any = Cached(MemoryStore({"key": b"old"}), recheck=False, disk=tmp_path, memory=0)
    assert bytes((await store.get("key")).data) == b"old"
    await store.set("key", b"new")
    assert bytes((await store.get("key")).data) == b"new"
    assert bytes((await store.get("key")).data) == b"new"


async def test_it_may_be_pickled(tmp_path: Path):
    store = Cached(HTTPStore("https://host/data"), memory=1000, disk=tmp_path, disk_size=5000, recheck=60)
    again = pickle.loads(pickle.dumps(store))
    assert (repr(again), again.recheck, again._most, again._disk.most, again._disk.path) == (repr(store), 60, 1000, 5000, tmp_path)


async def test_a_file_of_the_cache_that_was_damaged_anywhere_is_not_believed(tmp_path: Path):
    inner = Versioned({"key": b"data of the object"})
    await Cached(inner, disk=tmp_path).get("key", (5, 9))
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    whole = path.read_bytes()
    damaged = [bytes([*whole[:at], whole[at] ^ bit, *whole[at + 1 :]]) for at in range(len(whole)) for bit in (1, 4, 128)]
    damaged += [whole[:keep] for keep in range(len(whole))] + [whole + b"x", b"null\n", b"[]\n", b"7", b"\n" + whole, whole * 2]
    for bad in damaged:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bad)
        value = await Cached(inner, disk=tmp_path, recheck=False).get("key", (5, 9))
        assert value is not None
        assert (bytes(value.data), value.version, value.size) == (b"of t", "v1", 18), bad


async def test_stores_that_share_a_folder_do_not_meet(tmp_path: Path):
    async with misbehaving() as server:
        one, other = server.site({"key": b"one"}), server.site({"key": b"other"})
        for site, expected in ((one, b"one"), (other, b"other"), (one, b"one")):
            value = await Cached(HTTPStore(site.url), disk=tmp_path, recheck=False).get("key")
            assert value is not None
            assert value.data == expected


async def test_no_file_is_left_half_written_where_many_read_at_once(tmp_path: Path):
    inner = Versioned({f"k/{number}": bytes([number]) * 100 for number in range(20)})
    stores = [Cached(inner, disk=tmp_path) for _ in range(4)]
    await asyncio.gather(*(store.get(f"k/{number}") for number in range(20) for store in stores))
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 20
    assert not list(tmp_path.glob("staged-*"))


# Around each store


@asynccontextmanager
async def memory(objects: dict[str, bytes], folder: Path) -> AsyncGenerator[Any]:
    yield MemoryStore(objects)


@asynccontextmanager
async def local(objects: dict[str, bytes], folder: Path) -> AsyncGenerator[Any]:
    for key, data in objects.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
    yield LocalStore(folder)


@asynccontextmanager
async def http(objects: dict[str, bytes], folder: Path) -> AsyncGenerator[Any]:
    async with misbehaving() as server, soon() as context:
        yield HTTPStore(server.site(objects).url, context=context)


Around = Callable[[dict[str, bytes], Path], AbstractAsyncContextManager[Any]]
around = pytest.mark.parametrize("inner", [memory, local, http], ids=lambda inner: inner.__name__)


async def hierarchy() -> dict[str, bytes]:
    store: dict[str, bytes] = {}
    await azarr.create_group(store, attributes={"title": "all"})
    values = np.arange(24, dtype="i4").reshape(4, 6)
    await azarr.save(store, "plain", values, chunks=(3, 4))
    await azarr.save(store, "shards", values, chunks=(1, 2), shards=(4, 4))
    await azarr.save(store, "words", np.array(["a", "bb", ""]), dtype=str)
    return store


@around
async def test_a_group_reads_through_it_as_without_it(inner: Around, tmp_path: Path):
    async with inner(await hierarchy(), tmp_path) as store:
        cached = Cached(store, recheck=True)
        for _ in range(2):
            group = await azarr.open_group(cached)
            assert group.attrs["title"] == "all"
            for name in ("plain", "shards"):
                array = await group[name]
                assert (await array[...]).tolist() == np.arange(24).reshape(4, 6).tolist()
                assert (await array[1, ::2]).tolist() == [6, 8, 10]
                assert (await array.vindex[[0, 3], [5, 0]]).tolist() == [5, 18]
            assert (await group["words"][...]).tolist() == ["a", "bb", ""]


@pytest.mark.parametrize("inner", [memory, local], ids=lambda inner: inner.__name__)
async def test_listing_passes_through(inner: Around, tmp_path: Path):
    async with inner(await hierarchy(), tmp_path) as store:
        cached = Cached(store)
        assert await (await azarr.open_group(cached)).keys() == ["plain", "shards", "words"]
        assert sorted([key async for key in cached.list("")]) == sorted([key async for key in store.list("")])


def test_it_can_what_the_inner_store_can():
    reads_only = Cached(HTTPStore("http://host/data"))
    assert not any(hasattr(reads_only, name) for name in ("set", "delete", "replace", "list", "list_dir"))


@pytest.mark.parametrize("inner", [memory, local], ids=lambda inner: inner.__name__)
async def test_what_is_written_through_it_is_read_by_all_its_handles(inner: Around, tmp_path: Path):
    async with inner({}, tmp_path) as store:
        cached = Cached(store, recheck=False, disk=tmp_path / "cache")
        array = await azarr.save(cached, "var", np.arange(6, dtype="u1"), chunks=(4,))
        other = await azarr.open_array(cached, "var", mode="r+")
        assert (await other[...]).tolist() == [0, 1, 2, 3, 4, 5]
        await array[3:5].write([30, 40])
        assert (await other[...]).tolist() == [0, 1, 2, 30, 40, 5]
        assert (await azarr.open_array(store, "var")[...]).tolist() == [0, 1, 2, 30, 40, 5]
        await other.append([6])
        assert (await azarr.open_array(cached, "var")[...]).tolist() == [0, 1, 2, 30, 40, 5, 6]
        await azarr.delete(cached, "var")
        with pytest.raises(azarr.errors.NodeNotFound):
            await azarr.open_array(cached, "var")


@pytest.mark.parametrize("inner", [memory, local], ids=lambda inner: inner.__name__)
@pytest.mark.parametrize("recheck", ["open", False])
async def test_a_write_through_it_loses_no_write_of_others_that_it_has_not_seen(inner: Around, recheck: Any, tmp_path: Path):
    async with inner({}, tmp_path) as store:
        direct = await azarr.save(store, "var", np.ones(4, "u1"), chunks=(4,))
        through = await azarr.open_array(Cached(store, recheck=recheck), "var", mode="r+")
        assert (await through[...]).tolist() == [1, 1, 1, 1]
        await direct[0].write(9)
        await through[3].write(7)
        assert (await direct[...]).tolist() == [9, 1, 1, 7]
        await direct.update_attrs({"a": 1})
        await through.update_attrs({"b": 2})
        assert dict((await azarr.open_array(store, "var")).attrs) == {"a": 1, "b": 2}


class Late(MemoryStore):
    """A store whose first answer is made when it is asked, and comes when the gate opens."""

    def __init__(self, mapping: dict[str, bytes]) -> None:
        super().__init__(mapping)
        self.reached, self.gate = asyncio.Event(), asyncio.Event()

    async def get(self, key: str, byte_range: ByteRange | None = None) -> Value | None:
        answer = await super().get(key, byte_range)
        if not self.reached.is_set():
            self.reached.set()
            await self.gate.wait()
        return answer


async def test_an_old_answer_that_arrives_after_a_write_is_not_kept(tmp_path: Path):
    inner = Late({"key": b"old"})
    store: Any = Cached(inner, recheck=False, disk=tmp_path)
    early = asyncio.create_task(store.get("key"))
    await inner.reached.wait()
    await store.set("key", b"new")
    inner.gate.set()
    assert bytes((await early).data) == b"old"  # it was asked for before the write
    assert bytes((await store.get("key")).data) == b"new"
    assert bytes((await Cached(inner, recheck=False, disk=tmp_path).get("key")).data) == b"new"


async def test_an_old_answer_that_is_put_on_disk_while_it_is_replaced_is_not_kept_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store: Any = Cached(Versioned({"key": b"old"}), recheck=False, disk=tmp_path)
    put = store._disk.write

    def meanwhile(*arguments: Any) -> None:
        store.forget("key")  # as by a write of the loop, while this thread puts the file there
        put(*arguments)

    monkeypatch.setattr(store._disk, "write", meanwhile)
    assert bytes((await store.get("key")).data) == b"old"
    assert on_disk(tmp_path) == 0


# One version


LENGTH, COUNT = 4, 8
"""Elements of an inner chunk, and inner chunks of the shard."""
APART = [position for part in (0, 2, 4, 6) for position in range(part * LENGTH, (part + 1) * LENGTH)]
"""Every other inner chunk, so that each is a request."""


async def shard_of(value: int) -> dict[str, bytes]:
    store: dict[str, bytes] = {}
    values = np.full(LENGTH * COUNT, value, "u1")
    await azarr.save(store, "", values, chunks=(LENGTH,), shards=(LENGTH * COUNT,), compressors=None)
    return store


@pytest.mark.parametrize("recheck", ["open", True, False])
@pytest.mark.parametrize("validator", ["strong", "weak", "date"])
@pytest.mark.parametrize("known", [[], APART[:LENGTH], APART[: 2 * LENGTH], APART], ids=["nothing", "one part", "two parts", "all"])
async def test_parts_of_a_shard_that_is_replaced_are_all_old_or_all_new(recheck: Any, validator: str, known: list[int], tmp_path: Path):
    old, new = await shard_of(1), await shard_of(2)
    async with misbehaving() as server, soon() as context:
        for again in (False, True):
            for moment in range(6):
                site = server.site(old, validator=validator)
                disk = tmp_path / site.name
                store = Cached(HTTPStore(site.url), recheck=recheck, disk=disk)
                store.gap = 0
                array = await azarr.open_array(store, zarr_format=3, context=context)
                if known:
                    assert set((await array.oindex[known]).tolist()) == {1}
                if again:
                    array = await azarr.open_array(store, zarr_format=3, context=context)
                first = len(site.requests) + moment

                def replace(request: Any, site: Site = site, first: int = first) -> None:
                    if request.number == first:
                        site.put("c/0", new["c/0"])

                site.schedule = replace
                if moment == 5:
                    site.put("c/0", new["c/0"])
                found = set((await array.oindex[APART]).tolist())
                assert found in ({1}, {2})
                site.put("c/0", new["c/0"])
                found = set((await array.oindex[APART]).tolist())
                assert found == {2} if recheck is True else found in ({1}, {2})


async def test_parts_that_are_checked_and_the_same_cost_one_round_of_requests_without_bodies():
    async with misbehaving() as server, soon() as context:
        site = server.site(await shard_of(1), noted=True)
        store = Cached(HTTPStore(site.url), recheck=True)
        store.gap = 0
        array = await azarr.open_array(store, zarr_format=3, context=context)
        await array.oindex[APART]
        site.sent.clear()
        keys(site)
        assert set((await array.oindex[APART]).tolist()) == {1}
        assert len(site.requests) == 4
        assert {headers["if-none-match"] for headers in site.sent} == {etag_of(site.objects["c/0"])}


# Many at once, and failures


async def test_readers_at_once_share_one_request_for_each_object():
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair())
        array = await azarr.open_array(Cached(HTTPStore(site.url)), "var", zarr_format=3, context=context)
        found = await asyncio.gather(*(array[...].read() for _ in range(20)))
        assert all(each.tobytes() == ONES + TWOS for each in found)
        assert site.asked == {"var/zarr.json": 1, "var/c/0": 1, "var/c/1": 1}


async def test_a_failure_is_not_kept_and_a_check_that_fails_is_an_error_not_the_old_answer():
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair())
        array = await azarr.open_array(Cached(HTTPStore(site.url), recheck=True), "var", zarr_format=3, context=context)
        assert await array[0] == 1
        site.schedule = always(FAULTS["status 503"])
        with pytest.raises(azarr.errors.TransportError, match="503"):
            await array[0]
        site.schedule = lambda request: None
        assert await array[0] == 1


async def test_checks_and_hits_are_counted_where_the_reading_is():
    async with misbehaving() as server, soon() as context:
        site = server.site(await pair())
        array = await azarr.open_array(Cached(HTTPStore(site.url), recheck=True), "var", zarr_format=3, context=context)
        for _ in range(3):
            await array[...]
        assert context.counters.requests == len(site.requests) == 7
        assert context.counters.nbytes == 40_000 + len(site.objects["var/zarr.json"])


async def test_a_hit_costs_no_request():
    inner = CountingStore(MemoryStore(await pair()))
    context = Context()
    array = await azarr.open_array(Cached(inner), "var", zarr_format=3, context=context)
    for _ in range(3):
        await array[...]
    assert (context.counters.requests, context.counters.cache_hits) == (3, 4)


def test_it_says_what_it_is_around():
    assert repr(Cached(HTTPStore("http://me:hunter2@host/data?token=hunter2"))) == "Cached(HTTPStore('http://***@host/data?***'))"
