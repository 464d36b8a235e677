"""Many small objects of a near server, asked for by few calls: what is read is what one by one would be, whatever the server and the kernel do.

Where the system has no io_uring, or forbids it, the same is read, one by one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from random import Random
from typing import Any

import numpy as np
import pytest

import azarr
from azarr import Context, Retries
from azarr.errors import ChunkDecodeError, TransportError
from azarr.integrations import socket_rings
from azarr.integrations.socket_rings import ODD, SocketRing, exchange_by_ring
from azarr.stores import BucketStore, HTTPStore
from azarr.transport import cpython, many
from azarr.transport.http1 import Client
from faults import FAULTS, HARMLESS, TRANSIENT, Answer, Fault, Request, at, misbehaving, sometimes
from listening import listening
from near import HERE, context, every_server_is_near, fresh, the_kernel_refuses

COUNT, LENGTH = 500, 8
"""Chunks, and elements of each."""
VALUES = np.where(np.arange(COUNT * LENGTH) // LENGTH % 7 == 3, 0, np.arange(COUNT * LENGTH)).astype("i4")
"""Each seventh chunk is all fill values, and so does not exist."""
STORED = 1 + COUNT - len(range(3, COUNT, 7))


@pytest.fixture(autouse=True)
def exchanges(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    return every_server_is_near(monkeypatch)


async def stored(values: Any = VALUES, **options: Any) -> dict[str, bytes]:
    store: dict[str, bytes] = {}
    await azarr.save(store, "", values, **({"chunks": (LENGTH,), "compressors": None} | options))
    return store


async def read(url: str, own: Context) -> Any:
    return await azarr.open_array(url, zarr_format=3, context=own)[...]


# Values


LAYOUTS: dict[str, dict[str, Any]] = {
    "raw": {},
    "zstd": {"compressors": "zstd"},
    "gzip": {"compressors": "gzip"},
    "big endian": {"dtype": ">i4"},
    "v2": {"zarr_format": 2, "compressors": "zlib"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_values_are_those_that_are_stored_and_fill_values_where_there_is_no_object(layout: str, exchanges: list[int]):
    store = await stored(**LAYOUTS[layout])
    async with misbehaving() as server, context() as own:
        site = server.site(store)
        array = await azarr.open_array(site.url, zarr_format=2 if layout == "v2" else 3, context=own)
        opening = len(site.requests)
        for where in (np.s_[...], np.s_[::-3], np.s_[5:3995]):
            np.testing.assert_array_equal(await array[where], VALUES[where])
        points = np.random.default_rng(1).permutation(len(VALUES))
        np.testing.assert_array_equal(await array.oindex[points], VALUES[points])
        assert site.asked["c/3" if layout != "v2" else "3"] == 4
        assert len(site.requests) - opening == 4 * COUNT  # none twice
        assert bool(exchanges) == HERE
        await fresh(own)


@pytest.mark.parametrize("size", [1000, 100_000, 256 << 10])
async def test_chunks_of_any_size_are_read(size: int, exchanges: list[int]):
    values = np.random.default_rng(size).integers(0, 255, 100 * size, dtype="u1")
    async with misbehaving() as server, context(memory="1 GiB") as own:
        url = server.site(await stored(values, chunks=(size,))).url
        for _ in range(2):
            np.testing.assert_array_equal(await read(url, own), values)
        assert own.counters.requests == 2 * 101
        assert bool(exchanges) == HERE


async def test_what_is_not_there_may_be_said_at_any_length():
    page = Fault("page", lambda request, random: Answer(404, {}, b"<html>" + bytes(random.choice([0, 4000, 30_000]))), HARMLESS)
    async with misbehaving() as server, context() as own:
        site = server.site(await stored(), schedule=lambda request: None if request.data else page)
        np.testing.assert_array_equal(await read(site.url, own), VALUES)


async def test_requests_and_bytes_are_counted():
    store = await stored()
    async with misbehaving() as server, context() as own:
        site = server.site(store)
        await read(site.url, own)
        counters = own.counters
        assert (counters.requests, counters.retries, counters.failures) == (COUNT + 1, 0, 0)
        assert counters.nbytes == sum(map(len, store.values()))
        assert counters.decode_seconds > 0


async def test_progress_is_told_to_the_end():
    async with misbehaving() as server, context() as own:
        array = await azarr.open_array(server.site(await stored()).url, zarr_format=3, context=own)
        steps: list[tuple[int, int]] = []
        await array[...].read(progress=lambda done, total: steps.append((done, total)))
    assert steps == [(number + 1, COUNT) for number in range(COUNT)]


async def test_connections_are_used_again_and_closed_in_the_end():
    async with misbehaving() as server:
        async with context() as own:
            array = await azarr.open_array(server.site(await stored()).url, zarr_format=3, context=own)
            await array[...]
            accepted = server.accepted
            for _ in range(3):
                np.testing.assert_array_equal(await array[...], VALUES)
            assert accepted <= server.accepted <= 128
            assert await array[0] == 0  # by the ordinary way, over one of them
            assert len(server.connections) == server.accepted
        assert await server.within(5, lambda: not server.connections)


async def test_no_more_is_asked_at_a_time_than_the_context_allows():
    async with misbehaving() as server, context(requests=64) as own:
        site = server.site(await stored(), turns=lambda request: 20)
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        for found in await asyncio.gather(*(array[...].read() for _ in range(4))):
            np.testing.assert_array_equal(found, VALUES)
        assert server.most <= 64
        await fresh(own)


async def test_no_more_threads_decode_than_the_context_allows(monkeypatch: pytest.MonkeyPatch):
    busy, most, lock, run = [0], [0], threading.Lock(), many._Batch.run

    def counted(self: Any, files: list[int]) -> set[int]:
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        try:
            return run(self, files)
        finally:
            busy[0] -= 1

    monkeypatch.setattr(many._Batch, "run", counted)
    async with misbehaving() as server, context(workers=1) as own:
        array = await azarr.open_array(server.site(await stored()).url, zarr_format=3, context=own)
        for found in await asyncio.gather(*(array[...].read() for _ in range(4))):
            np.testing.assert_array_equal(found, VALUES)
    assert most == [int(HERE)]


async def test_a_damaged_chunk_is_an_error_that_names_it():
    async with misbehaving() as server, context() as own:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        site.put("c/200", site.objects["c/200"][:-1])
        with pytest.raises(ChunkDecodeError, match="too few bytes") as caught:
            await array[...]
        assert (caught.value.key, site.url in caught.value.store) == ("c/200", True)
        await fresh(own)
        site.put("c/200", site.history["c/200"][0])
        np.testing.assert_array_equal(await array[...], VALUES)


# Odd answers


class Raw(Answer):
    """An answer by its very bytes."""

    def encoded(self, method: str) -> bytes:
        return self.body


def raw(make: Callable[[bytes], bytes]) -> Callable[[Request, Random], Answer | None]:
    """An answer that is made of the object, if there is one."""
    return lambda request, random: Raw(200, body=make(request.data), end="close") if request.data else None


def headed(*lines: str, end: str = "\r\n") -> Callable[[bytes], bytes]:
    """An answer with these lines, where N is the length of the object."""
    return lambda data: end.join(["HTTP/1.1 200 OK", *lines, "", ""]).replace("N", str(len(data))).encode() + data


ODD_ANSWERS = {
    "bare LF": headed("Content-Length: N", end="\n"),
    "a head of 20 KiB": headed("Content-Length: N", *(f"X-{number}: {'x' * 1000}" for number in range(20))),
    "a head of 17 KiB, not ended": headed(*(f"X-{number}: {'x' * 1000}" for number in range(17)), end="\r\n "),
    "a length that goes on": headed("Content-Length: 1", " 6", "X: N"),
    "two lengths, one of which is no number": headed("Content-Length: 2", "Content-Length: N, 2"),
    "a space before the colon": headed("Content-Length : N", "Content-Length: 2"),
    "a length in a line that ends by LF": headed("X: y\nContent-Length: 2"),
    "a line that is no header": headed("nonsense", "Content-Length: 2"),
    "HTTP/1.0": lambda data: headed("Content-Length: N")(data).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "100 first": lambda data: b"HTTP/1.1 100 Continue\r\n\r\n" + headed("Content-Length: N")(data),
}


@pytest.mark.parametrize("name", ODD_ANSWERS)
async def test_an_odd_answer_is_asked_for_again_and_read_as_ever(name: str):
    """One in fifty, the first time: then the ordinary way gets what is good."""
    odd = Fault(name, raw(ODD_ANSWERS[name]), TRANSIENT)
    async with misbehaving() as server, context() as own:
        site = server.site(await stored(np.arange(1, 2001, dtype="i4"), chunks=(4,)))
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        seen: set[str] = set()
        site.schedule = lambda request: None if request.key in seen or seen.add(request.key) or request.number % 50 else odd
        np.testing.assert_array_equal(await array[...], np.arange(1, 2001))
        assert site.met
        await fresh(own)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.kind in (TRANSIENT, HARMLESS) and "range" not in name])
async def test_what_passes_by_itself_does_not_show(name: str):
    async with misbehaving() as server, context(retries=Retries(attempts=30, first=0)) as own:
        site = server.site(await stored(), random=Random(name))
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        for share in (0.01, 0.2):
            site.schedule = at(FAULTS[name], 30, 100) if name.startswith("stalled") else sometimes([FAULTS[name]], share, site.random)
            np.testing.assert_array_equal(await array[...], VALUES)
        assert site.met
        await fresh(own)
        assert await server.at_rest(1)


@pytest.mark.parametrize("seed", range(6))
async def test_all_of_them_among_many_do_not_show(seed: int):
    passing = [fault for fault in FAULTS.values() if fault.kind in (TRANSIENT, HARMLESS) and not fault.name.startswith("stalled")]
    passing.append(FAULTS["redirected to itself"])
    async with misbehaving() as server, context(retries=Retries(attempts=30, first=0)) as own:
        site = server.site(await stored(), random=Random(seed))
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        site.schedule = sometimes(passing, [0.002, 0.01, 0.1][seed % 3], site.random)
        for _ in range(3):
            np.testing.assert_array_equal(await array[...], VALUES)
        await fresh(own)


async def test_an_error_that_lasts_is_that_of_the_ordinary_way():
    async with misbehaving() as server, context() as own:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        site.schedule = lambda request: FAULTS["status 403"] if request.key == "c/77" else None
        with pytest.raises(TransportError, match=r"the server answered 403.* \(after 1 attempt\)") as caught:
            await array[...]
        assert caught.value.key == "c/77"
        await fresh(own)


async def test_a_bucket_that_is_gone_is_an_error_and_not_fill_values():
    async with misbehaving() as server, context() as own:
        site = server.site(await stored(), "bucket")
        store = BucketStore("s3://bucket", endpoint=server.url, context=own)
        array = await azarr.open_array(store, zarr_format=3, context=own)
        np.testing.assert_array_equal(await array[...], VALUES)
        gone = Fault("", lambda request, random: Answer(404, {}, b"<Error><Code>NoSuchBucket</Code></Error>"), "")
        site.schedule = lambda request: gone
        with pytest.raises(TransportError, match="there is no bucket 'bucket'"):
            await array[...]


class Doubled(HTTPStore):
    """Somebody's own, which changes what comes."""

    async def get(self, key: str, byte_range: Any = None) -> Any:
        found = await super().get(key, byte_range)
        return found if found is None or not key.startswith("c/") else found._replace(data=(np.frombuffer(found.data, "<i4") * 2).tobytes())


async def test_stores_that_are_made_of_this_one_are_asked_by_their_own_methods():
    async with misbehaving() as server, context() as own:
        store = Doubled(server.site(await stored()).url, context=own)
        np.testing.assert_array_equal(await azarr.open_array(store, zarr_format=3, context=own)[...], VALUES * 2)


class Signed(HTTPStore):
    """Somebody's own, which adds to what is sent."""

    async def send(self, url: str, conditions: Any, most: int | None = None, **how: str) -> Any:
        return await super().send(url, {**conditions, "X-Signed": "yes"}, most, **how)


async def test_what_somebody_adds_to_requests_is_sent_with_all_of_them():
    async with misbehaving() as server, context() as own:
        site = server.site(await stored())
        site.noted = True
        np.testing.assert_array_equal(await azarr.open_array(Signed(site.url, context=own), zarr_format=3, context=own)[...], VALUES)
        assert {headers.get("x-signed") for headers in site.sent} == {"yes"}


async def test_a_server_that_is_odd_each_time_is_not_asked_so_again(exchanges: list[int]):
    def closed(request: Request, random: Random) -> Answer:
        answer = request.good()
        answer.headers["Connection"], answer.end = "close", "close"
        return answer

    closing = Fault("closing", closed, HARMLESS)
    async with misbehaving() as server, context() as own:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        site.schedule = lambda request: closing
        for _ in range(3):
            np.testing.assert_array_equal(await array[...], VALUES)
        assert len(exchanges) == (2 if HERE else 0)  # one of each thread, the first time


async def test_connections_over_which_nothing_was_sent_are_kept():
    """Requests that are too long for the ring, as of those with long tokens, go the ordinary way."""
    async with misbehaving() as server, context() as own:
        store = HTTPStore(server.site(await stored()).url, headers={"Authorization": "x" * 3000}, context=own)
        array = await azarr.open_array(store, zarr_format=3, context=own)
        for _ in range(3):
            np.testing.assert_array_equal(await array[...], VALUES)
        assert server.accepted <= 128


# In pieces


class Pieces:
    """A server that sends the answers to each connection by the pieces that `cut` makes of them, a moment apart."""

    def __init__(self, objects: dict[str, bytes], cut: Callable[[str, bytes], list[bytes]]) -> None:
        self.objects, self.cut, self.url, self.tasks = objects, cut, "", set[asyncio.Task[None]]()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.create_task(self.talk(reader, writer)))

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                key = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()[1:]
                data = self.objects.get(key)
                head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (b"404 Not Found" if data is None else b"200 OK", len(data or b""))
                for piece in self.cut(key, head + (data or b"")):
                    writer.write(piece)
                    await asyncio.sleep(0.002)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def sending(objects: dict[str, bytes], cut: Callable[[str, bytes], list[bytes]]) -> AbstractAsyncContextManager[Pieces]:
    return listening(Pieces(objects, cut))


async def test_a_server_is_near_that_answers_soon_however_long_it_takes_to_connect(monkeypatch: pytest.MonkeyPatch, exchanges: list[int]):
    connect = Client._connect

    async def slowly(self: Client, *arguments: Any) -> Any:
        await asyncio.sleep(0.6)
        return await connect(self, *arguments)

    monkeypatch.setattr(Client, "_connect", slowly)
    monkeypatch.setattr(many, "NEAR", 0.5)
    async with sending(await stored(), lambda key, data: [data]) as speaker, context() as own:
        np.testing.assert_array_equal(await read(speaker.url, own), VALUES)
    assert bool(exchanges) is HERE


async def test_answers_that_come_in_any_pieces_are_read():
    random = Random(5)

    def cut(key: str, data: bytes) -> list[bytes]:
        places = sorted(random.sample(range(1, len(data)), k=random.randrange(4)))
        return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)], strict=True)]

    async with sending(await stored(), cut) as speaker, context() as own:
        np.testing.assert_array_equal(await read(speaker.url, own), VALUES)
        assert (own.counters.requests, own.counters.retries) == (COUNT + 1, 0)


EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n" + b"evil" * 8


@pytest.mark.parametrize("surplus", [EVIL, b"\0", b"\r\n"], ids=["an answer", "a byte", "a line"])
@pytest.mark.parametrize("pieces", [1, 2, 3])
async def test_what_comes_behind_an_answer_is_not_the_next_one(surplus: bytes, pieces: int):
    longer = {"c/5", "c/150", "c/400"}

    def cut(key: str, data: bytes) -> list[bytes]:
        if key not in longer:
            return [data]
        longer.remove(key)
        first, second = data[:-9], data[-9:] + surplus  # in the body
        return [[first + second], [first, second], [first[:9], first[9:], second]][pieces - 1]

    async with sending(await stored(), cut) as speaker, context() as own:
        np.testing.assert_array_equal(await read(speaker.url, own), VALUES)
    assert not longer


# Silence, and who ends it


async def test_a_read_that_is_cancelled_while_the_server_is_silent_ends_soon_and_leaves_nothing():
    async with misbehaving() as server, context(timeout=60) as own:
        array = await azarr.open_array(server.site(await stored()).url, zarr_format=3, context=own)
        server.close_gate()
        task = asyncio.create_task(array[...].read())
        await server.until(lambda: server.busy >= 64)
        began = asyncio.get_running_loop().time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop().time() - began < 0.2
        assert await server.within(1, lambda: not server.busy)
        await fresh(own)
        server.gate = None
        np.testing.assert_array_equal(await array[...], VALUES)


async def test_a_server_that_is_silent_for_long_is_waited_for_without_threads(monkeypatch: pytest.MonkeyPatch, exchanges: list[int]):
    monkeypatch.setattr(many, "SILENT", 0.1)
    async with misbehaving() as server, context(timeout=60) as own:
        array = await azarr.open_array(server.site(await stored()).url, zarr_format=3, context=own)
        server.close_gate()
        task = asyncio.create_task(array[...].read())
        await server.until(lambda: server.accepted > 128 or (not HERE and server.busy == 128))  # all are asked again
        client = cpython._running(own).plain
        assert client.threads == 0
        server.open_gate()
        np.testing.assert_array_equal(await task, VALUES)
        count = len(exchanges)
        np.testing.assert_array_equal(await array[...], VALUES)
        assert len(exchanges) == count
        await fresh(own)


async def test_a_context_that_ends_does_not_close_what_a_thread_talks_over():
    async with misbehaving() as server:
        own = context(timeout=60)
        array = await azarr.open_array(server.site(await stored()).url, zarr_format=3, context=own)
        server.close_gate()
        task = asyncio.create_task(array[...].read())
        await server.until(lambda: server.busy >= 64)
        if HERE:
            await own.__aexit__()
        server.open_gate()
        np.testing.assert_array_equal(await task, VALUES)
        await own.__aexit__()
        assert await server.within(5, lambda: not server.connections)


async def test_connections_that_are_not_good_are_not_remembered():
    async with misbehaving() as server, context() as own:
        site = server.site(await stored())
        array = await azarr.open_array(site.url, zarr_format=3, context=own)
        for _ in range(3):
            site.schedule = at(FAULTS["closed before the answer"], *range(len(site.requests), len(site.requests) + 50))
            np.testing.assert_array_equal(await array[...], VALUES)
            await fresh(own)
            assert len(cpython._running(own).plain._all) <= 128


# The system


async def test_without_rings_the_same_is_read_one_by_one(monkeypatch: pytest.MonkeyPatch, exchanges: list[int]):
    monkeypatch.setattr(many, "has_rings", lambda: False)
    async with misbehaving() as server, context() as own:
        np.testing.assert_array_equal(await read(server.site(await stored()).url, own), VALUES)
    assert exchanges == []


@pytest.mark.parametrize("refused", [0, 1, 2, 3, 5, 7, 20])
async def test_where_the_kernel_refuses_the_ordinary_way_goes_on(monkeypatch: pytest.MonkeyPatch, refused: int):
    the_kernel_refuses(monkeypatch, refused)
    async with misbehaving() as server, context() as own:
        np.testing.assert_array_equal(await read(server.site(await stored()).url, own), VALUES)
        await fresh(own)


async def test_where_no_ring_is_to_be_had_any_more_the_ordinary_way_goes_on(monkeypatch: pytest.MonkeyPatch):
    class Refused(SocketRing):
        def __init__(self) -> None:
            raise OSError(24, "too many open files")

    monkeypatch.setattr(socket_rings, "_own", threading.local())
    monkeypatch.setattr(socket_rings, "SocketRing", Refused)
    async with misbehaving() as server, context() as own:
        np.testing.assert_array_equal(await read(server.site(await stored()).url, own), VALUES)


async def test_a_forked_process_reads_with_rings_of_its_own():
    async with misbehaving() as server, context() as own:
        site = server.site(await stored())
        np.testing.assert_array_equal(await read(site.url, own), VALUES)

        def fork() -> int:
            if (child := os.fork()) == 0:
                status = 1
                with suppress(BaseException):
                    status = int(not np.array_equal(asyncio.run(read(site.url, own)), VALUES))
                os._exit(status)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        assert await asyncio.to_thread(fork) == 0
        np.testing.assert_array_equal(await read(site.url, own), VALUES)


# One exchange


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        return ours, listening.accept()[0]


def reset(ours: socket.socket, theirs: socket.socket) -> None:
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()


def no_more_sending(ours: socket.socket, theirs: socket.socket) -> None:
    ours.shutdown(socket.SHUT_WR)


def closed(ours: socket.socket, theirs: socket.socket) -> None:
    theirs.close()


@pytest.mark.parametrize("spoil", [reset, no_more_sending, closed] if HERE else [])
def test_what_cannot_be_sent_is_not_waited_for(spoil: Callable[[socket.socket, socket.socket], None]):
    """Nor does it count in a later exchange by the same thread."""
    bad, other, good, server = *pair(), *pair()
    spoil(bad, other)
    results: list[Any] = []

    def exchange() -> None:
        files, texts, seen = [good.fileno(), bad.fileno()], [b"one", b"two", b"three"], list[bytes]()

        def look(number: int, room: Any, got: int) -> int:
            seen.append(room[:got].tobytes())
            return 0 if len(seen) < 3 else ODD

        results.append(exchange_by_ring(files, texts[:2], 100, look, lambda came: True))
        results.append(exchange_by_ring(files[:1], texts[2:], 100, look, lambda came: True))
        results.append(seen)

    thread = threading.Thread(target=exchange, daemon=True)
    thread.start()
    server.settimeout(5)
    assert server.recv(3) == b"one"
    server.sendall(b"first")
    assert server.recv(5) == b"three"
    server.sendall(b"third")
    thread.join(5)
    assert results == [[True, False], [True], [b"first", b"third"]]
    for each in (bad, other, good, server):
        each.close()


@pytest.mark.parametrize("_", [0] if HERE else [])
def test_an_error_of_who_looks_is_raised_when_nothing_is_received_any_more(_: int):
    ours, server = pair()
    others, silent = pair()
    server.sendall(b"answer")

    def look(number: int, room: Any, got: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exchange_by_ring([ours.fileno(), others.fileno()], [b"one", b"two"], 100, look, lambda came: True)
    assert socket_rings._lost == []
    assert silent.recv(10) in (b"two", b"")
    for each in (ours, server, others, silent):
        each.close()
