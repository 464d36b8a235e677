"""HTTP in CPython: plain requests by `http1`, all else by aiohttp. One client for each event loop and context, which closes with either."""

from __future__ import annotations

import asyncio
import os
import sys
import weakref
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from azarr._platform import offload
from azarr.context import Context
from azarr.errors import MissingPackage, StoreError, TimedOut, TransportError, TruncatedBody
from azarr.stores.http import shown
from azarr.transport.http1 import CONNECT, SENT, Client, Unusual, origin_of
from azarr.transport.proxies import proxy_of
from azarr.transport.response import Response


async def fetch(url: str, *, headers: Mapping[str, str], context: Context, most: int | None = None) -> Response:
    """GET `url`, which is quoted already. Any status is an answer; a body above `most` bytes is not read, and None.

    No answer, or a body that is shorter than announced, is a `TransportError`.
    """
    clients = _running(context) or await _started(context)
    if clients.process != os.getpid():
        raise StoreError("the process was forked while this event loop ran; connections cannot be shared: run a loop of its own")
    (origin, target), headers = origin_of(url), {**SENT, **headers}
    if origin not in clients.proxies:
        clients.proxies[origin] = proxy = await proxy_of(origin)
        if proxy is not None:
            clients.plain.unusual.add(origin)
    if target and origin not in clients.plain.unusual:
        try:
            return await clients.plain.get(origin, target, headers=headers, most=most, patience=context.timeout)
        except Unusual:
            pass
    return await clients.full(url, headers, most, context.timeout)


async def in_bulk(work: Any, store: Any, context: Context) -> None:
    """Read chunks for the read `work`, of small objects of `store`, if there is a way to do so at less cost; the rest is left to it."""
    clients = _running(context) or await _started(context)
    if sys.platform == "linux" and clients.process == os.getpid():
        await import_module("azarr.transport.many").read_many(work, clients.plain, store)


class _Clients:
    def __init__(self) -> None:
        self.plain, self.process = Client(), os.getpid()
        self.keeper: AsyncGenerator[None, None]
        self.proxies = dict[str, str | None]()
        """Those of origins, as far as they were asked for."""
        self._session: Any = None

    async def full(self, url: str, headers: Mapping[str, str], most: int | None, patience: float) -> Response:
        """The same by aiohttp."""
        if self._session is None:
            await offload(_aiohttp)  # importing it takes a tenth of a second
        aiohttp, yarl = _aiohttp(), import_module("yarl")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60), auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        limits = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT, patience), sock_read=patience)
        came = 0
        try:
            proxy: Any = {"proxy": self.proxies[origin_of(url)[0]], "allow_redirects": False}
            asked = self._session.get(yarl.URL(url, encoded=True), headers=headers, timeout=limits, **proxy)
            async with asked as answer:
                found = {name.lower(): value for name, value in answer.headers.items()}
                if (framing := found.get("transfer-encoding", "chunked")).lower() != "chunked":
                    raise TransportError(f"the server sent the answer with Transfer-Encoding {framing}, which was not asked for")
                announced, pieces = found.get("content-length", "0"), list[bytes]()
                if most is not None and int(announced) > most:
                    return Response(answer.status, found, None)
                async for piece in answer.content.iter_any():
                    came += len(piece)
                    pieces.append(piece)
                    if most is not None and came > most:
                        return Response(answer.status, found, None)
                return Response(answer.status, found, b"".join(pieces))
        except TimeoutError:
            raise TimedOut(f"not a byte for {patience:g} seconds, after {came:,}", transient=True) from None
        except aiohttp.ClientPayloadError as error:
            raise TruncatedBody(f"the body ended after {came:,} bytes ({_words(error)})", transient=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Errors of aiohttp show whole URLs, and so would a traceback that went on to them.
            raise TransportError(f"no complete answer ({_words(error).replace(url, shown(url))})", transient=True) from None

    async def close(self) -> None:
        await self.plain.close()
        if self._session is not None:
            await self._session.close()


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


_kept: weakref.WeakKeyDictionary[Context, dict[asyncio.AbstractEventLoop, _Clients]] = weakref.WeakKeyDictionary()


def _running(context: Context) -> _Clients | None:
    of_context = _kept.get(context)
    return None if of_context is None else of_context.get(asyncio.get_running_loop())


async def _started(context: Context) -> _Clients:
    if (of_context := _kept.get(context)) is None:
        of_context = _kept[context] = {}
        context.closers.append(partial(_close, of_context))
    for closed in [other for other in list(of_context) if other.is_closed()]:  # loops of other threads come and go meanwhile
        of_context.pop(closed, None)
    loop, clients = asyncio.get_running_loop(), _Clients()
    of_context[loop], clients.keeper = clients, _keep(clients, of_context, loop)
    await anext(clients.keeper)
    return clients


async def _close(of_context: dict[asyncio.AbstractEventLoop, _Clients]) -> None:
    if (clients := of_context.get(asyncio.get_running_loop())) is not None:
        await clients.keeper.aclose()


async def _keep(clients: _Clients, of_context: dict[Any, Any], loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None, None]:
    """A generator, as a loop closes all that are left when it shuts down."""
    try:
        yield
    finally:
        of_context.pop(loop, None)
        await clients.close()


def _aiohttp() -> Any:
    try:
        return import_module("aiohttp")
    except ImportError as error:
        raise MissingPackage("this server's way of HTTP", "aiohttp", "pip install aiohttp") from error
