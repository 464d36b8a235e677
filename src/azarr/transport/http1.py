"""HTTP/1.1, the plain part of it: GET over connections that are kept, bodies of announced length read right into memory of their own.

What is out of the ordinary (chunked bodies, bodies without a length, other versions, odd heads) is `Unusual`, and left to a full client.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import socket
import ssl
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from azarr._platform import together
from azarr.errors import TimedOut, TransportError, TruncatedBody
from azarr.scratch import Buffer
from azarr.transport.response import Response

SENT = {"Accept-Encoding": "identity", "Accept": "*/*", "User-Agent": "azarr"}
"""Headers of every request, unless the caller has them otherwise."""
HEAD = 16 << 10
"""Bytes that a head may have."""
IDLE, ADDRESSES_LAST = 30.0, 60.0
"""Seconds for which a connection is kept that nobody uses, and for which an address is taken to be that of its host."""
CONNECT, NEXT_ADDRESS = 30.0, 3.0
"""Seconds in which a connection must stand, at most; and in which the next address of the host is tried, where there are several."""
ROOM = 64 << 10
"""Bytes that are read at a time where it is not known yet what comes: many answers as a whole."""
STATUS, NAME = re.compile(r"HTTP/1\.1 [0-9]{3}(?: .*)?"), re.compile(r"\S+")
SINGLE = ("content-length", "transfer-encoding", "content-range", "content-encoding", "etag", "connection")
"""Fields of which there may be one."""
PORTS = {"http": 80, "https": 443}


class Unusual(Exception):
    """The answer is one for a full client."""


class _Stale(Exception):
    """A connection that was kept had been closed by the server; nothing of the answer had come."""


def _longer() -> TransportError:
    return TransportError("the server sent more bytes than it had announced", transient=True)


class _Connection(asyncio.BufferedProtocol):
    """One request at a time. It is `open` until it cannot be used again. What comes is read into `room`, which all connections of
    a loop share, as it is emptied at once; the rest of a long body, right into memory of its own.
    """

    def __init__(self, room: memoryview) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.open, self.used, self.moved = True, False, 0.0
        self._room, self._begun = room, bytearray()
        self._got = self._most = 0
        self._body: memoryview | None = None
        self._answer: tuple[int, dict[str, str]] | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._patience = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, request: bytes, most: int | None, patience: float) -> asyncio.Future[Response]:
        """Send `request`. When the answer was waited for, `asked` is to be called."""
        self._most = -1 if most is None else most
        self._waiter = waiter = self.loop.create_future()
        self.moved = self.loop.time()
        if self._timer is None or patience < self._patience:
            self._watch(patience)
        self._patience = patience
        self.transport.write(request)
        return waiter

    def asked(self) -> None:
        """Nobody waits any more: if the answer is not here, the connection cannot be used again."""
        if self._waiter is None or self._waiter.cancelled() or not self._waiter.done():
            self.close()
        self._waiter, self.used = None, True

    def _watch(self, seconds: float) -> None:
        """Look in so many seconds whether something has come. One timer serves all requests of a connection."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if (left := self.moved + self._patience - self.loop.time()) > 0:
            self._watch(left)
        else:
            self._fail(TimedOut(f"not a byte for {self._patience:g} seconds, after {self._came}", transient=True))

    @property
    def _came(self) -> str:
        return "no answer" if self._body is None else f"{self._got:,} of {len(self._body) - 1:,} bytes"

    @property
    def file(self) -> int:
        """The number of its socket."""
        return self.transport.get_extra_info("socket").fileno()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room if self._body is None else self._body[self._got :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._waiter is None or self._waiter.done():  # more than was announced, or nothing was asked for
            self.close()
            return
        self.moved = self.loop.time()
        if self._body is not None:
            self._got += nbytes
            if self._got == len(self._body):
                self._fail(_longer())
            elif self._got == len(self._body) - 1:
                self._end(self._body[:-1])
            return
        came = bytearray(self._room[:nbytes])
        if self._begun:
            came = self._begun + came
        end = came.find(b"\r\n\r\n")
        if end < 0:
            self._begun = came
            if len(came) >= HEAD or b"\n\n" in came or b"\n\r\n" in came:  # lines may end otherwise, and this be all of it
                self._fail(Unusual())
            return
        try:
            self._begin(came[:end].decode("utf-8", "surrogateescape"), memoryview(came)[end + 4 :])
        except (Unusual, TransportError) as error:
            self._fail(error)
        except (MemoryError, ValueError):
            self._fail(TransportError("the body would be larger than there is memory"))

    def _begin(self, head: str, rest: memoryview) -> None:
        status, headers, size = head_of(head)
        self._answer = status, headers
        if closes(headers):
            self.open = False
        if len(rest) > size:
            raise _longer()
        if size > self._most >= 0:
            self.close()
            self._end(None)
        elif len(rest) == size:
            self._end(rest)
        else:
            # One byte more, so that what comes behind the body is not taken for the next answer.
            self._body, self._got = np.empty(size + 1, np.uint8).data, len(rest)
            self._body[: len(rest)] = rest

    def _end(self, body: Buffer | None) -> None:
        assert self._waiter is not None
        assert self._answer is not None
        self._waiter.set_result(Response(*self._answer, body))
        self._body = None
        self._begun = bytearray()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self.used and self._body is None and not self._begun:
            self._fail(_Stale())
        else:
            cause = f" ({type(exc).__name__})" if exc else ""
            self._fail(TruncatedBody(f"the connection ended after {self._came}{cause}", transient=True))

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.close()

    def close(self) -> None:
        self.open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.transport is not None:
            self.transport.abort()


def is_address(host: str) -> bool:
    """Whether `host` is an address itself, so that there is no name to look up."""
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except (OSError, ValueError):
        return False
    return True


def origin_of(url: str) -> tuple[str, str]:
    """Scheme, host and port of a URL; and the rest, which may be nothing."""
    slash = url.find("/", len("https://"))
    return (url, "") if slash < 0 else (url[:slash], url[slash:])


def request(origin: str, target: str, headers: Mapping[str, str]) -> bytes:
    """A GET as it is sent."""
    headers = {"Host": origin.partition("://")[2], **headers}
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    text = f"GET {target} HTTP/1.1\r\n{lines}\r\n"
    if not text.count("\r") == text.count("\n") == len(headers) + 2:
        raise ValueError("a header or URL must not have line breaks")
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # which would show all of it
        raise ValueError("a header or URL must be text that UTF-8 has") from None


def head_of(text: str) -> tuple[int, dict[str, str], int]:
    """The status, the headers (names in lower case) and the length of the body that the head of an answer tells. Errors: `Unusual`."""
    first, *lines = text.split("\r\n")
    if not STATUS.fullmatch(first) or not text.count("\r") == text.count("\n") == len(lines):
        raise Unusual
    try:
        headers = {_name(name): value.strip(" \t") for name, value in [line.split(":", 1) for line in lines]}
    except ValueError:  # a line without a colon
        raise Unusual from None
    if len(headers) < len(lines) and any(sum(line.lower().startswith(f"{name}:") for line in lines) > 1 for name in SINGLE):
        raise Unusual
    status = int(text[9:12])
    length = "0" if status in (204, 304) else headers.get("content-length", "")
    if status < 200 or "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        raise Unusual
    return status, headers, int(length)


@lru_cache(256)
def _name(name: str) -> str:
    """Most are those of the answer before."""
    if not NAME.fullmatch(name):
        raise Unusual
    return name.lower()


def closes(headers: Mapping[str, str]) -> bool:
    """Whether the server closes the connection behind its answer."""
    return "close" in headers.get("connection", "").lower()


class Client:
    """Connections of one event loop, kept by origin. As many are open as there are requests at a time."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.unusual = set[str]()
        """Origins (scheme, host and port) whose answers are."""
        self.one_by_one = set[str]()
        """Origins that threads (`many`) do not ask any more: these waited for too long, or no answer was usual; and how many these are."""
        self.threads, self.closed = 0, False
        self.latency = dict[str, float]()
        """Seconds from a request to its answer, the fewest that there were of an origin; what comes before it (connecting, say) is not."""
        self._idle = defaultdict[str, list[_Connection]](list)
        self._all = set[_Connection]()
        self._addresses = dict[tuple[str, int], tuple[float, list[str]]]()
        self._locks = defaultdict[tuple[str, int], asyncio.Lock](asyncio.Lock)
        self._ssl: ssl.SSLContext | None = None
        self._room = memoryview(bytearray(ROOM))

    async def get(self, origin: str, target: str, *, headers: Mapping[str, str], most: int | None, patience: float) -> Response:
        """The answer to GET. Errors: `TransportError`, and `Unusual`."""
        text = request(origin, target, headers)
        while True:
            connection = self._kept(origin) or await self._connect(origin, patience)
            try:
                began = self.loop.time()
                answer = await connection.ask(text, most, patience)
                self.latency[origin] = min(self.loop.time() - began, self.latency.get(origin, math.inf))
                return answer
            except _Stale:
                continue
            except Unusual:
                self.unusual.add(origin)
                raise
            finally:
                connection.asked()
                self._give_back(origin, connection)

    def _kept(self, origin: str) -> _Connection | None:
        idle = self._idle[origin]
        while idle:
            if (connection := idle.pop()).open and connection.moved > self.loop.time() - IDLE:  # what lies between may have forgotten it
                return connection
            self._discard(connection)
        return None

    def _discard(self, connection: _Connection) -> None:
        connection.close()
        self._all.discard(connection)

    def _give_back(self, origin: str, connection: _Connection) -> None:
        if self.closed or not connection.open:
            self._discard(connection)
            return
        idle = self._idle[origin]
        idle.append(connection)
        while idle[0].moved < connection.moved - IDLE:  # the longest unused stand first
            self._discard(idle.pop(0))

    async def lend(self, origin: str, count: int, patience: float) -> list[_Connection]:
        """Connections that somebody else talks over, to be taken back when no answer is to come any more. Errors: `TransportError`."""
        lent: list[_Connection] = []
        while len(lent) < count and (kept := self._kept(origin)) is not None:
            lent.append(kept)

        async def connect() -> None:
            lent.append(await self._connect(origin, patience))

        try:
            async with together() as group:
                for _ in range(count - len(lent)):
                    group.create_task(connect())
        except BaseException:
            self.take_back(origin, lent)
            raise
        for connection in lent:
            connection.transport.pause_reading()
        self._all.difference_update(lent)  # the numbers of their sockets are in use, and must not become those of others
        return lent

    def take_back(self, origin: str, lent: list[_Connection]) -> None:
        """What was lent; of those that are closed it is known, too."""
        self._all.update(lent)
        for connection in lent:
            if connection.open:
                connection.used, connection.moved = True, self.loop.time()
                connection.transport.resume_reading()
            self._give_back(origin, connection)

    async def _connect(self, origin: str, patience: float) -> _Connection:
        url, patience = urlsplit(origin), min(CONNECT, patience)
        host, secure = url.hostname or "", url.scheme == "https"
        if secure and self._ssl is None:
            self._ssl = await self.loop.run_in_executor(None, ssl.create_default_context)  # reads many files
        port = url.port or PORTS[url.scheme]
        try:
            async with asyncio.timeout(patience):
                since, addresses = await self._resolve(host, port)
            for left, address in reversed(list(enumerate(reversed(addresses)))):
                try:
                    async with asyncio.timeout(min(NEXT_ADDRESS, patience) if left else patience):
                        tls: Any = {"ssl": self._ssl, "server_hostname": host} if secure else {}
                        _, connection = await self.loop.create_connection(partial(_Connection, self._room), address, port, **tls)
                except OSError:
                    if not left:
                        self._addresses.pop((host, port), None)
                        raise
                else:
                    self._addresses[host, port] = since, [address, *(other for other in addresses if other != address)]
                    self._all.add(connection)
                    return connection
            raise AssertionError
        except TimeoutError:
            raise TimedOut(f"no connection within {patience:g} seconds", transient=True) from None
        except ssl.SSLCertVerificationError as error:
            raise TransportError(f"no connection: {error.verify_message}") from None
        except OSError as error:
            raise TransportError(f"no connection ({type(error).__name__}: {error.strerror or error})", transient=True) from None

    async def _resolve(self, host: str, port: int) -> tuple[float, list[str]]:
        """When the addresses of a host were looked up, and which there are: the one that was good last comes first."""
        if is_address(host):
            return 0.0, [host]
        async with self._locks[host, port]:  # the first asks, the others wait
            since, addresses = self._addresses.get((host, port), (0.0, []))
            if not addresses or since < self.loop.time() - ADDRESSES_LAST:
                found = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                good, since = addresses[:1], self.loop.time()
                addresses = sorted(dict.fromkeys(str(entry[4][0]) for entry in found), key=lambda address: address not in good)
                self._addresses[host, port] = since, addresses
        return since, addresses

    async def close(self) -> None:
        """End all connections; those that are made or lent, as soon as they are given back."""
        self.closed = True
        for connection in self._all:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                connection.close()
        self._all.clear()
        self._idle.clear()
        await asyncio.sleep(0)  # a turn of the loop, in which they do
