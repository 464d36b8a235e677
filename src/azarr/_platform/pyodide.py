"""Pyodide: one thread, shared with the page. What would block it is done in slices, between which the page lives.

A turn of its event loop takes a tenth of a millisecond, and a task several of them. So what runs `together` takes none: it begins at
once, and goes on from within the call by which JavaScript brings what it waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from importlib import import_module
from time import perf_counter
from typing import Any, TypeVar

from azarr.errors import AzarrError

T = TypeVar("T")
SLICE, SHORT = 8e-3, 4e-3
"""Seconds of work in a row, half of what a frame takes, and a quarter; a step that takes longer is the last one."""
BRIEF = 0.15
"""Seconds that work may take before its slices are short: the page, which has more to do than to draw, misses frames else."""
PAUSE, QUIET = 3e-3, 0.1
"""Seconds without work after which the page had its turn, and after which the work is over."""
EAGER: dict[str, Any] = {"eager_start": True}
"""Known since Python 3.12, which Pyodide has had for longer than it can run azarr."""
MOST_IN_FLIGHT = 64 << 20
"""Bytes. What has arrived and waits to be decoded keeps the page from drawing: with four times as much, frames were 0.1 seconds late."""
_ends = _worked = _since = 0.0
"""When the slice that is running is over, when there was work at last, and when that began."""
_turns: deque[Wait] = deque()
"""Workers that wait for the next slice."""


def cores() -> int:
    """Python has one thread in the browser."""
    return 1


def in_flight(nbytes: int) -> int:
    """Bytes that a context may have in flight, of those that it was given: more would come faster than one thread decodes."""
    return min(nbytes, MOST_IN_FLIGHT)


class Worker(asyncio.Task[Any]):
    """A task of `together`. Nothing but azarr runs in it, so that nobody misses the stack that waiting without `await` needs."""


class Wait:
    """What one task waits for, once: until `come`. A worker goes on within that call, other tasks by the event loop."""

    __slots__ = ("_answer", "_asyncio_future_blocking", "_call", "_cancelled", "_context", "_loop", "_worker")

    def __init__(self) -> None:
        self._loop, self._worker = asyncio.get_running_loop(), isinstance(asyncio.current_task(), Worker)
        self._asyncio_future_blocking = self._cancelled = False  # the first is what a task looks at (asyncio.isfuture)
        self._call: Any = None
        self._answer: Any = None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, call: Callable[[Wait], object], *, context: Any) -> None:
        self._call, self._context = call, context

    def cancel(self, msg: object = None) -> bool:
        call, self._call, self._cancelled = self._call, None, True
        if call is not None:
            self._loop.call_soon(call, self, context=self._context)
        return True

    def result(self) -> Any:
        if self._cancelled:
            raise asyncio.CancelledError
        return self._answer

    def come(self, answer: Any = None) -> None:
        """There is `answer`. It is not heard if the task was cancelled before."""
        global _worked  # noqa: PLW0603  # there is one thread, whoever works in it
        call, self._call, self._answer = self._call, None, answer
        if call is None:
            return
        if not self._worker:
            self._loop.call_soon(call, self, context=self._context)
            return
        if perf_counter() > _worked + PAUSE:
            _begin()
        self._context.run(call, self)
        _worked = perf_counter()

    def __await__(self) -> Generator[Any, None, Any]:
        self._asyncio_future_blocking = True
        yield self
        return self.result()


def _begin() -> None:
    """The page had its turn: a slice begins."""
    global _ends, _since  # noqa: PLW0603
    now = perf_counter()
    if now > max(_worked, _ends) + QUIET:
        _since = now
    _ends = now + (SLICE if now < _since + BRIEF else SHORT)


async def _let_others() -> None:
    if not isinstance(asyncio.current_task(), Worker):
        await asyncio.sleep(0)
        _begin()
        return
    if not _turns:
        asyncio.get_running_loop().call_soon(_turn)
    _turns.append(wait := Wait())
    await wait


def _turn() -> None:
    _begin()
    while _turns and perf_counter() < _ends:
        _turns.popleft().come()
    if _turns:
        asyncio.get_running_loop().call_soon(_turn)


class _Group:
    """As `asyncio.TaskGroup`, but that a task begins within `create_task`, and none of the event loop's turns is taken for its end."""

    def __init__(self) -> None:
        self.workers, self.error = set[Any](), None
        self.ended: asyncio.Future[None] | None = None

    def create_task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return Worker(self._run(work), loop=asyncio.get_running_loop(), **EAGER)

    async def _run(self, work: Coroutine[Any, Any, T]) -> T | None:
        self.workers.add(me := asyncio.current_task())
        try:
            if perf_counter() > _ends:
                await _let_others()
            return None if self.error else await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # raised by whoever waits for all
            self.error = self.error or error
            self.cancel()
        finally:
            work.close()
            self.workers.discard(me)
            if not self.workers and self.ended is not None and not self.ended.done():
                self.ended.set_result(None)

    def cancel(self) -> None:
        for worker in self.workers - {asyncio.current_task()}:
            worker.cancel()

    async def end(self) -> None:
        """Wait for all. Cancelled, it cancels them, and raises when none is running any more."""
        cancelled = None
        while self.workers:
            self.ended = asyncio.get_running_loop().create_future()
            try:
                await self.ended
            except asyncio.CancelledError as error:
                cancelled = error
                self.cancel()
        if error := cancelled or self.error:
            raise error


@contextlib.asynccontextmanager
async def together() -> AsyncGenerator[Any]:
    """A group of tasks whose first error is raised bare, once all of them have ended: nobody meets an `ExceptionGroup` from one read."""
    group = _Group()
    try:
        yield group
    except BaseException:
        group.cancel()
        with contextlib.suppress(Exception):
            await group.end()
        raise
    await group.end()


async def offload(call: Callable[[], T], *, stop: Callable[[], None] | None = None) -> T:
    """`call()`, once the page had its turn. It runs as a whole, so there is never anything to `stop`."""
    if perf_counter() > _ends:
        await _let_others()
    return call()


async def offload_steps(steps: Generator[None, None, T], *, stop: Callable[[], None] | None = None) -> T:
    """What the generator `steps` returns, run to its end in slices. Cancelled between two, it is closed."""
    try:
        while True:
            if perf_counter() > _ends:
                await _let_others()
            next(steps)
    except StopIteration as ended:
        return ended.value
    finally:
        steps.close()


def run_sync(awaitable: Awaitable[T]) -> T:
    """What `awaitable` gives, where WebAssembly can switch stacks (JSPI); else an `AzarrError`, with nothing awaited."""
    ffi: Any = import_module("pyodide.ffi")
    if not ffi.can_run_sync():
        if asyncio.iscoroutine(awaitable):
            awaitable.close()
        raise AzarrError("nothing can wait here without await: this browser lacks JSPI, or plain JavaScript called")
    return ffi.run_sync(awaitable)
