"""Work on objects, one at a time each: what is to be done with an object is a generator of steps, `Get` and `Put`, that knows no store.

Two drivers make the steps: worker threads, each with whole objects, where the stores block; a bounded set of loops on stores that wait.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar, cast

from azarr._engine.chunk_cache import forget
from azarr._engine.requests import Requests
from azarr._platform import cores, offload, offload_steps, together
from azarr.context import Context
from azarr.errors import StoreError
from azarr.scratch import Buffer, Buffers, Parts, Scratch, joined, keep_scratch, spare_scratch
from azarr.stores.base import ANY, BlockingWritable, ByteRange, ConditionalStore, Store, Value, is_blocking

Job = TypeVar("Job")
WHOLE = (0, None)
"""All of an object, as a range: so that stores tell its version."""


class Get:
    """Read the object, or a range of it. Answered with a `Value`, or None; or the store's error is raised."""

    __slots__ = ("byte_range", "key")

    def __init__(self, key: str, byte_range: ByteRange = WHOLE) -> None:
        self.key, self.byte_range = key, byte_range


class Put:
    """Replace the object, if it is of `version`; None deletes it. Answered with whether it was done. See `Writer` for parts of it."""

    __slots__ = ("data", "key", "version")

    def __init__(self, key: str, data: Buffer | Buffers | Parts | None, version: str | None = ANY) -> None:
        self.key, self.data, self.version = key, data, version


One: TypeAlias = Callable[[str, Job], None]
Steps = Generator[Get | Put, Any, None]
"""What is done with one object."""


class Work(ABC, Generic[Job]):
    """The objects that are left to work on, in `jobs`, at most `size`: the key of each, and what is to be done with it."""

    def __init__(self, jobs: Iterator[tuple[str, Job]], size: int) -> None:
        self._jobs, self._lock, self.size, self.stopped = jobs, threading.Lock(), size, False

    def stop(self) -> None:
        """No further object is begun."""
        self.stopped = True

    def next_job(self) -> tuple[str, Job] | None:
        """The next object, for whoever asks first."""
        with self._lock:
            job = None if self.stopped else next(self._jobs, None)
            if job is not None:
                self.begun(job[0])
            return job

    @abstractmethod
    def steps(self, key: str, job: Job, scratch: Scratch) -> Steps:
        """What is done with this object."""

    def perform(self, key: str, job: Job, one: One[Job], writer: Any, scratch: Scratch) -> None:
        """What a worker thread does for a job: the steps, by `one`; or all at once, by its `writer`."""
        one(key, job)

    @abstractmethod
    def nbytes(self, job: Job) -> int:
        """Bytes in flight that it takes, about."""

    def begun(self, key: str) -> None: ...
    def sent(self, key: str) -> None: ...
    def done(self, key: str, job: Job) -> None: ...


def version_of(held: Value | None) -> str | None:
    """What `Put` is told so that it replaces what was read, and nothing newer where the store can tell."""
    return None if held is None else ANY if held.version is None else held.version


async def perform(
    work: Work[Any], source: Store, context: Context, into: Any = None, *,
    workers: int | None = None, helper: Callable[[], None] | None = None,
) -> None:  # fmt: skip
    """Do all of `work`: what it gets is in `source`, what it puts goes `into` the same store or another. None: it puts nothing.

    Where there are fewer objects than worker threads, `helper` is called in the others.

    The first error ends it, and is raised when nothing of it is in flight; so is a cancellation.
    """
    async with together() as group:
        if is_blocking(source) and (into is None or isinstance(into, BlockingWritable)):
            most = workers or context.workers or cores()
            count = min(most, work.size)
            for _ in range(count):
                group.create_task(offload_steps(_work(work, source, into), stop=work.stop))
            for _ in range(most - count if helper else 0):
                group.create_task(offload(helper or work.stop, stop=work.stop))
        else:
            from_it = Requests(source, context)
            to_it = from_it if into is source else Requests(into, context)
            for _ in range(min(context.requests, work.size)):
                group.create_task(_loop(work, from_it, to_it))


def _work(work: Work[Any], source: Any, into: Any) -> Generator[None]:
    """One worker thread; a step is one object."""
    scratch = spare_scratch()
    try:
        reader = source.reader()
        writing: Any = into.writer() if isinstance(into, BlockingWritable) else nullcontext()
        with writing as writer:
            one = partial(_one, work, reader, writer, into, scratch)
            while (found := work.next_job()) is not None:
                work.perform(*found, one, writer, scratch)
                yield
    except BaseException:
        work.stop()
        raise
    finally:
        keep_scratch(scratch)


def _one(work: Work[Any], reader: Any, writer: Any, into: Any, scratch: Scratch, key: str, job: Any) -> None:
    steps, answer, error = work.steps(key, job, scratch), None, None
    while (step := _next(steps, answer, error)) is not None:
        answer, error = None, None
        try:
            if isinstance(step, Get):
                answer = reader.part(step.key, step.byte_range, scratch)
            else:
                answer = writer.put(step.key, step.data, step.version)
                forget(into, step.key)
        except StoreError as raised:
            error = raised
            if getattr(error, "unknown", False):  # it may have been put all the same
                work.sent(key)
    work.done(key, job)


async def _loop(work: Work[Any], source: Requests, into: Requests) -> None:
    """One of several loops. What is done with bytes is done in threads."""
    while (found := work.next_job()) is not None:
        key, job = found
        steps, answer, error = work.steps(key, job, Scratch()), None, None
        async with source.budget.memory(work.nbytes(job)):
            while (step := await offload(partial(_next_whole, steps, answer, error))) is not None:
                answer, error = None, None
                if isinstance(step, Put):
                    work.sent(key)
                try:
                    answer = await (_get(step, source) if isinstance(step, Get) else _put(step, into))
                except StoreError as raised:
                    error = raised
            work.done(key, job)


def _next(steps: Steps, answer: Any, error: StoreError | None) -> Get | Put | None:
    try:
        return steps.send(answer) if error is None else steps.throw(error)
    except StopIteration:
        return None


def _next_whole(steps: Steps, answer: Any, error: StoreError | None) -> Get | Put | None:
    """The same, with the data in one place, as stores that wait need them."""
    step = _next(steps, answer, error)
    return Put(step.key, joined(step.data), step.version) if isinstance(step, Put) and isinstance(step.data, list) else step


async def _get(step: Get, source: Requests) -> Value | None:
    as_range = hasattr(source.store, "reader") or step.byte_range != WHOLE  # stores that wait tell the version of what they give as a whole
    return await source.get(step.key, step.byte_range if as_range else None)


async def _put(step: Put, into: Requests) -> bool:
    store, key, data = into.store, step.key, cast("Buffer | None", step.data)
    try:
        if step.version != ANY and isinstance(store, ConditionalStore):  # never sent twice: the second would find what the first had put
            return await into.repeated(key, partial(store.replace, key, data, step.version), once=True)
        await into.repeated(key, lambda: store.delete(key) if data is None else store.set(key, data))
        return True
    finally:  # it may be there even if that failed
        into.forget(key)
        forget(store, key)
