"""An HTTP/1.1 server on loopback that misbehaves as it is told to: sites with objects by key, and a schedule of faults.

A good answer is made first, with ranges, validators and conditions as RFC 9110 has them; a fault makes another one of it. Answers are
made without waiting, at about 100 us each, so that a test can afford hundreds of thousands.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from random import Random
from typing import NamedTuple

from oracles import zstd

PATIENCE = 30
"""Seconds after which a test that waits for something that does not happen fails, instead of hanging."""
PHRASES = {status.value: status.phrase for status in HTTPStatus}
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing throws away what was not sent, and tells the peer so."""


@dataclass(slots=True)
class Answer:
    """What is sent. Of all that, `keep` leaves a share of the head, or all of the head and a share of the body; then comes `end`.

    `framing`: "length" announces the body's, "close" ends it with the connection, "chunked" sends it in pieces.
    `end`: "keep" the connection, "close" or "reset" it, or "stall": nothing more happens.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    framing: str = "length"
    keep: tuple[str, float] | None = None
    end: str = "keep"
    line: str = ""
    """The status line, where it is none of HTTP."""

    def encoded(self, method: str) -> bytes:
        """All bytes that go out."""
        lines = [self.line or f"HTTP/1.1 {self.status} {PHRASES.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        body = self.body
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        elif self.framing == "length" and self.status not in (204, 304) and "Content-Length" not in self.headers:
            lines.append(f"Content-Length: {len(body)}")
        if self.end == "close" or self.framing == "close":
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode()
        if method == "HEAD":
            body = b""
        if self.keep is None:
            return head + body
        what, share = self.keep
        return head[: int(share * len(head))] if what == "head" else head + body[: int(share * len(body))]


class Request:
    """What a client asked a site for; `number` counts the requests of the site from 0."""

    __slots__ = ("headers", "key", "method", "number", "query", "site")

    def __init__(self, site: Site, method: str, target: str, headers: dict[str, str]) -> None:
        self.site, self.method, self.headers, self.number = site, method, headers, len(site.requests)
        path, _, self.query = target.partition("?")
        self.key = path[len(site.name) + 2 :]

    @property
    def data(self) -> bytes:
        """The object that is asked for; empty if there is none."""
        return self.site.objects.get(self.key, b"")

    @property
    def range(self) -> str | None:
        return self.headers.get("range")

    def span(self) -> tuple[int, int] | None:
        """The range that is asked for, as start and stop; None for the whole object, or if there is none."""
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.range or "")
        if not found or self.key not in self.site.objects:
            return None
        size = len(self.data)
        if not found[1]:
            return max(size - int(found[2]), 0), size
        return int(found[1]), min(int(found[2]) + 1, size) if found[2] else size

    def good(self) -> Answer:
        """What a good server answers."""
        data = self.site.objects.get(self.key)
        if data is None:
            return Answer(404, {"Content-Type": "text/plain"}, b"there is no such object")
        tag = etag_of(data)
        name, value = VALIDATORS[self.site.validator](data)
        headers = {name: value, "Accept-Ranges": "bytes"} if name else {}
        if self.site.conditions and "if-match" in self.headers and self.headers["if-match"] not in (tag, "*"):
            return Answer(412, headers)
        if self.site.conditions and self.headers.get("if-none-match") in (tag, "*"):
            return Answer(304, headers)
        if (span := self.span()) is None:
            return Answer(200, headers, data)
        start, stop = span
        if start >= stop:
            return Answer(416, headers | {"Content-Range": f"bytes */{len(data)}"})
        return Answer(206, headers | {"Content-Range": content_range(span, data)}, data[start:stop])


def etag_of(data: bytes) -> str:
    return f'"{hash(data):x}"'  # Python keeps the hash of bytes, so that it costs nothing the next time


def content_range(span: tuple[int, int], data: bytes) -> str:
    return f"bytes {span[0]}-{span[1] - 1}/{len(data)}"


VALIDATORS: dict[str, Callable[[bytes], tuple[str, str]]] = {
    "strong": lambda data: ("ETag", etag_of(data)),
    "weak": lambda data: ("ETag", f"W/{etag_of(data)}"),
    "date": lambda data: ("Last-Modified", formatdate(1.7e9 + hash(data) % 10**8, usegmt=True)),
    "none": lambda data: ("", ""),
}
"""The header that tells one version of an object from another."""


class Fault(NamedTuple):
    """`spoil` makes the answer, or says None where the fault does not apply to the request. `kind` is what a client is to make of it.

    `hides` what is wrong: "bytes" that are others than all else says, or an "end" that came too early. Only what is inside them can tell.
    """

    name: str
    spoil: Callable[[Request, Random], Answer | None]
    kind: str
    hides: str = ""


TRANSIENT, LASTING, HARMLESS, EITHER = "transient", "lasting", "harmless", "either"
"""Repeating the request helps; does not help; is not needed; that depends on what was asked for."""
Schedule = Callable[[Request], Fault | None]


def never(request: Request) -> None:
    """No faults."""


@dataclass(eq=False)
class Site:
    """Objects below `url`, and what was asked for there. `others` are the versions that objects are replaced by, and back."""

    server: Server
    name: str
    objects: dict[str, bytes]
    others: dict[str, bytes] = field(default_factory=dict)
    schedule: Schedule = never
    random: Random = field(default_factory=Random)
    validator: str = "strong"
    conditions: bool = True
    """Whether If-Match and If-None-Match are respected."""
    turns: Callable[[Request], int] = lambda request: 0
    """How many turns of the event loop an answer is kept back."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, key, and Range header."""
    sent: list[dict[str, str]] = field(default_factory=list)
    """The headers of the requests, by their lower-case names, and "query"; only if `noted`."""
    noted: bool = False
    met: list[str] = field(default_factory=list)
    """The names of the faults that requests met."""
    history: dict[str, list[bytes | None]] = field(default_factory=dict)
    """What stood under a key before it was replaced or deleted, since `forget`."""
    busy: int = 0

    @property
    def url(self) -> str:
        return f"{self.server.url}/{self.name}"

    @property
    def asked(self) -> Counter[str]:
        """How often each key was asked for."""
        return Counter(key for _, key, _ in self.requests)

    def states(self, key: str) -> list[bytes | None]:
        """All that stood under `key` since `forget`, with what stands there now."""
        return [*self.history.get(key, ()), self.objects.get(key)]

    def forget(self) -> None:
        self.history.clear()

    def put(self, key: str, data: bytes | None) -> None:
        """Replace or delete an object."""
        self.history.setdefault(key, []).append(self.objects.get(key))
        if data is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = data

    def replace(self, key: str) -> None:
        """The object is another version now, and the next time the first again."""
        now = self.objects[key]
        self.put(key, self.others[key])
        self.others[key] = now

    def answer(self, request: Request) -> Answer:
        fault = self.schedule(request)
        if fault is not None and (answer := fault.spoil(request, self.random)) is not None:
            self.met.append(fault.name)
            return answer
        return request.good()


class Server:
    """All sites below `url`, and what goes on there: `connections` open, requests `busy` now and the `most` at once, `nbytes` sent."""

    def __init__(self) -> None:
        self.url = ""
        self.sites: dict[str, Site] = {}
        self.connections: set[Connection] = set()
        self.accepted = self.busy = self.most = self.nbytes = self.count = 0
        self.gate: list[Connection] | None = None
        """Those that wait for `open_gate`; None if it is open."""
        self.failures: list[Exception] = []
        self._watchers: list[asyncio.Future[None]] = []

    def site(self, objects: dict[str, bytes], name: str = "", **options: object) -> Site:
        """A new site, with objects of its own."""
        name = name or f"site{len(self.sites)}"
        made = self.sites[name] = Site(self, name, dict(objects), **options)  # type: ignore[arg-type]
        return made

    def remove(self, site: Site) -> None:
        del self.sites[site.name]

    def close_gate(self) -> None:
        """No request is answered before `open_gate`."""
        self.gate = []

    def open_gate(self) -> None:
        held, self.gate = self.gate or (), None
        for connection in held:
            connection.reply()

    async def until(self, true: Callable[[], bool]) -> None:
        """Return as soon as `true()`; it is looked at whenever a request comes or is answered, and a connection opens or closes."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                future = asyncio.get_running_loop().create_future()
                self._watchers.append(future)
                await future

    async def at_rest(self, seconds: float = 0.1) -> bool:
        """Whether no request is in progress `seconds` from now at the latest."""
        return await self.within(seconds, lambda: self.busy == 0)

    async def within(self, seconds: float, true: Callable[[], bool]) -> bool:
        """Whether `true()` holds within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self.until(true)
        except TimeoutError:
            return False
        return True

    def changed(self) -> None:
        watchers, self._watchers = self._watchers, []
        for future in watchers:
            if not future.done():
                future.set_result(None)


class Connection(asyncio.Protocol):
    """One connection: a request at a time, each answered before the next is read."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server, self.buffer = server, b""
        self.request: Request | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(self)
        self.server.accepted += 1
        self.server.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)
        self.end()
        self.server.changed()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.read()

    def read(self) -> None:
        end = self.buffer.find(b"\r\n\r\n")
        if self.request is not None or end < 0 or self.transport.is_closing():
            return
        lines, self.buffer = self.buffer[:end].decode("latin-1").split("\r\n"), self.buffer[end + 4 :]
        server = self.server
        try:
            method, target, _ = lines[0].split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            site = server.sites.get(target.split("/", 2)[1])
            if site is None:  # it was removed: whoever asks has given up
                self.transport.abort()
                return
            request = self.request = Request(site, method, target, headers)
        except Exception as error:
            server.failures.append(error)
            self.transport.abort()
            return
        site.requests.append((method, request.key, request.range))
        if site.noted:
            site.sent.append(headers | {"query": request.query})
        site.busy += 1
        server.count += 1
        server.busy += 1
        server.most = max(server.most, server.busy)
        server.changed()
        if server.gate is not None:
            server.gate.append(self)
        else:
            self.after(site.turns(request))

    def after(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self.after, turns - 1)
        else:
            self.reply()

    def reply(self) -> None:
        request = self.request
        if request is None or self.transport.is_closing():
            return
        try:
            answer = request.site.answer(request)
            data = answer.encoded(request.method)
        except Exception as error:
            self.server.failures.append(error)
            self.transport.abort()
            return
        self.server.nbytes += len(data)
        if data:
            self.transport.write(data)
        if answer.end == "stall":
            self.server.changed()
            return
        if answer.end == "reset":
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()
        elif answer.end == "close" or answer.framing == "close":
            self.transport.close()
        self.end()
        self.server.changed()
        self.read()

    def end(self) -> None:
        """The request, if there is one, is in progress no more."""
        if self.request is not None:
            self.request.site.busy -= 1
            self.server.busy -= 1
            self.request = None


@asynccontextmanager
async def misbehaving() -> AsyncGenerator[Server, None]:
    """A server without sites, for as long as the context lasts."""
    server = Server()
    listening = await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=1024)
    host, port = listening.sockets[0].getsockname()
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        listening.close()
        for connection in list(server.connections):
            connection.transport.abort()
        await server.until(lambda: not server.connections)
        await listening.wait_closed()
    assert server.failures == []


# Faults. Those of a body want an object, those of a range a request for one.


def status(code: int, **headers: str) -> Callable[[Request, Random], Answer]:
    body = b"" if code in (204, 304) else b"<html><body><h1>something went wrong</h1></body></html>"
    return lambda request, random: Answer(code, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def ended(how: str, where: str, framing: str = "length") -> Callable[[Request, Random], Answer | None]:
    """The answer is cut anywhere in its head or body, or before it; then the connection is closed, reset, or left to stall."""

    def spoil(request: Request, random: Random) -> Answer | None:
        answer = request.good()
        if where == "body" and not answer.body:
            return None
        answer.keep, answer.end, answer.framing = ("head", 0.0) if where == "before" else (where, random.random()), how, framing
        return answer

    return spoil


def framed(framing: str) -> Callable[[Request, Random], Answer]:
    def spoil(request: Request, random: Random) -> Answer:
        answer = request.good()
        answer.framing = framing
        return answer

    return spoil


def longer_than_announced(request: Request, random: Random) -> Answer | None:
    answer = request.good()
    if not answer.body:
        return None
    answer.headers["Content-Length"] = str(len(answer.body))
    answer.body += random.choice([b"\0", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", random.randbytes(200)])
    return answer


def everything(request: Request, random: Random) -> Answer | None:
    """200 to a range, as of servers that do not know ranges."""
    answer = request.good()
    if answer.status != 206:
        return None
    del answer.headers["Content-Range"]
    answer.status, answer.body = 200, request.data
    return answer


def another_range(stated: str, move: Callable[[int, int, Random], tuple[int, int]]) -> Callable[[Request, Random], Answer | None]:
    """206 with another range than was asked for. What Content-Range says of it is "true", is "false" (as asked), or is missing ("")."""

    def spoil(request: Request, random: Random) -> Answer | None:
        answer, span = request.good(), request.span()
        if answer.status != 206 or span is None:
            return None
        size = len(request.data)
        start, stop = (min(max(edge, 0), size) for edge in move(*span, random))
        if (start, stop) == span or start >= stop:
            return None
        answer.body = request.data[start:stop]
        answer.headers["Content-Range"] = content_range((start, stop) if stated == "true" else span, request.data)
        if not stated:
            del answer.headers["Content-Range"]
        return answer

    return spoil


def shifted(start: int, stop: int, random: Random) -> tuple[int, int]:
    by = random.randint(1, 64) * random.choice([-1, 1])
    return start + by, stop + by


def same_length(start: int, stop: int, random: Random) -> tuple[int, int]:
    """Shifted to the front, so that the end of the object does not make it shorter."""
    by = random.randint(1, 64)
    return (start - by, stop - by) if by <= start else (start, stop)


def shorter(start: int, stop: int, random: Random) -> tuple[int, int]:
    return random.choice([(start + random.randint(1, 16), stop), (start, stop - random.randint(1, 16))])


def longer(start: int, stop: int, random: Random) -> tuple[int, int]:
    return random.choice([(start - random.randint(1, 16), stop), (start, stop + random.randint(1, 16))])


def unstated(request: Request, random: Random) -> Answer | None:
    """206 with the right bytes, that does not say which they are."""
    answer = request.good()
    return answer if answer.headers.pop("Content-Range", None) and answer.status == 206 else None


def unsized(request: Request, random: Random) -> Answer | None:
    """206 that does not know the size of the whole object."""
    answer = request.good()
    if answer.status != 206:
        return None
    answer.headers["Content-Range"] = answer.headers["Content-Range"].partition("/")[0] + "/*"
    return answer


def several_parts(request: Request, random: Random) -> Answer | None:
    answer = request.good()
    if answer.status != 206:
        return None
    part = f"--x\r\nContent-Type: application/octet-stream\r\nContent-Range: {answer.headers.pop('Content-Range')}\r\n\r\n"
    answer.headers["Content-Type"] = "multipart/byteranges; boundary=x"
    answer.body = part.encode() + answer.body + b"\r\n--x--\r\n"
    return answer


def unasked_range(share: float) -> Callable[[Request, Random], Answer | None]:
    """206 to a request for the whole object."""

    def spoil(request: Request, random: Random) -> Answer | None:
        answer = request.good()
        if answer.status != 200 or request.range is not None or len(answer.body) < 2:
            return None
        answer.status, answer.body = 206, answer.body[: int(len(request.data) * share)]
        answer.headers["Content-Range"] = content_range((0, len(answer.body)), request.data)
        return answer

    return spoil


def beyond(size: int | None) -> Callable[[Request, Random], Answer | None]:
    """416, though the object has the range that is asked for; it is said to have `size` bytes (None: what it has)."""

    def spoil(request: Request, random: Random) -> Answer | None:
        if not request.data:
            return None
        return Answer(416, {"Content-Range": f"bytes */{len(request.data) if size is None else size}"})

    return spoil


def brotli(data: bytes) -> bytes:
    """One block of Brotli (RFC 7932) that stores up to 64 KiB as they are, and the empty one that is the last."""
    return ((len(data) - 1) << 4 | 1 << 20).to_bytes(3, "little") + data + b"\3"


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: zlib.compress(data, wbits=31),
    "deflate": zlib.compress,
    "br": brotli,
    "zstd": zstd.compress,
}


def encoded(encoding: str) -> Callable[[Request, Random], Answer | None]:
    """Content-Encoding, though identity was asked for."""

    def spoil(request: Request, random: Random) -> Answer | None:
        answer = request.good()
        if not answer.body or answer.status not in (200, 206):
            return None
        answer.headers["Content-Encoding"], answer.body = encoding, bytes(ENCODINGS[encoding](answer.body))
        return answer

    return spoil


def page(request: Request, random: Random) -> Answer | None:
    """A page for people, as of a portal that wants them to sign in: 200, whatever was asked for. Its length is nobody else's."""
    body = b"<!DOCTYPE html><html><title>Sign in</title><body>%b</body></html>" % (b"Please sign in. " * random.randint(1, 60))
    headers = {"Content-Type": "text/html; charset=utf-8"} | random.choice([{}, {"ETag": etag_of(body)}])
    return Answer(200, headers, body) if request.data and len(body) != len(request.data) else None


def replaced(request: Request, random: Random) -> Answer | None:
    if request.key not in request.site.objects or request.key not in request.site.others:
        return None
    request.site.replace(request.key)
    return request.good()


def deleted(request: Request, random: Random) -> Answer | None:
    if request.key not in request.site.objects:
        return None
    request.site.put(request.key, None)
    return request.good()


def not_http(request: Request, random: Random) -> Answer:
    return Answer(200, line=random.choice(["SSH-2.0-OpenSSH_9.6", "HTTP/1.1 999999 What", "HTTP/1.1 20 OK", "\0\1\2\3"]), end="close")


def no_length(request: Request, random: Random) -> Answer:
    answer = request.good()
    answer.headers["Content-Length"] = random.choice(["minus one", "-1", "0x10", "1e3", "", "1, 2"])
    answer.end = "close"
    return answer


def redirected(where: str) -> Callable[[Request, Random], Answer | None]:
    """A redirect: to the object itself, or to somewhere that is not HTTP."""
    return lambda request, random: Answer(302, {"Location": where or f"/{request.site.name}/{request.key}"})


def table(kind: str, hides: str = "", /, **faults: Callable[[Request, Random], Answer | None]) -> Iterable[Fault]:
    return [Fault(name.strip("_").replace("_", " "), spoil, kind, hides) for name, spoil in faults.items()]


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in [
        *(Fault(f"status {code}", status(code), TRANSIENT) for code in (408, 425, 429, 500, 502, 503, 504, 520, 524)),
        Fault("status 429, try again at once", status(429, Retry_After="0"), TRANSIENT),
        Fault("status 503, try again at once", status(503, Retry_After="0"), TRANSIENT),
        Fault("status 503, try again tomorrow", status(503, Retry_After="86400"), LASTING),
        *(Fault(f"status {code}", status(code), LASTING) for code in (204, 304, 401, 402, 403, 406, 410, 418, 451)),
        *(Fault(f"status {code}", status(code), EITHER) for code in (400, 405, 501)),  # to a suffix range, they mean that it is not known
        *table(
            TRANSIENT,
            closed_before_the_answer=ended("close", "before"),
            reset_before_the_answer=ended("reset", "before"),
            closed_in_the_head=ended("close", "head"),
            reset_in_the_head=ended("reset", "head"),
            closed_in_the_body=ended("close", "body"),
            reset_in_the_body=ended("reset", "body"),
            closed_in_a_chunked_body=ended("close", "body", "chunked"),
            reset_in_a_chunked_body=ended("reset", "body", "chunked"),
            stalled_before_the_answer=ended("stall", "before"),
            stalled_in_the_head=ended("stall", "head"),
            stalled_in_the_body=ended("stall", "body"),
            stalled_in_a_chunked_body=ended("stall", "body", "chunked"),
            range_shifted=another_range("true", shifted),
            range_shorter=another_range("true", shorter),
            range_longer=another_range("true", longer),
        ),
        *table(
            HARMLESS,
            chunked=framed("chunked"),
            ended_by_closing=framed("close"),
            everything_to_a_range=everything,
            range_of_an_object_of_unknown_size=unsized,
        ),
        *table(
            LASTING,
            unasked_range=unasked_range(1.0),
            unasked_part=unasked_range(0.5),
            encoded_by_gzip=encoded("gzip"),
            encoded_by_deflate=encoded("deflate"),
            encoded_by_br=encoded("br"),
            encoded_by_zstd=encoded("zstd"),
            redirected_to_another_scheme=redirected("ftp://127.0.0.1/data"),
        ),
        *table(
            EITHER,
            longer_than_announced=longer_than_announced,
            range_shorter_than_stated=another_range("false", shorter),
            range_longer_than_stated=another_range("false", longer),
            range_shifted_and_not_stated=another_range("", shifted),
            range_not_stated=unstated,
            several_parts=several_parts,
            status_416=beyond(None),
            status_416_of_an_empty_object=beyond(0),
            page_for_people=page,
            replaced=replaced,
            deleted=deleted,
            not_http=not_http,
            no_length=no_length,
            redirected_to_itself=redirected(""),
        ),
        *table(EITHER, "end", cut_without_a_length=ended("close", "body", "close")),
        *table(EITHER, "bytes", range_shifted_but_stated_as_asked=another_range("false", same_length)),
    ]
}
"""All faults by name."""


def always(fault: Fault, first: int = 0) -> Schedule:
    """Every request meets it, from number `first` on."""
    return lambda request: fault if request.number >= first else None


def at(fault: Fault, *numbers: int) -> Schedule:
    """The requests of these numbers meet it."""
    return lambda request: fault if request.number in numbers else None


def sometimes(faults: Iterable[Fault], share: float, random: Random) -> Schedule:
    """A `share` of the requests, each by chance, meet one of `faults`."""
    choices = list(faults)
    return lambda request: random.choice(choices) if random.random() < share else None
