"""Reading a store that waits on the network: a bounded set of fetch loops, each pulling jobs from one shared iterator.

Small chunks are decoded on the loop, as a hop to a thread costs more than decoding them; large ones in threads.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import partial
from operator import itemgetter
from time import perf_counter

from azarr._engine.decoding import INLINE, MISSING, SMALL_INDEX, Held, Reading
from azarr._engine.requests import Requests, shared
from azarr._platform import offload, offload_steps, together
from azarr.codecs import Pipeline
from azarr.codecs.sharding import ShardLayout, merged
from azarr.context import Context
from azarr.errors import ObjectChanged, RangeNotHonoured, ShardIndexError
from azarr.plan import Job, Piece
from azarr.scratch import Buffer, Scratch, keep_scratch, spare_scratch, view
from azarr.stores.base import Value

COPIED = 1 << 20
"""Bytes that it may copy at a time."""
SPAN = 16 << 20
"""Bytes. Inner chunks of a shard are asked for together, at most SPAN at a time."""
EXCESS, FREE = 16, 1 << 20
"""Where a server serves no ranges, a shard may have so many times the inner chunks that are needed of it, or so many bytes."""
MANY = 64
"""Chunks that are worth another way to ask for them, where the store has one."""
AT_ONCE = 16
"""Ranges of one shard that are asked for at the same time."""


async def read_waiting(reading: Reading, context: Context, loops: int, chunks: int) -> None:
    """Run fetch loops until the jobs are done. The first error stops them all, and is raised when none is running any more.

    `chunks`: how many there are in the first `loops` jobs.
    """
    work, in_bulk = _Work(reading, context, loops, chunks), getattr(reading.target.store, "in_bulk", None)
    try:
        if chunks >= MANY and in_bulk is not None:
            await in_bulk(work, reading.target.store)
        if loops == 1:  # a task would cost more than what it does
            await work.loop()
            return
        async with together() as group:
            for _ in range(loops):
                group.create_task(work.loop())
    finally:
        if (settle := getattr(reading.target.store, "settle", None)) is not None:  # a cache deletes what turned out to be damaged
            await settle()


class _Work:
    """One read. `indexes` are those that the array handle does not keep; `jobs` and `chunks`, how many there are at first."""

    __slots__ = ("budget", "chunks", "indexes", "jobs", "most", "reading", "requests")

    def __init__(self, reading: Reading, context: Context, jobs: int, chunks: int) -> None:
        self.jobs, self.chunks = jobs, chunks
        self.reading, self.requests = reading, Requests(reading.target.store, context)
        self.budget = self.requests.budget
        self.most = self.budget.most
        self.indexes: dict[str, Held | None] = {}

    async def loop(self) -> None:
        while (asked := self.reading.next_job()) is not None:
            job = asked if self.reading.cache is None else await self.without_cached(asked)
            for piece in job.pieces if job.shard is None else ():
                await self.chunk(piece)
            while job.shard is not None and job.pieces:
                try:
                    await self.shard(job)
                    break
                except ObjectChanged:
                    if not self.reading.restarts(job, self.reading.key(job.shard)):
                        raise
                    job = asked
                except RangeNotHonoured:
                    if not self.by_whole(job):
                        raise
            self.reading.finished(asked)

    async def without_cached(self, job: Job) -> Job:
        """What is left of `job` when its chunks that are in the cache have been placed."""
        few = len(job.pieces) * self.reading.target.layout.read_nbytes < COPIED
        return self.reading.without_cached(job) if few else await offload(partial(self.reading.without_cached, job))

    async def chunk(self, piece: Piece) -> None:
        target = self.reading.target
        key, pipeline = target.key(piece.coords), target.layout.pipeline(piece.coords)
        async with self.budget.memory(self.cost(pipeline, 1)):
            value = await self.requests.get(key)
            if value is None:
                self.reading.missing([piece])
            else:
                await self.place([(piece, value.data)], pipeline, key)

    async def shard(self, job: Job) -> None:
        """Some inner chunks of one shard: with one request where all of it is needed, or no part of it is to be had; else by its index."""
        assert job.shard is not None
        reading, pieces = self.reading, job.pieces
        key, layout = reading.target.key(job.shard), reading.target.layout.shard(job.shard)
        cost = self.cost(layout.inner, len(pieces))
        if (job.complete and cost <= self.most // 2) or self.by_whole(job):
            async with self.budget.memory(cost if job.complete else self.cost(layout.inner, math.prod(layout.counts))):
                reading.pin(key, value := await self.requests.get(key))
                if value is None:
                    reading.missing(pieces)
                    return
                shard = view(value.data)
                at = slice(layout.index_size) if layout.at_start else slice(max(0, len(shard) - layout.index_size), None)
                held = await self.read_index(layout, key, Value(shard[at], value.version, len(shard)))
                await self.pieces(pieces, reading.entries(layout, held, pieces, key), [(0, shard)], layout, key)
                if job.complete:
                    del reading.pinned[key]  # nobody asks again
            return
        if (cached := reading.target.indexes.get(key)) is not None:
            with suppress(ShardIndexError, ObjectChanged):  # of an older version, perhaps
                if await self.ranges(pieces, cached, layout, key, cost):
                    return
        if key in self.indexes:
            held = self.indexes[key]
        else:
            one = (self.requests.who, key, reading.target.indexes)  # all who ask this array handle at the same time, until it is written to
            held = await shared(self.budget.loading, one, lambda: self.index(key, layout))
        reading.pin(key, held)
        if held is None or held.version is None:
            self.indexes[key] = held
        if held is None:
            reading.target.indexes.drop(key)
            reading.missing(pieces)
        else:
            await self.ranges(pieces, held, layout, key, cost)

    def by_whole(self, job: Job) -> bool:
        """Whether a shard is asked for as a whole as its server serves no ranges, and that is not far more than what is needed."""
        assert job.shard is not None
        layout = self.reading.target.layout.shard(job.shard)
        every = math.prod(layout.counts)
        nbytes = every * layout.inner.chunk.nbytes
        acceptable = nbytes <= FREE or every <= EXCESS * len(job.pieces)
        return not getattr(self.reading.target.store, "ranges", True) and acceptable and self.cost(layout.inner, every) <= self.most // 2

    async def ranges(self, pieces: list[Piece], held: Held, layout: ShardLayout, key: str, cost: int) -> bool:
        """Fetch and place `pieces`; False, with nothing placed, if `held` is a cached index that may not be of the shard's version."""
        reading = self.reading
        entries = reading.entries(layout, held, pieces, key)
        wanted = merged([entry for entry in entries if entry is not None], gap=self.requests.gap, span=SPAN)
        if not wanted and reading.pinned.get(key, MISSING) != held.version:
            return False
        fetched: list[tuple[int, Buffer]] = []
        async with self.budget.memory(cost if wanted else 0):
            if len(wanted) == 1:
                await self.fetch(iter(wanted), held, key, fetched)
            elif wanted:
                work = iter(wanted)
                async with together() as group:
                    for _ in range(min(AT_ONCE, len(wanted))):
                        group.create_task(self.fetch(work, held, key, fetched))
            if len(fetched) < len(wanted):
                return False
            await self.pieces(pieces, entries, fetched, layout, key)
        return True

    async def fetch(self, wanted: Iterator[tuple[int, int]], held: Held, key: str, fetched: list[tuple[int, Buffer]]) -> None:
        """Ask for parts of a shard; one that is not of the version that `held` is of ends it."""
        for start, stop in wanted:
            empty = Value(b"", held.version)
            value = await self.requests.get(key, (start, stop), held.version) if start < stop else empty
            if self.reading.pin(key, value) != held.version or value is None:
                return
            if len(value.data) != stop - start:
                raise ShardIndexError(f"bytes {start:,} to {stop:,} lie outside the shard", store=self.reading.where, key=key)
            fetched.append((start, view(value.data)))

    async def pieces(
        self, pieces: list[Piece], entries: list[tuple[int, int] | None], fetched: list[tuple[int, Buffer]], layout: ShardLayout, key: str
    ) -> None:
        """Place pieces whose bytes are at hand, in `fetched` as (start, bytes)."""
        found: list[tuple[Piece, Buffer]] = []
        fetched.sort(key=itemgetter(0))
        starts = [start for start, _ in fetched]
        for piece, entry in zip(pieces, entries, strict=True):
            if entry is None:
                self.reading.missing([piece])
                continue
            start, data = fetched[bisect_right(starts, entry[0]) - 1]
            found.append((piece, data[entry[0] - start : entry[1] - start]))
        await self.place(found, layout.inner, key)

    async def index(self, key: str, layout: ShardLayout) -> Held | None:
        """The index of a shard; None if there is no such shard."""
        async with self.budget.memory(layout.index_size):
            value = await self.requests.get(key, layout.index_range)
            return None if value is None else await self.read_index(layout, key, value)

    async def read_index(self, layout: ShardLayout, key: str, value: Value) -> Held:
        """The index in `value`, decoded on the loop where that is quick and the codecs are loaded, else in a thread."""
        read = partial(self.reading.index_of, layout, key, value, Scratch())
        return read() if layout.index_pipeline.warm and layout.index_size <= SMALL_INDEX else await offload(read)

    async def place(self, found: list[tuple[Piece, Buffer]], pipeline: Pipeline, key: str) -> None:
        """Decode and place, on the loop where that is quick and the codecs are loaded, else in a thread."""
        began = perf_counter()
        if pipeline.warm and pipeline.seconds * len(found) < INLINE:
            scratch = spare_scratch()
            for piece, data in found:
                self.reading.place(piece, data, pipeline, key, scratch)
            keep_scratch(scratch)
            self.requests.counters.decode_seconds += perf_counter() - began
            return
        async with self.budget.decoder:
            self.requests.counters.decode_seconds += await offload_steps(self.place_all(found, pipeline, key))

    def place_all(self, found: list[tuple[Piece, Buffer]], pipeline: Pipeline, key: str) -> Generator[None, None, float]:
        """The seconds that it took; a step is one piece."""
        began, scratch = perf_counter(), spare_scratch()
        try:
            for piece, data in found:
                if self.reading.stopped:
                    break
                self.reading.place(piece, data, pipeline, key, scratch)
                yield
        finally:
            keep_scratch(scratch)
        return perf_counter() - began

    def cost(self, pipeline: Pipeline, count: int) -> int:
        """Bytes in flight: encoded and decoded, at most all there are."""
        return min(2 * count * pipeline.chunk.size * max(1, pipeline.chunk.dtype.itemsize), self.most)
