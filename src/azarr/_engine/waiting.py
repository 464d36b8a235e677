"""Reading a store that waits on the network: a bounded set of fetch loops, each pulling jobs from one shared iterator.

Small chunks are decoded on the loop, as a hop to a thread costs more than decoding them; large ones in threads.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from azarr._engine.decoding import MISSING, Held, Reading, named, together
from azarr._platform import offload
from azarr.codecs import Pipeline
from azarr.codecs.sharding import ShardLayout, merged
from azarr.context import Context
from azarr.errors import ObjectChanged, ShardIndexError, StoreError
from azarr.plan import Job, Piece
from azarr.scratch import Buffer, Scratch, view
from azarr.stores.base import ByteRange, Value

INLINE = 50e-6
"""Seconds of decoding that the event loop may be kept busy with at a time."""
GAP, SPAN, SMALL_INDEX = 1 << 20, 16 << 20, 64 << 10
"""Bytes. Inner chunks of a shard at most GAP apart are asked for together, at most SPAN at a time. A large index is decoded in a thread."""


class Budget:
    """Requests and bytes in flight of one context on one loop. Those who wait are served in order."""

    __slots__ = ("__weakref__", "_waiters", "nbytes", "requests")

    def __init__(self, context: Context) -> None:
        self.requests, self.nbytes = context.requests, context.nbytes
        self._waiters: deque[tuple[asyncio.Future[None], int]] = deque()

    @asynccontextmanager
    async def request(self, nbytes: int) -> AsyncGenerator[None]:
        """Hold one request, and `nbytes` (at most all there are) until what was fetched is placed."""
        nbytes = await self._acquire(nbytes)
        try:
            yield
        finally:
            self.requests += 1
            self.nbytes += nbytes
            self._wake()

    async def _acquire(self, nbytes: int) -> int:
        if self._waiters or not self._fits(nbytes):
            future = asyncio.get_running_loop().create_future()
            self._waiters.append((future, nbytes))
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():  # granted and cancelled at once: hand it on
                    self.requests += 1
                    self.nbytes += nbytes
                self._waiters = deque(waiter for waiter in self._waiters if waiter[0] is not future)
                self._wake()
                raise
            return nbytes
        self.requests -= 1
        self.nbytes -= nbytes
        return nbytes

    def _fits(self, nbytes: int) -> bool:
        return self.requests > 0 and self.nbytes >= nbytes

    def _wake(self) -> None:
        while self._waiters and self._fits(self._waiters[0][1]):
            future, nbytes = self._waiters.popleft()
            if not future.done():
                self.requests -= 1
                self.nbytes -= nbytes
                future.set_result(None)


_budgets: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Context, Budget]] = weakref.WeakKeyDictionary()


def budget_of(context: Context) -> Budget:
    """The budget that all who use `context` on the running loop share."""
    of_loop = _budgets.setdefault(asyncio.get_running_loop(), {})
    return of_loop.setdefault(context, Budget(context))


async def read_waiting(reading: Reading, budget: Budget, context: Context, loops: int) -> None:
    """Run fetch loops until the jobs are done. The first error stops them all, and is raised when none is running any more."""
    work = _Work(reading, budget, context)
    async with together() as group:
        for _ in range(loops):
            group.create_task(work.loop())


class _Work:
    __slots__ = ("budget", "indexes", "most", "reading", "scratch", "warm")  # `indexes` are those that the array handle does not keep

    def __init__(self, reading: Reading, budget: Budget, context: Context) -> None:
        self.reading, self.budget, self.most = reading, budget, context.nbytes
        self.scratch = Scratch()
        self.indexes: dict[str, Held | None] = {}
        self.warm = False

    async def loop(self) -> None:
        while (job := self.reading.next_job()) is not None:
            if job.shard is None:
                for piece in job.pieces:
                    await self.chunk(piece)
                continue
            while True:
                try:
                    await self.shard(job)
                    break
                except ObjectChanged:
                    if not self.reading.restarts(job, self.reading.key(job.shard)):
                        raise

    async def chunk(self, piece: Piece) -> None:
        target = self.reading.target
        key, pipeline = target.key(piece.coords), target.layout.pipeline(piece.coords)
        async with self.budget.request(self.cost(pipeline, 1)):
            value = await self.get(key, None)
            if value is None:
                self.reading.missing([piece])
            else:
                await self.place([(piece, value.data)], pipeline, key)

    async def shard(self, job: Job) -> None:
        """Some inner chunks of one shard: with one request where all of it is needed, else by its index."""
        assert job.shard is not None
        reading, pieces = self.reading, job.pieces
        key, layout = reading.target.key(job.shard), reading.target.layout.shard(job.shard)
        cost = self.cost(layout.inner, len(pieces))
        if job.complete and cost <= self.most // 2:
            async with self.budget.request(cost):
                if (value := await self.get(key, None)) is None:
                    reading.missing(pieces)
                    return
                shard = view(value.data)
                at = slice(layout.index_size) if layout.at_start else slice(max(0, len(shard) - layout.index_size), None)
                held = await self.read_index(layout, key, Value(shard[at], value.version, len(shard)))
                await self.pieces(pieces, reading.entries(layout, held, pieces, key), [(0, shard)], layout, key)
            return
        if (cached := reading.target.indexes.get(key)) is not None:
            with suppress(ShardIndexError):  # of an older version, perhaps
                if await self.ranges(pieces, cached, layout, key, cost):
                    return
        held = self.indexes[key] if key in self.indexes else await self.index(key, layout)
        reading.pin(key, held)
        if held is None or held.version is None:
            self.indexes[key] = held
        if held is None:
            reading.target.indexes.drop(key)
            reading.missing(pieces)
        else:
            await self.ranges(pieces, held, layout, key, cost)

    async def ranges(self, pieces: list[Piece], held: Held, layout: ShardLayout, key: str, cost: int) -> bool:
        """Fetch and place `pieces`; False, with nothing placed, if `held` is a cached index that may not be of the shard's version."""
        reading = self.reading
        entries = reading.entries(layout, held, pieces, key)
        wanted = merged([entry for entry in entries if entry is not None], gap=GAP, span=SPAN)
        if not wanted and reading.pinned.get(key, MISSING) != held.version:
            return False
        fetched: list[tuple[int, Buffer]] = []
        async with self.budget.request(cost if wanted else 0):
            for start, stop in wanted:
                value = await self.get(key, (start, stop)) if start < stop else Value(b"", held.version)
                if reading.pin(key, value) != held.version or value is None:
                    return False
                if len(value.data) != stop - start:
                    raise ShardIndexError(f"bytes {start:,} to {stop:,} lie outside the shard", store=reading.where, key=key)
                fetched.append((start, view(value.data)))
            await self.pieces(pieces, entries, fetched, layout, key)
        return True

    async def pieces(
        self, pieces: list[Piece], entries: list[tuple[int, int] | None], fetched: list[tuple[int, Buffer]], layout: ShardLayout, key: str
    ) -> None:
        """Place pieces whose bytes are at hand, in `fetched` as (start, bytes)."""
        found: list[tuple[Piece, Buffer]] = []
        for piece, entry in zip(pieces, entries, strict=True):
            if entry is None:
                self.reading.missing([piece])
                continue
            start, data = next((start, data) for start, data in fetched if start <= entry[0] and entry[1] <= start + len(data))
            found.append((piece, data[entry[0] - start : entry[1] - start]))
        await self.place(found, layout.inner, key)

    async def index(self, key: str, layout: ShardLayout) -> Held | None:
        """The index of a shard; None if there is no such shard. All who ask one array handle at the same time share one request."""
        loading, loop = self.reading.target.indexes.loading, asyncio.get_running_loop()
        while (first := loading.get((loop, key))) is not None:
            await asyncio.wait([first])
            if not first.cancelled():
                return first.result()
        future = loading[loop, key] = loop.create_future()
        try:
            async with self.budget.request(min(layout.index_size, self.most)):
                value = await self.get(key, layout.index_range)
            found = None if value is None else await self.read_index(layout, key, value)
            future.set_result(found)
        except BaseException as error:
            if isinstance(error, Exception):
                future.set_exception(error)
                future.exception()  # seen, as it is raised here too
            else:
                future.cancel()  # the next in line asks for itself
            raise
        finally:
            del loading[loop, key]
        return found

    async def read_index(self, layout: ShardLayout, key: str, value: Value) -> Held:
        """The index in `value`, decoded on the loop where that is quick and the codecs are loaded, else in a thread."""
        if self.warm and layout.index_size <= SMALL_INDEX:
            return self.reading.index_of(layout, key, value, self.scratch)
        return await offload(lambda: self.reading.index_of(layout, key, value, Scratch()))

    async def get(self, key: str, byte_range: ByteRange | None) -> Value | None:
        try:
            return await self.reading.target.store.get(key, byte_range)
        except OSError as error:
            raise named(error, self.reading.target.store, key) from (error.__cause__ if isinstance(error, StoreError) else error)

    async def place(self, found: list[tuple[Piece, Buffer]], pipeline: Pipeline, key: str) -> None:
        """Decode and place, on the loop where that is quick and the codecs are loaded, else in a thread."""
        if self.warm and pipeline.seconds * len(found) < INLINE:
            for piece, data in found:
                self.reading.place(piece, data, pipeline, key, self.scratch)
            return
        await offload(lambda: self.place_all(found, pipeline, key))
        self.warm = True

    def place_all(self, found: list[tuple[Piece, Buffer]], pipeline: Pipeline, key: str) -> None:
        scratch = Scratch()
        for piece, data in found:
            if self.reading.stopped:
                return
            self.reading.place(piece, data, pipeline, key, scratch)

    def cost(self, pipeline: Pipeline, count: int) -> int:
        """Bytes in flight: encoded and decoded, at most all there are."""
        return min(2 * count * pipeline.chunk.size * max(1, pipeline.chunk.dtype.itemsize), self.most)
