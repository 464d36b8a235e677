"""The web server of the browser tests, in a thread: folders and objects on one origin, the objects on a second one too, as in a bucket.

Objects are answered as by a good server: ranges, ETag, Last-Modified, conditions. `Site.answers` maps keys to answers of the test's own,
`Site.delay` keeps all of them back. What is asked for is noted in `Site.requests`. Of the second origin a page sees what CORS lets it see:
`Access-Control-Allow-Origin: *`, nothing exposed, and no permission for more (OPTIONS is refused).
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import WSMsgType, web

from faults import RESET
from servers import etag_of, ranged

T = TypeVar("T")
Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]
PORTS = itertools.count(20_000)
"""None is used twice: what a browser keeps in its cache of one server would be the answer of the next."""
PATIENCE = 60
"""Seconds after which a test that waits for something that does not happen fails, instead of hanging."""
TYPES = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".json": "application/json"}


@dataclass(eq=False)
class Asked:
    """A request for an object. `other`: to the second origin. `at`: seconds since the site began."""

    method: str
    key: str
    range: str | None
    headers: Mapping[str, str]
    other: bool
    at: float
    aborted: bool = False
    done: bool = False


@dataclass(eq=False)
class Site:
    """A running server. `url` and `other` are its two origins; none has a slash at its end."""

    folders: dict[str, Path]
    objects: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    """Answers by key, or by a prefix of keys that ends with a slash."""
    delay: float = 0.0
    cors: bool = True
    requests: list[Asked] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    """Paths that were asked for and that are not there, objects apart."""
    url: str = ""
    other: str = ""
    loop: Any = None
    changed: threading.Condition = field(default_factory=threading.Condition)
    _numbers: Any = field(default_factory=itertools.count)

    def reset(self) -> None:
        """Good again, and nothing noted. Objects stay."""
        self.answers.clear()
        self.requests.clear()
        self.delay, self.cors = 0.0, True

    def add(self, objects: Mapping[str, bytes], *, other: bool = False) -> str:
        """Serve `objects` below a URL that nobody has asked for yet."""
        name = f"{next(self._numbers)}"
        self.objects.update({f"{name}/{key}": data for key, data in objects.items()})
        return f"{self.other if other else self.url}/data/{name}"

    def key(self, url: str, key: str = "") -> str:
        """The key, as in `objects` and `answers`, of an object below `url`; without `key` a prefix of all of them."""
        return url.partition("/data/")[2] + "/" + key

    def below(self, url: str) -> list[Asked]:
        """What was asked for below `url`. There may be more in `requests`: browsers send, and cancel, late."""
        return [asked for asked in self.requests if asked.key.startswith(self.key(url))]

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until `true`, which the site's requests make so."""
        with self.changed:
            assert self.changed.wait_for(true, PATIENCE), [vars(asked) for asked in self.requests]

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of `coroutine`, on the loop of the site: beside playwright no other can run in the test's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    async def answer(self, request: web.Request, *, other: bool) -> web.StreamResponse:
        """An answer to anything."""
        head, _, key = request.path.lstrip("/").partition("/")
        if head == "data":
            return await self._object(request, key, other=other)
        if head == "simple":
            return self._index(key.strip("/"))
        if head == "relay":
            return await relayed(request)
        file = self.folders[head] / key if head in self.folders else Path("nothing")
        if head == "wheels" and not file.is_file():
            file = next((folder / key for name, folder in self.folders.items() if name.startswith("wheels/") and (folder / key).is_file()), file)
        if file.is_dir():
            file = file / "index.html"
        if not file.is_file():
            self.outside.append(request.path)
            return web.Response(status=404)
        kind = TYPES.get(file.suffix, "application/octet-stream")
        return web.Response(body=await asyncio.to_thread(file.read_bytes), headers={"Content-Type": kind, "Cache-Control": "no-cache"})

    async def _object(self, request: web.Request, key: str, *, other: bool) -> web.StreamResponse:
        asked = Asked(request.method, key, request.headers.get("Range"), dict(request.headers), other, time.monotonic())
        self._note(lambda: self.requests.append(asked))
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            if request.method == "OPTIONS":
                return web.Response(status=403)
            prefix = next((name for name in self.answers if name == key or (name.endswith("/") and key.startswith(name))), None)
            if prefix is not None:
                return await self.answers[prefix](request, self.objects.get(key, b""))
            return good(request, self.objects.get(key))
        except asyncio.CancelledError:
            self._note(lambda: setattr(asked, "aborted", True))
            raise
        except ConnectionResetError:  # the connection is closed already, and the handler is not cancelled yet
            self._note(lambda: setattr(asked, "aborted", True))
            return web.Response()
        finally:
            self._note(lambda: setattr(asked, "done", True))

    def _note(self, change: Callable[[], None]) -> None:
        with self.changed:
            change()
            self.changed.notify_all()

    def _index(self, name: str) -> web.Response:
        """The simple repository, in JSON, of all wheels: what micropip asks for a package."""
        folders = [folder for each, folder in self.folders.items() if each.startswith("wheels/")]
        found = [file.name for folder in folders for file in folder.glob("*.whl") if file.name.partition("-")[0].lower().replace("_", "-") == name]
        if not found:
            self.outside.append(f"/simple/{name}/")
            return web.Response(status=404)
        files = [{"filename": each, "url": f"{self.url}/wheels/{each}", "hashes": {}} for each in found]
        page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [each.split("-")[1] for each in found], "files": files}
        return web.Response(body=json.dumps(page).encode(), headers={"Content-Type": "application/vnd.pypi.simple.v1+json"})


def good(request: web.Request, data: bytes | None) -> web.StreamResponse:
    """What a good server answers."""
    if data is None:
        return web.Response(status=404, body=b"there is no such object")
    tag = etag_of(data)
    if request.headers.get("If-Match", tag) not in (tag, "*"):
        return web.Response(status=412)
    if request.headers.get("If-None-Match") in (tag, "*"):
        return web.Response(status=304, headers={"ETag": tag})
    answer = ranged(request, data)
    answer.headers["Last-Modified"] = formatdate(1.7e9 + int(tag[1:9], 16) % 10**8, usegmt=True)
    answer.headers["Accept-Ranges"] = "bytes"
    return answer


def status(code: int, *, times: int | None = None) -> Answer:
    """A server that answers `code`; the first `times` times only, where that is given."""
    left = itertools.count() if times is None else iter(range(times))

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        return good(request, data) if next(left, None) is None else web.Response(status=code)

    return answer


def cut(keep: float, *, times: int | None = None) -> Answer:
    """A server that announces its body, sends a share of it, and breaks the connection."""
    left = itertools.count() if times is None else iter(range(times))

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        whole = good(request, data)
        if next(left, None) is None or request.method == "HEAD":
            return whole
        assert isinstance(whole, web.Response)
        body = bytes(whole.body or b"")
        part = web.StreamResponse(status=whole.status, headers={**whole.headers, "Content-Length": str(len(body))})
        await part.prepare(request)
        await part.write(body[: int(keep * len(body))])
        assert request.transport is not None
        request.transport.abort()
        return part

    return answer


def stalled(sent: float = 0.0) -> Answer:
    """A server that sends a share of its body, and then nothing."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        whole = good(request, data)
        if sent and request.method != "HEAD":
            assert isinstance(whole, web.Response)
            body = bytes(whole.body or b"")
            part = web.StreamResponse(status=whole.status, headers={**whole.headers, "Content-Length": str(len(body))})
            await part.prepare(request)
            await part.write(body[: int(sent * len(body))])
        await asyncio.Event().wait()
        raise AssertionError

    return answer


async def dropped(request: web.Request, data: bytes) -> web.StreamResponse:
    """A server that breaks the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def whole(request: web.Request, data: bytes) -> web.StreamResponse:
    """A server that does not know ranges: 200, with everything."""
    return web.Response(body=data, headers={"ETag": etag_of(data)})


async def no_suffixes(request: web.Request, data: bytes) -> web.StreamResponse:
    """A server that refuses to count from the end."""
    return web.Response(status=501) if request.headers.get("Range", "").startswith("bytes=-") else good(request, data)


async def no_head(request: web.Request, data: bytes) -> web.StreamResponse:
    """A server that refuses HEAD."""
    return web.Response(status=405) if request.method == "HEAD" else good(request, data)


async def encoded(request: web.Request, data: bytes) -> web.StreamResponse:
    """A server that keeps the object compressed: ranges count compressed bytes, and the browser unpacks what comes."""
    answer = good(request, gzip.compress(data, mtime=0))
    answer.headers["Content-Encoding"] = "gzip"
    return answer


async def encoded_on_the_way(request: web.Request, data: bytes) -> web.StreamResponse:
    """A server that compresses what it sends: ranges count bytes of the object, and each answer is compressed for itself."""
    answer = good(request, data)
    body = answer.body if isinstance(answer, web.Response) else None
    if isinstance(body, bytes) and body and request.method == "GET" and "gzip" in request.headers.get("Accept-Encoding", ""):
        answer.body = gzip.compress(body, mtime=0)
        answer.headers["Content-Encoding"] = "gzip"
    return answer


class Relayed(asyncio.Protocol):
    """A connection of which is told on a web socket: see `tests/relay.py`, which is at its other end."""

    transport: asyncio.Transport | None = None
    over = False
    """Whether nobody is at the other end any more: it was accepted too late."""

    def __init__(self, number: int, tell: Callable[[Any], None]) -> None:
        self.number, self.tell = number, tell

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.over:
            transport.abort()
        self.tell([self.number, "open"])

    def data_received(self, data: bytes) -> None:
        self.tell(self.number.to_bytes(4, "little") + data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.tell([self.number, "closed"])

    def end(self, how: str) -> None:
        """Closed when all is sent, aborted at once, or reset."""
        assert self.transport is not None
        if how == "reset":
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        (self.transport.close if how == "close" else self.transport.abort)()


async def relayed(request: web.Request) -> web.WebSocketResponse:
    """A listening socket for who asks, for as long as its web socket is open."""
    channel, told, connections, over = web.WebSocketResponse(max_msg_size=0), asyncio.Queue[Any](), dict[int, Relayed](), False
    await channel.prepare(request)

    def connected() -> Relayed:
        number = len(connections)
        connections[number] = connection = Relayed(number, told.put_nowait)
        connection.over = over
        return connection

    async def tell() -> None:
        while True:
            message = await told.get()
            await (channel.send_bytes(message) if isinstance(message, bytes) else channel.send_json(message))

    loop, accepted, listening = asyncio.get_running_loop(), set[asyncio.Task[Any]](), None
    while listening is None:
        with suppress(OSError):  # another one has that port
            listening = socket.create_server(("127.0.0.1", next(PORTS)), backlog=1024)
    listening.setblocking(False)

    def accept() -> None:  # not by a server of asyncio: it leaves open what it had accepted when it is closed
        with suppress(BlockingIOError, ConnectionAbortedError):
            task = loop.create_task(loop.connect_accepted_socket(connected, listening.accept()[0]))
            accepted.add(task)
            task.add_done_callback(accepted.discard)

    def close() -> None:
        if listening.fileno() >= 0:
            loop.remove_reader(listening)
            listening.close()

    loop.add_reader(listening, accept)
    await channel.send_json([-1, listening.getsockname()[1]])
    telling = asyncio.create_task(tell())
    try:
        async for message in channel:
            if message.type == WSMsgType.BINARY:
                transport = connections[int.from_bytes(message.data[:4], "little")].transport
                assert transport is not None
                transport.write(message.data[4:])
                continue
            number, what = message.json()
            if number >= 0:
                connections[number].end(what)
            else:
                close()
    finally:
        telling.cancel()
        close()
        over = True
        await asyncio.gather(*accepted, return_exceptions=True)
        for connection in connections.values():
            connection.over = True
            if connection.transport is not None and not connection.transport.is_closing():  # those that are still send what was written
                connection.transport.abort()
    return channel


class Serving:
    """A `Site` for as long as the context lasts."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self.site, self._ended = Site(folders), asyncio.Event()

    def __enter__(self) -> Site:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)))
        with ExitStack() as failed:
            failed.callback(self._thread.join)
            self._thread.start()
            assert started.wait(PATIENCE)
            failed.pop_all()
        return self.site

    def __exit__(self, *error: object) -> None:
        self.site.loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(PATIENCE)

    async def _serve(self, started: threading.Event) -> None:
        site = self.site
        site.loop = asyncio.get_running_loop()
        runners = [await self._listen(other=other) for other in (False, True)]
        # Another name of the same machine is another site too, not only another origin.
        site.url, site.other = (f"http://{host}:{runner.addresses[0][1]}" for host, runner in zip(("localhost", "127.0.0.1"), runners, strict=True))
        started.set()
        await self._ended.wait()
        for runner in runners:
            await runner.cleanup()

    async def _listen(self, *, other: bool) -> web.ServerRunner:
        async def allow(request: web.BaseRequest, response: web.StreamResponse) -> None:
            if other and self.site.cors:
                response.headers["Access-Control-Allow-Origin"] = "*"

        async def answer(request: web.Request) -> web.StreamResponse:
            return await self.site.answer(request, other=other)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        application.on_response_prepare.append(allow)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner
