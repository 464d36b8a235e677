"""CPython: threads do what would block the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Call = Callable[[], Any]


@functools.cache
def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_flight(nbytes: int) -> int:
    """Bytes that a context may have in flight, of those that it was given: all."""
    return nbytes


class _Mailbox:
    """Where threads leave calls that have ended, for one loop to collect: many are collected in one go, with one wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.ended, self.called = weakref.ref(loop), deque[_Job](), False  # else no loop would ever be gone

    def put(self, job: _Job) -> None:
        self.ended.append(job)
        if not self.called:
            self.called = True
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody is left to tell
                if (loop := self.loop()) is not None:
                    loop.call_soon_threadsafe(self.collect)

    def collect(self) -> None:
        self.called = False  # before looking, so that whatever comes later calls again
        while self.ended:
            self.ended.popleft().finish()


class _Job:
    """A call in a thread, as the loop that waits for it sees it. `future` may be cancelled; `ended` is when the thread is done."""

    __slots__ = ("call", "ended", "error", "future", "mailbox", "over", "result")

    def __init__(self, call: Call, mailbox: _Mailbox, loop: asyncio.AbstractEventLoop) -> None:
        self.call, self.mailbox = call, mailbox
        self.future: asyncio.Future[Any] = loop.create_future()
        self.ended: asyncio.Future[None] | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.over = False

    def finish(self) -> None:
        self.over = True
        if self.ended is not None and not self.ended.done():
            self.ended.set_result(None)
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class _Threads:
    """Threads that wait for calls. One is added when a call comes and none is idle, up to `most`; they live as long as the process.

    A call costs less than by `run_in_executor`: one queue, one wake-up of the loop, no second future.
    """

    def __init__(self) -> None:
        self.queue: SimpleQueue[_Job] = SimpleQueue()
        self.mailboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Mailbox] = weakref.WeakKeyDictionary()
        self.lock, self.process, self.most = threading.Lock(), os.getpid(), max(8, 2 * cores())
        self.idle = self.count = 0

    def submit(self, call: Call) -> _Job:
        loop = asyncio.get_running_loop()
        if (mailbox := self.mailboxes.get(loop)) is None:
            mailbox = self.mailboxes[loop] = _Mailbox(loop)
        job = _Job(call, mailbox, loop)
        with self.lock:
            start = self.idle <= 0 and self.count < self.most
            self.count += start
            self.idle -= 1
        self.queue.put(job)
        if start:
            threading.Thread(target=self.run, name="azarr", daemon=True).start()
        return job

    def run(self) -> None:
        while True:
            with self.lock:
                self.idle += 1
            job = self.queue.get()
            try:
                job.result = job.call()
            except BaseException as error:  # handed to whoever awaits
                job.error = error
            job.mailbox.put(job)
            del job


_threads = _Threads()


async def offload(call: Callable[[], T], *, stop: Callable[[], None] | None = None) -> T:
    """`call()` in a thread. Cancelled, it calls `stop`, waits until the call has ended, then raises: nothing is left running."""
    global _threads  # noqa: PLW0603  # made anew in a forked process
    if _threads.process != os.getpid():  # threads do not survive a fork
        _threads = _Threads()
    job = _threads.submit(call)
    try:
        return await job.future
    except asyncio.CancelledError:
        if stop is not None:
            stop()
        while not job.over:
            job.ended = asyncio.get_running_loop().create_future()
            with contextlib.suppress(asyncio.CancelledError):
                await job.ended
        raise


async def offload_steps(steps: Generator[None, None, T], *, stop: Callable[[], None] | None = None) -> T:
    """What the generator `steps` returns, run to its end in a thread; cancelled as in `offload`."""
    return await offload(lambda: _exhausted(steps), stop=stop)


def _exhausted(steps: Generator[None, None, T]) -> T:
    try:
        while True:
            next(steps)
    except StopIteration as ended:
        return ended.value


@contextlib.asynccontextmanager
async def together() -> AsyncGenerator[Any]:
    """A group of tasks whose first error is raised bare, once all of them have ended: nobody meets an `ExceptionGroup` from one read."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__


_bridges: dict[int, asyncio.AbstractEventLoop] = {}


def _bridge(process: int) -> asyncio.AbstractEventLoop:
    """A loop in a thread, for those who cannot await: one for each process."""
    if (loop := _bridges.get(process)) is None:
        loop = _bridges.setdefault(process, made := asyncio.new_event_loop())
        if loop is made:
            threading.Thread(target=loop.run_forever, name="azarr bridge", daemon=True).start()
        else:  # another thread was first
            made.close()
    return loop


def run_sync(awaitable: Awaitable[T]) -> T:
    """What `awaitable` gives, awaited on a loop in a thread while this one waits. Interrupted, it cancels what it waits for."""

    async def awaited() -> T:
        return await awaitable

    future = asyncio.run_coroutine_threadsafe(awaited(), _bridge(os.getpid()))
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
