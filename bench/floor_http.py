"""The floor over HTTP: the same requests by two bare clients, decoded by the bare codec. Knows the layouts of `data`; no Zarr library.

A client sends `Ask`s over its warm connections, as many at once, and gives each body to its `take`, which decodes it, assigns it to its
place, and says what is to be asked next. Nothing is checked but sizes and statuses. One client is aiohttp, the other an
`asyncio.BufferedProtocol` that receives into a buffer of its own; each thread has a client, and a loop, for itself.
"""

import asyncio
import itertools
import json
import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from types import EllipsisType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from bench.data import ARRAYS, Layout, group_truth
from bench.floor import CHECKSUM, DECODERS, INDEX_ENTRY, blocks

CONNECTIONS = 128  # all threads together
ROOM = 2 << 20  # bytes: the longest answer, its head included
HEAD = 1024  # bytes: the longest head
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Ask(NamedTuple):
    """One GET: the path, the range ("" for everything), and where in the array its body belongs."""

    path: str
    byte_range: str
    place: Any


Take = Callable[[Ask, memoryview], Iterable[Ask]]


# The clients --------------------------------------------------------------------------------------------------------


class Aiohttp:
    """A task for each connection."""

    def __init__(self, url: str, connections: int) -> None:
        self.loop, self.connections = asyncio.new_event_loop(), connections
        self.session = self.loop.run_until_complete(self._start(url))

    async def _start(self, url: str) -> Any:
        import aiohttp

        connector = aiohttp.TCPConnector(limit=self.connections)
        return aiohttp.ClientSession(url, connector=connector, auto_decompress=False, read_bufsize=ROOM)

    def fetch(self, asks: Iterator[Ask], take: Take) -> list[Ask]:
        more: list[Ask] = []
        self.loop.run_until_complete(_all(self._work(asks, take, more) for _ in range(self.connections)))
        return more

    async def _work(self, asks: Iterator[Ask], take: Take, more: list[Ask]) -> None:
        for ask in asks:
            async with self.session.get(ask.path, headers={"Range": ask.byte_range} if ask.byte_range else None) as answer:
                body = await answer.read()
            if answer.status != (206 if ask.byte_range else 200):
                raise ValueError(f"{ask.path}: {answer.status}")
            more.extend(take(ask, memoryview(body)))


class Bare:
    """No tasks: a connection sends its next request when it has an answer."""

    def __init__(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        self.host, self.loop = parts.netloc, asyncio.new_event_loop()
        opening = (self.loop.create_connection(lambda: Connection(self), parts.hostname, parts.port) for _ in range(connections))
        self.connections = [protocol for _, protocol in self.loop.run_until_complete(_all(opening))]

    def fetch(self, asks: Iterator[Ask], take: Take) -> list[Ask]:
        self.asks, self.take, self.more, self.finished = asks, take, list[Ask](), self.loop.create_future()
        self.busy = len(self.connections)
        for connection in self.connections:
            connection.proceed()
        self.loop.run_until_complete(self.finished)
        return self.more


class Connection(asyncio.BufferedProtocol):
    def __init__(self, client: Bare) -> None:
        self.client, self.room = client, memoryview(bytearray(ROOM))

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or EOFError("the server has closed a connection"))

    def proceed(self) -> None:
        self.ask, self.filled, self.body, self.end = next(self.client.asks, None), 0, 0, 0
        if self.ask:
            ranged = f"Range: {self.ask.byte_range}\r\n" if self.ask.byte_range else ""
            self.transport.write(f"GET {self.ask.path} HTTP/1.1\r\nHost: {self.client.host}\r\n{ranged}\r\n".encode())
        else:
            self.client.busy -= 1
            if not self.client.busy and not self.client.finished.done():
                self.client.finished.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.room[self.filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self.filled += nbytes
        try:
            if (self.end or self._has_head()) and self.filled == self.end:
                self.client.more += self.client.take(self.ask, self.room[self.body : self.end])
                self.proceed()
        except Exception as error:
            self._fail(error)

    def _has_head(self) -> bool:
        head, found, _ = bytes(self.room[: min(self.filled, HEAD)]).partition(b"\r\n\r\n")
        if not found:
            return False
        if head[9:12] != (b"206" if self.ask.byte_range else b"200"):
            raise ValueError(f"{self.ask.path}: {head[:12]!r}")
        self.body = len(head) + 4
        self.end = self.body + int(LENGTH.search(head)[1])
        return True

    def _fail(self, error: Exception) -> None:
        if not self.client.finished.done():
            self.client.finished.set_exception(error)


async def _all(waiting: Iterable[Any]) -> list[Any]:
    return await asyncio.gather(*waiting)


# The array ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Served:
    """An opened array: its path at the server, its layout and shape, and a client for each thread."""

    path: str
    layout: Layout
    shape: tuple[int, ...]
    clients: tuple[Any, ...]


@cache
def _clients(kind: type, host: str, threads: int) -> tuple[Any, ...]:
    return tuple(kind(host, CONNECTIONS // threads) for _ in range(threads))


def opener(kind: type, threads: int) -> Callable[[str], Served]:
    """A function that opens the array at a URL, to be read by so many threads with a client of this kind each."""

    def start(url: str) -> Served:
        parts = urlsplit(url)
        clients = _clients(kind, f"{parts.scheme}://{parts.netloc}", threads)
        document = _documents(clients[0], {"": f"{parts.path}/zarr.json"})[""]
        return Served(parts.path, ARRAYS[parts.path.rpartition("/")[2]], tuple(document["shape"]), clients)

    return start


def members(kind: type) -> Callable[[str, bool], dict[str, tuple[tuple[int, ...], str]]]:
    """A function that asks for the JSON documents of a group and parses them, and does not look at them any further."""

    def find(url: str, consolidated: bool) -> dict[str, tuple[tuple[int, ...], str]]:
        parts = urlsplit(url)
        (client,) = _clients(kind, f"{parts.scheme}://{parts.netloc}", 1)
        if consolidated:
            found = _documents(client, {"": f"{parts.path}/zarr.json"})[""]["consolidated_metadata"]["metadata"]
        else:
            found = _documents(client, {name: f"{parts.path}/{name}/zarr.json" for name in group_truth()})
        return {name: (tuple(document["shape"]), document["data_type"]) for name, document in found.items()}

    return find


def _documents(client: Any, paths: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def take(ask: Ask, body: memoryview) -> Iterable[Ask]:
        found[ask.place] = json.loads(bytes(body))
        return ()

    client.fetch(iter([Ask(path, "", name) for name, path in paths.items()]), take)
    return found


def read(array: Served, selection: EllipsisType | tuple[int | slice, ...]) -> np.ndarray:
    """Everything of an array without shards, or a plane across the last axis of one with shards."""
    steps = array.layout.shards or array.layout.chunks
    counts = [length // step for length, step in zip(array.shape, steps, strict=True)]
    keys = {place: f"{array.path}/c/{'/'.join(map(str, place))}" for place in itertools.product(*map(range, counts))}
    if isinstance(selection, tuple):
        return _read_plane(array, keys, selection[-1])
    result = np.empty(array.shape, "<u2")
    places = blocks(result, steps)
    _share(array.clients, [Ask(key, "", place) for place, key in keys.items()], lambda: _whole(array.layout, places))
    return result


def _read_plane(array: Served, keys: dict[tuple[int, ...], str], index: int) -> np.ndarray:
    layout = array.layout
    shard, ending = divmod(index, layout.shards[-1])
    column, offset = divmod(ending, layout.chunks[-1])
    nbytes = math.prod(layout.shards) // math.prod(layout.chunks) * INDEX_ENTRY + CHECKSUM
    asks = [Ask(key, f"bytes=-{nbytes}", place) for place, key in keys.items() if place[-1] == shard]
    inner = _share(array.clients, asks, lambda: lambda ask, body: _inner_asks(layout, column, ask, body))
    result = np.empty(array.shape[:-1], "<u2")
    places = blocks(result, layout.chunks[:-1])
    _share(array.clients, inner, lambda: _crossed(layout, offset, places))
    return result


def _share(clients: tuple[Any, ...], asks: list[Ask], take: Callable[[], Take]) -> list[Ask]:
    """Let the clients take asks from a common list, each with a `take` of its own; gives what is to be asked next."""
    todo, more = iter(asks), list[Ask]()

    def work(client: Any) -> None:
        more.extend(client.fetch(todo, take()))

    threads = [threading.Thread(target=work, args=(client,)) for client in clients[1:]]
    for thread in threads:
        thread.start()
    work(clients[0])
    for thread in threads:
        thread.join()
    return more


def _inner_asks(layout: Layout, column: int, ask: Ask, body: memoryview) -> Iterator[Ask]:
    """The inner chunks of one column, from the index of their shard; neighbours together."""
    counts = [shard // chunk for shard, chunk in zip(layout.shards, layout.chunks, strict=True)]
    entries = np.frombuffer(body[:-CHECKSUM], "<u8").reshape(*counts, 2)[..., column, :]
    run: list[tuple[int, int, Any]] = []
    for start, nbytes, inner in sorted((*entries[inner].tolist(), inner) for inner in itertools.product(*map(range, counts[:-1]))):
        if run and start != run[-1][0] + run[-1][1]:
            yield _together(ask.path, run)
            run = []
        run.append((start, nbytes, tuple(outer * count + own for outer, count, own in zip(ask.place, counts, inner, strict=False))))
    yield _together(ask.path, run)


def _together(path: str, run: list[tuple[int, int, Any]]) -> Ask:
    first = run[0][0]
    return Ask(path, f"bytes={first}-{sum(run[-1][:2]) - 1}", [(start - first, nbytes, place) for start, nbytes, place in run])


def _whole(layout: Layout, places: np.ndarray) -> Take:
    decoded = _decoder(layout)

    def take(ask: Ask, body: memoryview) -> Iterable[Ask]:
        places[ask.place] = decoded(body)
        return ()

    return take


def _crossed(layout: Layout, offset: int, places: np.ndarray) -> Take:
    decoded = _decoder(layout)

    def take(ask: Ask, body: memoryview) -> Iterable[Ask]:
        for start, nbytes, place in ask.place:
            places[place] = decoded(body[start : start + nbytes])[..., offset]
        return ()

    return take


def _decoder(layout: Layout) -> Callable[[memoryview], np.ndarray]:
    if layout.codec is None:
        return lambda body: np.frombuffer(body, "<u2").reshape(layout.chunks)
    decode, scratch = DECODERS[layout.codec["name"]](), np.empty(layout.chunks, "<u2")
    target, room = scratch.ctypes.data, scratch.nbytes

    def decoded(body: memoryview) -> np.ndarray:
        if decode(np.frombuffer(body, "u1").ctypes.data, len(body), target, room) != room:
            raise ValueError(f"a chunk does not decode to {room} bytes")
        return scratch

    return decoded
