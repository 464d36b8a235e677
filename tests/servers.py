"""A real HTTP server on loopback whose objects are a dictionary, and whose behaviour a test sets: what it is asked for, it notes.

`Served.misbehave` maps a key to an answer of the test's own; all else is answered as a good server would, ranges and ETags included.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@dataclass
class Served:
    """A running server. `url` has no slash at its end."""

    url: str
    objects: dict[str, bytes]
    misbehave: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Keys, with the query string where there was one, and their Range header."""
    headers: list[dict[str, str]] = field(default_factory=list)
    open: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key = request.path.removeprefix("/data/")
        query = request.raw_path.partition("?")[2]
        self.requests.append((f"{key}?{query}" if query else key, request.headers.get("Range")))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.open += 1
        try:
            data = self.objects.get(key)
            if key in self.misbehave:
                return await self.misbehave[key](request, data or b"")
            return web.Response(status=404) if data is None else ranged(request, data)
        finally:
            self.open -= 1


def etag_of(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:16]}"'


def asked_range(request: web.Request, size: int) -> tuple[int, int] | None:
    """The range that was asked for, as start and stop; None for the whole object."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
    if not found:
        return None
    if not found[1]:
        return max(size - int(found[2]), 0), size
    return int(found[1]), min(int(found[2]) + 1, size) if found[2] else size


def ranged(request: web.Request, data: bytes, *, shift: int = 0) -> web.Response:
    """What a good server answers; with `shift`, a range that begins so many bytes further on, and says so."""
    found = asked_range(request, len(data))
    if found is None:
        return web.Response(body=data, headers={"ETag": etag_of(data)})
    start, stop = (min(max(edge + shift, 0), len(data)) for edge in found)
    if start >= stop:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers = {"ETag": etag_of(data), "Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
    return web.Response(status=206, body=data[start:stop], headers=headers)


def status(code: int, *, body: bytes = b"") -> Answer:
    """A server that answers `code` to everything."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(status=code, body=body)

    return answer


async def whole(request: web.Request, data: bytes) -> web.StreamResponse:
    """A server that does not know ranges: 200, with everything."""
    return web.Response(body=data, headers={"ETag": etag_of(data)})


def cut(keep: int) -> Answer:
    """A server that announces its body, sends `keep` bytes of it, and closes the connection."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        body, code, extra = data, 200, ""
        if (found := asked_range(request, len(data))) is not None:
            start, stop = found
            body, code, extra = data[start:stop], 206, f"Content-Range: bytes {start}-{stop - 1}/{len(data)}\r\n"
        assert request.transport is not None
        head = f"HTTP/1.1 {code} OK\r\nContent-Length: {len(body)}\r\nETag: {etag_of(data)}\r\n{extra}\r\n"
        request.transport.write(head.encode() + body[:keep])
        request.transport.close()
        return web.Response()

    return answer


def raw(head: str, body: bytes) -> Answer:
    """A server that sends this status line and these headers, this body, and closes the connection."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        request.transport.close()
        return web.Response()

    return answer


def never(started: asyncio.Event) -> Answer:
    """A server that never answers. `started` is set when it is asked."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    return answer


@asynccontextmanager
async def serving(objects: dict[str, bytes]) -> AsyncGenerator[Served, None]:
    """Serve `objects` at `Served.url` for as long as the context lasts. The dictionary may be changed meanwhile."""
    served = Served("", objects)
    application = web.Application()
    application.router.add_route("*", "/{key:.*}", served.answer)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        served.url = f"http://{host}:{port}/data"
        yield served
    finally:
        await runner.cleanup()
