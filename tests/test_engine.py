"""The engine's promises: a cancel leaves nothing behind, errors come bare, budgets hold, the loop is never blocked, requests are few."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import azarr
from azarr.codecs import Pipeline
from azarr.errors import AzarrError, ChunkDecodeError, ObjectChanged, ShardIndexError, TransportError
from azarr.stores import HTTPStore, LocalStore
from conftest import only_this_task
from documents import WAYS, regular, sharded, v3_array, v3_store, waiting
from fakes import PATIENCE, Changing, ChangingWaiting, Empty, Held, HeldBlocking, Versioned, is_chunk, turns
from memory import measured
from servers import Served, serving

both_ways = pytest.mark.parametrize("way", WAYS, ids=["blocking", "waiting"])
ABSENT = (1 << 64) - 1


def numbers(count: int, *, chunk: int = 1, **changes: Any) -> dict[str, bytes]:
    """A store with `count` uint8 0, 1, 2, ... in chunks of `chunk`, none of which is the fill value, 255."""
    document = v3_array(shape=[count], chunk_grid=regular(chunk), fill_value=255, **changes)
    return v3_store(document, {f"c/{k}": bytes(range(k * chunk, (k + 1) * chunk)) for k in range(-(-count // chunk))})


def packed(*inner: bytes | None, gap: int = 0, trailer: bytes = b"") -> bytes:
    """A shard with these inner chunks, `gap` bytes between them, and its plain index at the end."""
    data, index = b"", b""
    for each in inner:
        index += struct.pack("<QQ", ABSENT, ABSENT) if each is None else struct.pack("<QQ", len(data), len(each))
        data += b"" if each is None else each + b"\xee" * gap
    return data + trailer + index


async def idle() -> None:
    """Let whatever was left running do its worst."""
    await turns(50)
    await asyncio.to_thread(lambda: None)
    await turns(50)


# Cancellation


SHARDED = v3_array(shape=[16], chunk_grid=regular(16), codecs=sharded(2), fill_value=255)
SHARDS = v3_array(shape=[64], chunk_grid=regular(16), codecs=sharded(2), fill_value=255)


@pytest.mark.parametrize("free", [0, 1, 2, 7, 30])
async def test_cancelled_read_of_a_waiting_store_leaves_no_request_and_no_write(free: int):
    store = Held(numbers(40), free=free)
    array = await azarr.open_array(store, context=azarr.Context(requests=4))
    out = np.full(40, 77, "u1")
    task = asyncio.create_task(array[...].read(out))
    await store.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.open == 0
    assert only_this_task()
    asked = len(store.requests)
    out[...] = 99
    store.gate.set()
    await idle()
    assert (out == 99).all()
    assert len(store.requests) == asked
    assert (await array[...]).tolist() == list(range(40))


@pytest.mark.parametrize(
    ("free", "step"), [(0, 1), (1, 1), (2, 1), (0, 4), (3, 4)], ids=["index", "first range", "second shard", "indices", "ranges"]
)
async def test_cancelled_read_of_shards_leaves_no_request_and_no_write(free: int, step: int):
    shard = packed(*(bytes([2 * k, 2 * k + 1]) for k in range(8)))
    store = Held(v3_store(SHARDS, {f"c/{k}": shard for k in range(4)}), free=free)
    array = await azarr.open_array(store, context=azarr.Context(requests=step))
    out = np.full(60, 77, "u1")
    task = asyncio.create_task(array[2:62].read(out))
    await store.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.open == 0
    assert only_this_task()
    out[...] = 99
    store.gate.set()
    await idle()
    assert (out == 99).all()
    assert (await array[2:62]).tolist() == [*range(2, 16), *range(16), *range(16), *range(14)]


@pytest.mark.parametrize("free", [0, 1, 5, 20])
async def test_cancelled_read_of_a_blocking_store_returns_when_no_worker_is_reading(free: int):
    store = HeldBlocking(numbers(5000 // 25, chunk=1), free=free)
    array = await azarr.open_array(store)
    out = np.full(200, 77, "u1")
    task = asyncio.create_task(array[...].read(out))
    assert await asyncio.to_thread(store.reached.wait, PATIENCE)
    task.cancel()
    await turns()
    assert not task.done()  # a worker still is in the store, and might write
    task.cancel()  # impatience changes nothing
    await turns()
    assert not task.done()
    store.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.open == 0
    assert only_this_task()
    calls = store.calls
    assert calls < 200
    out[...] = 99
    await idle()
    assert (out == 99).all()
    assert store.calls == calls
    assert (await array[...]).tolist() == list(range(200))


async def test_read_cancelled_before_its_first_step_asks_for_nothing():
    for store in (Held(numbers(4)), HeldBlocking(numbers(4))):
        array = await azarr.open_array(store)
        task = asyncio.create_task(array[...].read())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert store.open == 0
        assert only_this_task()


class Paused:
    """`Pipeline.decode` that waits in its thread until `gate` is set, and notes in which threads it ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, held: bool) -> None:
        self.gate, self.reached, self.threads, self.running = threading.Event(), threading.Event(), list[int](), 0
        decode = Pipeline.decode
        if not held:
            self.gate.set()

        def paused(pipeline: Any, *args: Any, **options: Any) -> Any:
            self.threads.append(threading.get_ident())
            self.running += 1
            self.reached.set()
            assert self.gate.wait(PATIENCE)
            try:
                return decode(pipeline, *args, **options)
            finally:
                self.running -= 1

        monkeypatch.setattr(Pipeline, "decode", paused)


@both_ways
async def test_read_cancelled_while_it_decodes_returns_when_nothing_is_decoded_any_more(way: Any, monkeypatch: pytest.MonkeyPatch):
    pauses = Paused(monkeypatch, held=True)
    array = await azarr.open_array(
        way(numbers(6, chunk=2, codecs=[{"name": "bytes"}, {"name": "crc32c"}])), context=azarr.Context(requests=2)
    )
    out = np.full(6, 77, "u1")
    task = asyncio.create_task(array[...].read(out))
    assert await asyncio.to_thread(pauses.reached.wait, PATIENCE)
    task.cancel()
    await turns()
    assert not task.done()
    pauses.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pauses.running == 0
    assert only_this_task()
    out[...] = 99
    await idle()
    assert (out == 99).all()


async def test_cancelled_opening_leaves_no_request():
    class Slow:
        def __init__(self) -> None:
            self.open, self.reached = 0, asyncio.Event()

        async def get(self, key: str, byte_range: Any = None) -> None:
            self.open += 1
            self.reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.open -= 1

    store = Slow()
    task = asyncio.create_task(azarr.open(store).open())
    await store.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.open == 0
    assert only_this_task()


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("way", ["leave", "cancel", "error"])
async def test_stream_that_is_left_early_leaves_no_request(way: str, ordered: bool):
    store = Held(numbers(40), free=3)
    array = await azarr.open_array(store, context=azarr.Context(requests=4))

    async def consume() -> None:
        blocks = array.blocks(ordered=ordered)
        try:
            async for block in blocks:
                assert block.data.tolist() == [block.region[0].start]
                await store.reached.wait()
                if way == "leave":
                    break
                if way == "error":
                    raise KeyError("of the consumer")
        finally:
            await blocks.aclose()

    task = asyncio.create_task(consume())
    await store.reached.wait()
    await turns()
    if way == "cancel":
        task.cancel()
    expected = {"leave": contextlib.nullcontext(), "cancel": pytest.raises(asyncio.CancelledError), "error": pytest.raises(KeyError)}[way]
    with expected:
        await task
    assert store.open == 0
    assert only_this_task()


async def test_budget_is_whole_again_after_a_cancelled_read():
    context = azarr.Context(requests=3, memory="1 KiB")
    store = Held(numbers(40), free=2)
    array = await azarr.open_array(store, context=context)
    for _ in range(5):
        task = asyncio.create_task(array[...].read())
        await store.reached.wait()
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    store.gate.set()
    assert (await asyncio.wait_for(array[...].read(), PATIENCE)).tolist() == list(range(40))
    assert store.most == 3


# Errors


class Failing:
    """A store that waits; chunk `bad` fails, the others are never answered."""

    def __init__(self, documents: dict[str, bytes], bad: str, error: BaseException) -> None:
        self.documents, self.bad, self.error, self.open, self.ended = documents, bad, error, 0, 0

    async def get(self, key: str, byte_range: Any = None) -> Any:
        if not is_chunk(key):
            return await azarr.stores.MemoryStore(self.documents).get(key)
        self.open += 1
        try:
            await turns(3)
            if key == self.bad:
                raise self.error
            await asyncio.Event().wait()
        finally:
            self.open -= 1
            self.ended += 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransportError("the server answered 503", status=503), TransportError),
        (ConnectionResetError("peer went away"), TransportError),
        (TimeoutError(), TransportError),
        (RuntimeError("a bug of the store"), RuntimeError),
        (KeyError("a bug of the store"), KeyError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_first_error_stops_the_other_requests_and_comes_bare(error: Exception, expected: type[Exception]):
    store = Failing(numbers(40), "c/5", error)
    array = await azarr.open_array(store, context=azarr.Context(requests=8, retries=azarr.Retries(attempts=1)))
    with pytest.raises(expected) as caught:
        await array[...]
    assert not isinstance(caught.value, BaseExceptionGroup)
    assert store.open == 0
    assert store.ended <= 8
    assert only_this_task()
    if expected is TransportError:
        assert caught.value.key == "c/5"
        assert "'c/5'" in str(caught.value)


async def test_first_error_of_a_blocking_store_stops_the_other_workers_and_comes_bare():
    class Broken(HeldBlocking):
        def call(self, key: str, read: Callable[[], Any]) -> Any:
            if key == "c/30":
                raise PermissionError(13, "not for you")
            return super().call(key, read)

    store = Broken(numbers(200), free=1000)
    array = await azarr.open_array(store)
    with pytest.raises(PermissionError, match="not for you") as caught:
        await array[...]
    assert not isinstance(caught.value, BaseExceptionGroup)
    assert store.open == 0
    assert store.calls <= 30
    assert only_this_task()


def slow_chunks(count: int) -> dict[str, bytes]:
    """A store with so much to decode in each chunk that several workers share it; chunk k holds k + 1."""
    size = 1 << 18
    document = v3_array(shape=[count * size], chunk_grid=regular(size), fill_value=255, codecs=[{"name": "bytes"}, {"name": "gzip"}])
    return v3_store(document, {f"c/{k}": gzip.compress(bytes([k + 1]) * size, 1) for k in range(count)})


async def test_error_of_one_worker_is_raised_when_the_others_have_ended():
    class Broken(HeldBlocking):
        def call(self, key: str, read: Callable[[], Any]) -> Any:
            if key == "c/2":
                assert self.reached.wait(PATIENCE)
                raise PermissionError(13, "not for you")
            return super().call(key, read)

    store = Broken(slow_chunks(64))
    array = await azarr.open_array(store, context=azarr.Context(workers=3))
    task = asyncio.create_task(array[...].read())
    assert await asyncio.to_thread(store.reached.wait, PATIENCE)
    await turns()
    assert not task.done()
    store.gate.set()
    with pytest.raises(PermissionError, match="not for you"):
        await task
    assert store.open == 0
    assert store.calls < 64
    assert only_this_task()


async def test_cancelled_read_ends_all_its_workers():
    store = HeldBlocking(slow_chunks(16), free=2)
    array = await azarr.open_array(store, context=azarr.Context(workers=3))
    out = np.zeros(array.shape, "u1")
    task = asyncio.create_task(array[...].read(out))
    assert await asyncio.to_thread(store.reached.wait, PATIENCE)
    task.cancel()
    await turns()
    assert not task.done()
    store.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.open == 0
    calls = store.calls
    assert calls < 16
    out[...] = 99
    await idle()
    assert (out == 99).all()
    assert store.calls == calls
    assert only_this_task()


@pytest.mark.parametrize("workers", [1, 2, 3])
async def test_several_workers_read_what_one_reads(workers: int):
    array = await azarr.open_array(slow_chunks(16), context=azarr.Context(workers=workers))
    found = await array[...]
    assert np.unique(found.reshape(16, -1), axis=1).tolist() == [[k + 1] for k in range(16)]


@both_ways
async def test_damaged_chunk_is_a_bare_error_that_names_its_key(way: Any):
    documents = numbers(40, chunk=2) | {"c/7": b"\1\2\3"}
    with pytest.raises(ChunkDecodeError) as caught:
        await azarr.open_array(way(documents))[...]
    assert (caught.value.key, type(caught.value)) == ("c/7", ChunkDecodeError)
    assert only_this_task()


async def test_error_while_opening_comes_bare_and_translated():
    class Down:
        async def get(self, key: str, byte_range: Any = None) -> None:
            raise ConnectionRefusedError("nobody is listening")

    context = azarr.Context(retries=azarr.Retries(first=0))
    for opened in (azarr.open(Down(), context=context), azarr.open_group(Down(), context=context), azarr.open_array(Down(), zarr_format=2, context=context)):
        with pytest.raises(TransportError, match="nobody is listening"):
            await opened
    assert only_this_task()


async def test_error_in_a_stream_comes_bare():
    store = Failing(numbers(40), "c/5", TransportError("the server answered 503", status=503))
    array = await azarr.open_array(store, context=azarr.Context(requests=8))
    with pytest.raises(TransportError) as caught:
        async for _ in array.blocks():
            pass
    assert caught.value.status == 503
    assert store.open == 0
    assert only_this_task()


# Tasks and plans


def counting_tasks() -> list[int]:
    """From now on, counts the tasks that are made on this loop."""
    made = [0]

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        made[0] += 1
        return asyncio.Task(coroutine, loop=loop, **options)

    asyncio.get_running_loop().set_task_factory(factory)
    return made


MANY = 100_000
ONE_EACH = v3_array(shape=[MANY], chunk_grid=regular(1), fill_value=7)


async def test_100_000_chunks_of_a_waiting_store_make_no_task_each():
    store = Empty(v3_store(ONE_EACH))
    context = azarr.Context(requests=100)
    array = await azarr.open_array(store, zarr_format=3, context=context)
    store.requests, made = 0, counting_tasks()
    assert (await array[...] == 7).all()
    assert store.requests == MANY
    assert made[0] <= context.requests + 8


async def test_100_000_chunks_of_a_blocking_store_make_no_task_each():
    array = await azarr.open_array(v3_store(ONE_EACH, {"c/5": b"\5", "c/99999": b"\6"}))
    made = counting_tasks()
    found = await array[...]
    assert (found[5], found[6], found[-1], int((found == 7).sum())) == (5, 7, 6, MANY - 2)
    assert made[0] <= 16


def roomless(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """An array to read into that takes no memory: all its elements are one."""
    return np.lib.stride_tricks.as_strided(np.zeros(1, dtype), shape, (0,) * len(shape), writeable=True)


@pytest.mark.parametrize(
    ("shape", "chunks"), [((16384, 32768), (1, 32768)), ((4096, 131072), (32, 1024)), ((512, 1024, 1024), (1, 32, 1024))]
)
@pytest.mark.parametrize("store", [dict, Empty], ids=["blocking", "waiting"])
async def test_read_of_16_384_chunks_of_32_kib_holds_less_than_5_mb_for_its_plan(
    store: Any, shape: tuple[int, ...], chunks: tuple[int, ...]
):
    array = await azarr.open_array(store(v3_store(v3_array(shape=list(shape), chunk_grid=regular(*chunks)))), zarr_format=3)
    out = roomless(shape, "u1")
    plan = array[...].plan()
    assert (plan.chunks, plan.decoded) == (16384, 512 << 20)
    with measured() as peak:
        await array[...].read(out)
    assert peak.nbytes < 5_000_000


@pytest.mark.parametrize("inner", [2, 16, 512], ids=lambda inner: f"{inner} inner chunks")
@pytest.mark.parametrize("store", [dict, Empty], ids=["blocking", "waiting"])
async def test_read_of_as_many_inner_chunks_holds_less_than_5_mb_for_its_plan(store: Any, inner: int):
    document = v3_array(shape=[16384, 32768], chunk_grid=regular(inner, 32768), codecs=sharded(1, 32768))
    array = await azarr.open_array(store(v3_store(document)), zarr_format=3)
    assert array[...].plan().chunks == 16384
    out = roomless(array.shape, "u1")
    with measured() as peak:
        await array[...].read(out)
    assert peak.nbytes < 5_000_000


async def test_plan_of_a_read_costs_nothing_however_many_chunks():
    array = await azarr.open_array(v3_store(v3_array(shape=[1 << 50], chunk_grid=regular(2))))
    with measured() as peak:
        assert array[...].plan().chunks == 1 << 49
        assert array[::2].plan().chunks == array[::-2].plan().chunks == 1 << 49
        assert array[1::4].plan().chunks == 1 << 48
        assert array[10:1000:3].plan().chunks == 330
    assert peak.nbytes < 100_000


# Budgets


@pytest.mark.parametrize("requests", [1, 3, 17])
async def test_requests_in_flight_reach_the_budget_and_stay_within_it(requests: int):
    context = azarr.Context(requests=requests)
    store = Held(numbers(60))
    one, two = [await azarr.open_array(store, context=context) for _ in range(2)]
    reads = asyncio.gather(one[...].read(), two[...].read(), one[5:].read())
    await turns(200)
    assert store.open == store.most == requests
    store.gate.set()
    found = await reads
    assert [each.tolist() for each in found] == [list(range(60)), list(range(60)), list(range(5, 60))]
    assert store.most == requests


@pytest.mark.parametrize("chunks", [1, 2, 5])
async def test_bytes_in_flight_stay_within_the_budget(chunks: int):
    context = azarr.Context(requests=100, memory=chunks * 2 * 16)  # what is fetched and what is decoded, of chunks of 16 bytes
    store = Held(numbers(160, chunk=16))
    one, two = [await azarr.open_array(store, context=context) for _ in range(2)]
    reads = asyncio.gather(one[...].read(), two[...].read())
    await turns(200)
    assert 1 <= store.open <= chunks * 2
    assert store.open * 16 <= context.nbytes
    store.gate.set()
    assert [each.tolist() for each in await reads] == [list(range(160))] * 2
    assert store.most * 16 <= context.nbytes


async def test_chunk_above_the_byte_budget_is_read_alone_instead_of_never():
    context = azarr.Context(requests=100, memory=8)
    store = Held(numbers(160, chunk=16))
    array = await azarr.open_array(store, context=context)
    read = asyncio.create_task(array[...].read())
    await turns(200)
    assert store.open == 1
    store.gate.set()
    assert (await asyncio.wait_for(read, PATIENCE)).tolist() == list(range(160))
    assert store.most == 1


async def test_stream_holds_no_more_blocks_than_its_memory_allows():
    store = Held(numbers(160, chunk=16))
    array = await azarr.open_array(store)
    blocks = array.blocks(memory=5 * 16)
    first = asyncio.create_task(anext(blocks))
    await turns(200)
    assert 1 <= store.open <= 5
    store.gate.set()
    seen = [(await first).region[0].start, *[block.region[0].start async for block in blocks]]
    assert sorted(seen) == list(range(0, 160, 16))
    assert store.most <= 5


async def test_stream_in_order_is_in_order():
    store = Held(numbers(40, chunk=4), free=100)
    array = await azarr.open_array(store)
    assert [block.data.tolist() async for block in array[::-1].blocks(ordered=True)] == [[k, k - 1, k - 2, k - 3] for k in range(39, 0, -4)]


# Nothing blocks the loop


BIG = v3_array(shape=[8 << 20], chunk_grid=regular(1 << 20), codecs=[{"name": "bytes"}, {"name": "gzip"}])


async def test_large_chunks_of_a_waiting_store_are_decoded_off_the_loop(monkeypatch: pytest.MonkeyPatch):
    spy = Paused(monkeypatch, held=False)
    chunk = gzip.compress(bytes(1 << 20))
    array = await azarr.open_array(waiting(v3_store(BIG, {f"c/{k}": chunk for k in range(8)})))
    assert not (await array[...]).any()
    assert len(spy.threads) == 8
    assert threading.get_ident() not in spy.threads


async def test_no_chunk_of_a_blocking_store_is_decoded_on_the_loop(monkeypatch: pytest.MonkeyPatch):
    spy = Paused(monkeypatch, held=False)
    array = await azarr.open_array(numbers(8, chunk=2, codecs=[{"name": "bytes"}, {"name": "crc32c"}]) | {"c/0": b"\0\1"})
    with pytest.raises(AzarrError):
        await array[...]
    assert spy.threads
    assert threading.get_ident() not in spy.threads


LOUD = Path(__file__).with_name("loud.py")


async def run_loud(*arguments: str) -> str:
    """What `loud.py` prints: each blocking call that the event loop's thread made."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-W", "error", str(LOUD), *arguments, stdout=-1, stderr=-2)
    printed, _ = await child.communicate()
    assert child.returncode == 0, printed.decode()
    return printed.decode()


async def write_example(path: Path) -> None:
    """A group with two arrays: one of chunks, one of shards; the codecs are those that most data have."""
    for name, shards, compressor in (("t", None, "blosc"), ("u", (32, 32), "zstd"), ("v", (16, 32), "gzip")):
        array = await azarr.create_array(
            path, f"g/{name}", shape=(64, 64), dtype="int32", chunks=(16, 16), shards=shards, compressors=compressor
        )
        await array[...].write(np.arange(4096, dtype="int32").reshape(64, 64))


async def test_nothing_blocks_the_loop_on_a_local_disk(tmp_path: Path):
    await write_example(tmp_path)
    assert await run_loud(str(tmp_path)) == "quiet\n"


async def test_nothing_blocks_the_loop_over_http(tmp_path: Path):
    await write_example(tmp_path)
    objects = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    async with serving(objects) as server:
        assert await run_loud(server.url) == "quiet\n"


async def test_nothing_blocks_the_loop_where_a_cache_forgets_what_it_has_on_disk(tmp_path: Path):
    assert await run_loud(str(tmp_path), "--forget") == "quiet\n"


async def test_the_detector_hears_a_blocking_call(tmp_path: Path):
    await write_example(tmp_path)
    assert "open" in await run_loud(str(tmp_path), "--block")


# Shards


def eight() -> bytes:
    return packed(*(bytes([2 * k, 2 * k + 1]) for k in range(8)))


async def test_whole_shards_are_one_request_each():
    store = waiting(v3_store(SHARDS, {f"c/{k}": eight() for k in range(4)}))
    array = await azarr.open_array(store, zarr_format=3)
    store.requests.clear()
    assert (await array[...]).tolist() == list(range(16)) * 4
    assert sorted(store.requests) == [(f"c/{k}", None) for k in range(4)]


async def test_neighbouring_inner_chunks_are_one_range():
    store = waiting(v3_store(SHARDED, {"c/0": eight()}))
    array = await azarr.open_array(store, zarr_format=3)
    store.requests.clear()
    assert (await array[3:9]).tolist() == list(range(3, 9))
    assert store.requests == [("c/0", (-128, None)), ("c/0", (2, 10))]


async def test_distant_inner_chunks_are_ranges_of_their_own():
    far = packed(b"\0\1", b"\2\3", *[None] * 5, b"\x0e\x0f", gap=3 << 20)
    store = waiting(v3_store(SHARDED, {"c/0": far}))
    array = await azarr.open_array(store, zarr_format=3)
    store.requests.clear()
    assert (await array.oindex[[0, 15]]).tolist() == [0, 15]
    assert store.requests == [("c/0", (-128, None)), ("c/0", (0, 2)), ("c/0", (2 * ((3 << 20) + 2), 2 * ((3 << 20) + 2) + 2))]


async def test_index_of_a_shard_is_fetched_once_per_handle():
    store = Versioned(v3_store(SHARDED, {"c/0": eight()}))
    array = await azarr.open_array(store, zarr_format=3)
    store.requests.clear()
    for k in range(8):
        assert (await array[2 * k + 1]) == 2 * k + 1
    assert store.requests == [("c/0", (-128, None)), *(("c/0", (2 * k, 2 * k + 2)) for k in range(8))]


async def test_concurrent_first_readers_share_one_fetch_of_the_index():
    store = Held(v3_store(SHARDED, {"c/0": eight()}))
    array = await azarr.open_array(store, zarr_format=3)
    reads = asyncio.gather(*(array[k].read() for k in range(16)))
    await turns(200)
    store.gate.set()
    assert [int(value) for value in await reads] == list(range(16))
    assert [byte_range for _, byte_range in store.requests].count((-128, None)) == 1


async def test_reader_that_shares_a_fetch_lives_on_when_the_first_reader_is_cancelled():
    store = Held(v3_store(SHARDED, {"c/0": eight()}))
    array = await azarr.open_array(store, zarr_format=3)
    first, second = (asyncio.create_task(array[k].read()) for k in (1, 9))
    await turns(50)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    store.gate.set()
    assert await asyncio.wait_for(second, PATIENCE) == 9
    assert store.open == 0
    assert only_this_task()


async def test_many_inner_chunks_of_one_missing_shard_ask_once_for_it():
    store = waiting(v3_store(SHARDED))
    array = await azarr.open_array(store, zarr_format=3)
    store.requests.clear()
    assert (await array[::2]).tolist() == [255] * 8
    assert len(store.requests) == 1


@both_ways
async def test_missing_chunk_reads_as_the_fill_value(way: Any):
    documents = numbers(6, chunk=2)
    del documents["c/1"]
    assert (await azarr.open_array(way(documents))[...]).tolist() == [0, 1, 255, 255, 4, 5]


@both_ways
async def test_missing_shard_and_missing_inner_chunk_read_as_the_fill_value(way: Any):
    shard = packed(None, b"\2\3", *[None] * 5, b"\x0e\x0f")
    array = await azarr.open_array(way(v3_store(SHARDS, {"c/1": shard})))
    expected = [255] * 18 + [2, 3] + [255] * 10 + [14, 15] + [255] * 32
    assert (await array[...]).tolist() == expected
    assert (await array[10:31]).tolist() == expected[10:31]
    assert (await array[33]) == 255


@both_ways
async def test_shard_entry_inside_the_index_is_an_error(way: Any):
    shard = b"\0\1" + struct.pack("<QQ", 0, 2) + b"".join(struct.pack("<QQ", 2 + 16 * k, 2) for k in range(7))
    array = await azarr.open_array(way(v3_store(SHARDED, {"c/0": shard})))
    assert (await array[:2]).tolist() == [0, 1]
    for selection in (array[...], array[2:4], array[15]):
        with pytest.raises(ShardIndexError, match="c/0"):
            await selection


@both_ways
async def test_inner_chunk_of_no_bytes_is_a_decode_error(way: Any):
    shard = packed(b"\0\1", b"", *[b"\2\3"] * 6)
    array = await azarr.open_array(way(v3_store(SHARDED, {"c/0": shard})))
    for selection in (array[2:4], array[...]):
        with pytest.raises(ChunkDecodeError, match="c/0"):
            await selection


# One version of each object


OLD = packed(*(bytes([2 * k, 2 * k + 1]) for k in range(8)))
NEW = packed(None, *(bytes([102 + 2 * k, 103 + 2 * k]) for k in range(7)), trailer=b"\xdd" * 5)
OLD_VALUES = list(range(16))
NEW_VALUES = [255, 255, *range(102, 116)]
FAR_OLD = packed(*(bytes([2 * k, 2 * k + 1]) for k in range(8)), gap=3 << 20)
FAR_NEW = packed(*(bytes([100 + 2 * k, 101 + 2 * k]) for k in range(8)), gap=3 << 20)
SELECTIONS = {"all": slice(None), "most": slice(1, 16), "some": slice(5, 11), "one": slice(4, 5)}


VALUES = {OLD: OLD_VALUES, NEW: NEW_VALUES, FAR_OLD: OLD_VALUES, FAR_NEW: list(range(100, 116)), None: [255] * 16}


async def replaced_before(number: int, kind: str, objects: dict[str, bytes], new: bytes | None, folder: Path) -> Any:
    """A store with `objects`, whose shard becomes `new` before the chunk read of that number. `calls` counts these."""
    if kind == "disk":
        store = LocalStore(folder / str(number))
        for key, data in objects.items():
            await store.set(key, data)
        return Changing(store, lambda count: replace_file(folder / str(number) / "c/0", new) if count == number else None)
    versioned = Versioned(objects)
    return ChangingWaiting(versioned, lambda count: versioned.put("c/0", new) if count == number else None)


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize(("old", "new"), [(OLD, NEW), (FAR_OLD, FAR_NEW), (OLD, None)], ids=["near", "far", "deleted"])
@pytest.mark.parametrize("kind", ["disk", "waiting"])
async def test_shard_replaced_during_a_read_gives_old_or_new_or_object_changed(
    kind: str, old: bytes, new: bytes | None, selection: str, tmp_path: Path
):
    key = SELECTIONS[selection]
    for number in range(12):
        store = await replaced_before(number, kind, v3_store(SHARDED, {"c/0": old}), new, tmp_path)
        array = await azarr.open_array(store, zarr_format=3)
        try:
            assert (await array[key]).tolist() in (VALUES[old][key], VALUES[new][key])
        except ObjectChanged as error:
            assert error.key == "c/0"  # noqa: PT017  # other outcomes are right too
        if store.calls <= number:
            break  # the read was over before
        assert (await array[key]).tolist() == VALUES[new][key]


LARGE = 1 << 19


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("kind", ["disk", "waiting"])
async def test_large_shard_that_many_read_is_of_one_version_or_object_changed(kind: str, at_once: int, tmp_path: Path):
    document = v3_array(shape=[8 * LARGE], chunk_grid=regular(8 * LARGE), codecs=sharded(LARGE), fill_value=255)
    old, new = (packed(*(bytes([k + add]) * LARGE for k in range(8)), trailer=b"\xdd" * add) for add in (0, 100))
    context = azarr.Context(requests=at_once, workers=at_once, memory="4 MiB")
    versions: set[int] = set()
    for number in range(10):
        store = await replaced_before(number, kind, v3_store(document, {"c/0": old}), new, tmp_path)
        array = await azarr.open_array(store, zarr_format=3, context=context)
        try:
            found = (await array[...]).reshape(8, LARGE)
        except ObjectChanged:
            versions.add(-1)
        else:
            (version,) = np.unique(found - np.arange(8, dtype="u1")[:, None]).tolist()  # the same in all inner chunks
            versions.add(version)
        if store.calls > number:
            assert ((await array[...]).reshape(8, LARGE)[:, 0]).tolist() == list(range(100, 108))
    assert {0, 100} <= versions  # and those between, which changed


def replace_file(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink()
    else:
        staged = path.with_name("staged")
        staged.write_bytes(data)
        staged.replace(path)


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("kind", ["memory", "waiting memory", "disk", "http", "versioned", "unversioned"])
async def test_handle_with_a_cached_index_reads_a_replaced_shard(kind: str, selection: str, tmp_path: Path):
    key, objects = SELECTIONS[selection], v3_store(SHARDED, {"c/0": OLD})
    async with serving(objects) as server:
        store, put = store_to_change(kind, objects, tmp_path, server)
        array = await azarr.open_array(store, zarr_format=3)
        for shard, values in ((OLD, OLD_VALUES), (NEW, NEW_VALUES), (None, [255] * 16), (OLD, OLD_VALUES), (NEW, NEW_VALUES)):
            put(shard)
            assert (await array[key]).tolist() == values[key]
            assert (await array[0]) == values[0]  # absent in NEW, so that only the index can tell
            assert (await array[key]).tolist() == values[key]


def store_to_change(kind: str, objects: dict[str, bytes], folder: Path, server: Served) -> tuple[Any, Callable[[bytes | None], None]]:
    """A store with `objects`, and what replaces its shard from outside, or deletes it."""

    def put(data: bytes | None) -> None:
        objects.pop("c/0", None)
        if data is not None:
            objects["c/0"] = data

    if kind == "disk":
        for name, data in objects.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
        return LocalStore(folder), lambda data: replace_file(folder / "c/0", data) if data is None or (folder / "c").exists() else None
    if kind == "http":
        return HTTPStore(server.url), put
    if kind == "versioned":
        store = Versioned(objects)
        return store, lambda data: store.put("c/0", data)
    if kind == "unversioned":
        return Unversioned(objects), put
    return (objects if kind == "memory" else waiting(objects)), put


class Unversioned(Versioned):
    """A store that cannot say which version of an object it gives."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__({})
        self.objects = objects

    async def get(self, key: str, byte_range: Any = None) -> Any:
        self.versions.setdefault(key, 0)
        value = await super().get(key, byte_range)
        return None if value is None else value._replace(version=None, size=None)
