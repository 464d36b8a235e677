"""CPython: threads do what would block the event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from importlib import import_module
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from azarr.errors import MissingPackage, TransportError

__all__ = ["Response", "cores", "fetch", "offload", "spawn"]

T = TypeVar("T")
Call = Callable[[], Any]


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Threads:
    """Threads that wait for calls. One is added when a call comes and none is idle, up to `most`; they live as long as the process.

    A call costs a third of what `run_in_executor` costs: one queue, one wake-up of the loop, no second future.
    """

    def __init__(self) -> None:
        self.queue: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Call]] = SimpleQueue()
        self.lock = threading.Lock()
        self.idle = self.count = 0
        self.most = max(8, 2 * cores())
        self.process = os.getpid()

    def submit(self, call: Call) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self.lock:
            start = self.idle <= 0 and self.count < self.most
            self.count += start
            self.idle -= 1
        self.queue.put((loop, future, call))
        if start:
            threading.Thread(target=self.run, name="azarr", daemon=True).start()
        return future

    def run(self) -> None:
        with self.lock:
            self.idle += 1
        while True:
            loop, future, call = self.queue.get()
            result: Any = None
            error: BaseException | None = None
            try:
                result = call()
            except BaseException as raised:  # handed to whoever awaits
                error = raised
            with self.lock:
                self.idle += 1
            try:
                loop.call_soon_threadsafe(_finish, future, result, error)
            except RuntimeError:  # the loop was closed: nobody is left to tell
                pass
            del loop, future, call, result, error


def _finish(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


_threads = _Threads()


def spawn(call: Callable[[], T]) -> asyncio.Future[T]:
    """Start `call` in a thread; the future is the running loop's."""
    global _threads
    if _threads.process != os.getpid():  # threads do not survive a fork
        _threads = _Threads()
    return _threads.submit(call)


async def offload(call: Callable[[], T]) -> T:
    """`call()` in a thread. Cancelled, it waits until the call has ended, then raises: nothing is left running."""
    future = spawn(call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue
        if not future.cancelled():
            future.exception()  # seen, so that the loop does not report it
        raise


class Response(NamedTuple):
    """An answer over HTTP, its body whole and as it came. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def fetch(url: str, *, headers: Mapping[str, str]) -> Response:
    """GET `url`. Any status is an answer; no answer, or a body shorter than announced, is a `TransportError`."""
    session = await _session()
    aiohttp = _aiohttp()
    try:
        async with session.get(url, headers={"Accept-Encoding": "identity", **headers}) as answer:
            body = await answer.read()
            return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
        raise TransportError(f"no complete answer ({type(error).__name__}: {error})") from error


_sessions: dict[asyncio.AbstractEventLoop, AsyncGenerator[Any, None]] = {}
"""One client per loop, so that all stores share its connections. Its generator is what the loop closes when it shuts down."""


async def _session() -> Any:
    loop = asyncio.get_running_loop()
    keeper = _sessions.get(loop)
    if keeper is None:
        for closed in [other for other in _sessions if other.is_closed()]:
            del _sessions[closed]
        keeper = _sessions[loop] = _keep_session(loop)
        return await anext(keeper)
    return await keeper.asend(None)


async def _keep_session(loop: asyncio.AbstractEventLoop) -> AsyncGenerator[Any, None]:
    aiohttp = _aiohttp()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60),
        auto_decompress=False,
    )
    try:
        while True:
            yield session
    finally:
        _sessions.pop(loop, None)
        await session.close()


def _aiohttp() -> Any:
    try:
        return import_module("aiohttp")
    except ImportError as error:
        raise MissingPackage("reading over HTTP", "aiohttp", "pip install aiohttp") from error
