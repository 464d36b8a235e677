"""HTTP/1.1, the plain part of it: GET over connections that are kept, bodies of announced length read right into memory of their own.

What is out of the ordinary (chunked bodies, bodies without a length, other versions, odd heads) is `Unusual`, and left to a full client.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult

import numpy as np

from azarr.errors import StoreError, TimedOut, TransportError, TruncatedBody
from azarr.scratch import Buffer

HEAD = 16 << 10
"""Bytes that a head may have."""
IDLE, ADDRESSES_LAST = 30.0, 60.0
"""Seconds for which a connection is kept that nobody uses, and for which an address is taken to be that of its host."""
CONNECT, NEXT_ADDRESS = 30.0, 3.0
"""Seconds in which a connection must stand; and in which the next address of the host is tried, where there are several."""
PORTS = {"http": 80, "https": 443}


class Response(NamedTuple):
    """An answer over HTTP, its body whole and as it came; None if it is longer than was asked for. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Buffer | None


class Unusual(Exception):
    """The answer is one for a full client."""


class _Stale(Exception):
    """A connection that was kept had been closed by the server; nothing of the answer had come."""


class _Connection(asyncio.BufferedProtocol):
    """One request at a time. It is `open` until it cannot be used again."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.open, self.used, self.since = True, False, 0.0
        self._head = memoryview(bytearray(HEAD))
        self._filled = self._got = self._most = 0
        self._body: memoryview | None = None
        self._answer: tuple[int, dict[str, str]] | None = None
        self._waiter: asyncio.Future[Response] | None = None

    async def get(self, request: bytes, most: int | None, patience: float) -> Response:
        self._filled = self._got = 0
        self._body = self._answer = None
        self._most = -1 if most is None else most
        self._waiter = self.loop.create_future()
        self._moved, timer = self.loop.time(), self.loop.call_later(patience, lambda: self._stalled(patience))
        self._timer = timer
        try:
            self.transport.write(request)
            return await self._waiter
        finally:
            self._timer.cancel()
            if self._waiter.cancelled() or not self._waiter.done():
                self.close()
            self._waiter, self.used = None, True

    def _stalled(self, patience: float) -> None:
        left = self._moved + patience - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(left, lambda: self._stalled(patience))
        else:
            self._fail(TimedOut(f"not a byte for {patience:g} seconds, after {self._came}", transient=True))

    @property
    def _came(self) -> str:
        return "no answer" if self._body is None else f"{self._got:,} of {len(self._body):,} bytes"

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._head[self._filled :] if self._body is None else self._body[self._got :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._waiter is None or self._waiter.done():  # more than was announced, or nothing was asked for
            self.close()
            return
        self._moved = self.loop.time()
        if self._body is not None:
            self._got += nbytes
        else:
            self._filled += nbytes
            head = bytes(self._head[: self._filled])
            end = head.find(b"\r\n\r\n")
            if end < 0:
                if self._filled == HEAD:
                    self._fail(Unusual())
                return
            try:
                self._begin(head[:end].decode("latin-1"), self._head[end + 4 : self._filled])
            except (Unusual, TransportError) as error:
                self._fail(error)
                return
            except (MemoryError, ValueError):
                self._fail(TransportError("the body would be larger than there is memory"))
                return
        if self._body is not None and self._got == len(self._body):
            self._end(self._body)

    def _begin(self, head: str, rest: memoryview) -> None:
        first, *lines = head.split("\r\n")
        if not first.startswith("HTTP/1.1 ") or not first[9:12].isdigit():
            raise Unusual
        status, headers = int(first[9:12]), dict[str, str]()
        for line in lines:
            name, colon, value = line.partition(":")
            name = name.lower()
            if not colon or not name or name != name.strip() or name in headers:
                raise Unusual
            headers[name] = value.strip(" \t")
        length = "0" if status in (204, 304) else headers.get("content-length", "")
        if status < 200 or "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
            raise Unusual
        size = int(length)
        self._answer = status, headers
        if "close" in headers.get("connection", "").lower():
            self.open = False
        if len(rest) > size:
            raise TransportError("the server sent more bytes than it had announced", transient=True)
        if size > self._most >= 0:
            self.close()
            self._end(None)
            return
        self._body, self._got = np.empty(size, np.uint8).data, len(rest)
        self._body[: len(rest)] = rest

    def _end(self, body: Buffer | None) -> None:
        assert self._waiter is not None
        assert self._answer is not None
        self._waiter.set_result(Response(*self._answer, body))
        self._body = None
        self._filled = 0

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self.used and self._body is None and not self._filled:
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
        if self.transport is not None:
            self.transport.abort()


class Client:
    """Connections of one event loop, kept by origin. As many are open as there are requests at a time."""

    def __init__(self) -> None:
        self.loop, self.process = asyncio.get_running_loop(), os.getpid()
        self.unusual = set[tuple[str, str]]()
        self._idle = defaultdict[tuple[str, str], list[_Connection]](list)
        self._all = set[_Connection]()
        self._addresses = dict[tuple[str, int], tuple[float, list[str]]]()
        self._locks = defaultdict[tuple[str, int], asyncio.Lock](asyncio.Lock)
        self._ssl: ssl.SSLContext | None = None

    async def get(self, url: SplitResult, *, headers: Mapping[str, str], most: int | None, patience: float) -> Response:
        """The answer to GET. Errors: `TransportError`, and `Unusual`."""
        if self.process != os.getpid():
            raise StoreError("the process was forked while this event loop ran; connections cannot be shared: run a loop of its own")
        origin = (url.scheme, url.netloc)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        lines = [f"GET {target} HTTP/1.1", f"Host: {url.netloc}", *(f"{name}: {value}" for name, value in headers.items())]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header or URL must not have line breaks")
        request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        while True:
            connection = self._kept(origin) or await self._connect(url)
            try:
                answer = await connection.get(request, most, patience)
            except _Stale:
                continue
            except Unusual:
                self.unusual.add(origin)
                raise
            finally:
                self._give_back(origin, connection)
            return answer

    def _kept(self, origin: tuple[str, str]) -> _Connection | None:
        idle = self._idle[origin]
        while idle:
            if (connection := idle.pop()).open:
                return connection
        return None

    def _give_back(self, origin: tuple[str, str], connection: _Connection) -> None:
        if not connection.open:
            connection.close()
            self._all.discard(connection)
            return
        idle, now = self._idle[origin], self.loop.time()
        connection.since = now
        idle.append(connection)
        while idle[0].since < now - IDLE:  # the longest unused stand first
            self._all.discard(idle[0])
            idle.pop(0).close()

    async def _connect(self, url: SplitResult) -> _Connection:
        host, secure = url.hostname or "", url.scheme == "https"
        if secure and self._ssl is None:
            self._ssl = await self.loop.run_in_executor(None, ssl.create_default_context)  # reads many files
        port = url.port or PORTS[url.scheme]
        try:
            addresses = await self._resolve(host, port)
            for left, address in reversed(list(enumerate(reversed(addresses)))):
                try:
                    async with asyncio.timeout(NEXT_ADDRESS if left else CONNECT):
                        _, connection = await self.loop.create_connection(
                            _Connection, address, port, ssl=self._ssl if secure else None, server_hostname=host if secure else None
                        )
                except OSError:
                    if not left:
                        raise
                else:
                    self._addresses[host, port] = self.loop.time(), [address, *(other for other in addresses if other != address)]
                    self._all.add(connection)
                    return connection
            raise AssertionError
        except TimeoutError:
            raise TimedOut(f"no connection within {CONNECT:g} seconds", transient=True) from None
        except ssl.SSLCertVerificationError as error:
            raise TransportError(f"no connection: {error.verify_message}") from None
        except OSError as error:
            raise TransportError(f"no connection ({type(error).__name__}: {error.strerror or error})", transient=True) from None

    async def _resolve(self, host: str, port: int) -> list[str]:
        async with self._locks[host, port]:  # the first asks, the others wait
            since, addresses = self._addresses.get((host, port), (0.0, []))
            if not addresses or since < self.loop.time() - ADDRESSES_LAST:
                found = await self.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
                self._addresses[host, port] = self.loop.time(), addresses
        return addresses

    async def close(self) -> None:
        """End all connections."""
        for connection in self._all:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                connection.close()
        self._all.clear()
        self._idle.clear()
        await asyncio.sleep(0)  # a turn of the loop, in which they do
