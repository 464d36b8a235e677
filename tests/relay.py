"""Listening sockets for Python in the browser, which has none: real ones of the driver, with a web socket between.

The driver listens, and tells of each connection and what comes on it; the server here answers, by the same protocols of asyncio as everywhere. What
`fetch` sends goes out of the browser and comes back in. A message is text, of JSON: `[number of a connection, what happens]`; or bytes: the
number, four of them, and what is sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any

RELAY = "AZARR_TEST_RELAY"
"""The environment variable with the URL of the driver's web socket."""


class Address:
    """What servers ask of a socket: where it listens, and not to linger."""

    family = 0

    def __init__(self, port: int, relayed: Relayed | None = None) -> None:
        self._port, self._relayed = port, relayed

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if option == socket.SO_LINGER and self._relayed is not None:
            self._relayed.end = "reset"


class Relayed(asyncio.Transport):
    """One connection."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__({"socket": Address(server.port, self), "sockname": ("127.0.0.1", server.port), "peername": ("127.0.0.1", 1)})
        self.server, self.number, self.end = server, number, "abort"
        self._closing = self._paused = False
        self._kept: list[bytes] = []
        self._protocol = server.factory()
        self._protocol.connection_made(self)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol: Any = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        kept, self._kept = self._kept, []
        for data in kept:
            self.came(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There are none: all is sent at once."""

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing and len(data):
            self.server.send(self.number.to_bytes(4, "little") + bytes(data))

    def close(self) -> None:
        self._finish("close")

    def abort(self) -> None:
        self._finish(self.end)

    def _finish(self, how: str) -> None:
        if not self._closing:
            self._closing = True
            self.server.send(json.dumps([self.number, how]))
            asyncio.get_running_loop().call_soon(self.lost)

    def came(self, data: bytes) -> None:
        if self._paused:
            self._kept.append(data)
        elif not self._closing:
            self._protocol.data_received(data)

    def lost(self) -> None:
        """The connection is closed, from here or from there."""
        if self.server.connections.pop(self.number, None) is not None:
            self._closing = True
            self._protocol.connection_lost(None)
            self.server.rest()


class Server(asyncio.AbstractServer):
    """A listening socket. `sockets` is empty once it is closed; connections go on."""

    port = 0

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.factory, self.connections, self.sockets = factory, dict[int, Relayed](), list[Address]()
        self._opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._socket: Any = import_module("js").WebSocket.new(os.environ[RELAY])
        self._socket.binaryType = "arraybuffer"
        proxy = import_module("pyodide.ffi").create_proxy
        self._told = [proxy(self._message), proxy(self._gone)]
        self._socket.onmessage, self._socket.onclose = self._told

    async def listen(self) -> Server:
        self.port = await self._opened
        self.sockets = [Address(self.port)]
        return self

    def send(self, message: str | bytes) -> None:
        self._socket.send(message if isinstance(message, str) else import_module("pyodide.ffi").to_js(message))

    def _message(self, event: Any) -> None:
        if not isinstance(event.data, str):
            data = event.data.to_bytes()
            if (found := self.connections.get(int.from_bytes(data[:4], "little"))) is not None:
                found.came(data[4:])
            return
        number, what = json.loads(event.data)
        if number < 0:
            self._opened.set_result(what)
        elif what == "open":
            self.connections[number] = Relayed(self, number)
        elif number in self.connections:
            self.connections[number].lost()

    def _gone(self, event: Any) -> None:
        for connection in list(self.connections.values()):
            connection.lost()
        for proxy in self._told:
            proxy.destroy()

    def close(self) -> None:
        if self.sockets:
            self.sockets = []
            self.send(json.dumps([-1, "close"]))
            self.rest()

    def rest(self) -> None:
        """Nothing is said any more when nobody can connect, and nobody is connected."""
        if not self.sockets and not self.connections:
            self._socket.close()

    def is_serving(self) -> bool:
        return bool(self.sockets)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def wait_closed(self) -> None:
        """At once: nobody can connect any more."""


async def create_server(loop: Any, factory: Callable[[], Any], host: str | None = None, port: int | None = None, **options: Any) -> Server:
    """What `create_server` of an event loop is, for servers on loopback at a port that the system chooses."""
    assert (host, port, options.get("ssl")) == ("127.0.0.1", 0, None)
    return await Server(factory).listen()


def install() -> None:
    """All event loops of this Python have it from now on."""
    import_module("pyodide.webloop").WebLoop.create_server = create_server
