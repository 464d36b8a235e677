"""Reading a store whose reads block: each worker thread pulls jobs from one shared iterator, and reads, decodes and places.

No hop between threads or to the loop per chunk, no task per chunk, nothing allocated per chunk.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator
from time import monotonic
from typing import Any

from azarr._engine.decoding import INLINE, SMALL_INDEX, Held, Reading
from azarr._platform import offload_steps, together
from azarr.codecs.sharding import ShardLayout, merged
from azarr.errors import ObjectChanged, ShardIndexError
from azarr.layout import Layout
from azarr.plan import Job, Piece
from azarr.scratch import ROOM, Scratch, is_slow, keep_scratch, spare_scratch, view
from azarr.stores.base import Reader, WouldWait

HOP = 50e-6
"""Seconds. Where decoding all takes less, a second worker costs more than it does."""
SMALL = 256 << 10
"""Decoded bytes of chunks that are worth decoding several at a time."""
GAP, SPAN = 16 << 10, 4 << 20
"""Bytes. Inner chunks of a shard at most GAP apart are read together, at most SPAN at a time."""
MOST_AT_ONCE = 4
"""Chunks that the event loop reads at a time, each with a few calls of the operating system."""
TURN = 1e-3  # seconds
_turn = threading.local()
"""Which task of this thread's event loop reads at once, and since when."""
VERSION_ONLY = (0, 0)
"""A range that brings nothing but the version of its object."""


def workers_for(layout: Layout, most: int, nbytes: int) -> int:
    """How many workers a read of `nbytes` deserves, of at most `most`."""
    pipeline = layout.pipeline((0,) * layout.metadata.ndim) if layout.inner is None else layout.shard((0,) * layout.metadata.ndim).inner
    return 1 if pipeline.seconds * nbytes < HOP * pipeline.chunk.nbytes or not layout.metadata.dtype.fixed else most


async def read_blocking(reading: Reading, workers: int) -> None:
    """Run `workers` workers until the jobs are done. Returns, or raises, when none of them is running any more.

    What is small, in memory and quick to decode is read on the event loop: the way to a worker and back takes longer.
    """
    if (reader := await reader_at_once(reading.target.store)) is not None and _at_once(reading, reader):
        return
    if workers == 1:
        await offload_steps(_work(reading), stop=reading.stop)
        return
    async with together() as group:
        for _ in range(workers):
            group.create_task(offload_steps(_work(reading), stop=reading.stop))


async def reader_at_once(store: Any) -> Reader | None:
    """A reader for the event loop, if there is one. A task that asks without a pause for TURN seconds lets others have their turn."""
    reader = store.at_once() if hasattr(store, "at_once") else None
    if reader is not None:
        task, now = id(asyncio.current_task()), monotonic()
        if task != getattr(_turn, "task", None):
            _turn.task, _turn.began = task, now
        elif now - _turn.began > TURN:
            await asyncio.sleep(0)
            _turn.began = monotonic()
    return reader


def _is_quick(reading: Reading, chunks: int, job: Job) -> bool:
    """Whether the event loop may do `job`, with which it would have read so many chunks."""
    layout = reading.target.layout
    if job.shard is None:
        index, warm, pipeline = 0, True, layout.pipeline(job.pieces[0].coords)
    else:
        shard = layout.shard(job.shard)
        index, warm, pipeline = shard.index_size, shard.index_pipeline.warm, shard.inner
    return warm and pipeline.warm and chunks <= MOST_AT_ONCE and pipeline.seconds * chunks < INLINE and index <= SMALL_INDEX


def _at_once(reading: Reading, reader: Reader) -> bool:
    """Read on the event loop, for as long as that is quick. Whether that was all."""
    scratch, chunks = spare_scratch(), 0
    try:
        while (job := reading.next_job()) is not None:
            chunks += sum([piece.chunks for piece in job.pieces])
            try:
                if not _is_quick(reading, chunks, job):
                    raise WouldWait
                for _ in _job(reading, job, reader, scratch):
                    pass
            except WouldWait:
                reading.give_back(job)
                return False
            reading.finished(job)
        return True
    finally:
        keep_scratch(scratch)


def _work(reading: Reading) -> Generator[None]:
    """One worker; a step is one chunk, a row of them, or some of a shard. Without threads, the loop runs it, and others between steps."""
    scratch = spare_scratch()
    try:
        reader = reading.target.store.reader()
        while (job := reading.next_job()) is not None:
            yield from _job(reading, job, reader, scratch)
            if reading.stopped:
                return
            reading.finished(job)
    except BaseException:
        reading.stop()
        raise
    finally:
        keep_scratch(scratch)


def _job(reading: Reading, asked: Job, reader: Reader, scratch: Scratch) -> Generator[None]:
    job = reading.without_cached(asked)
    while job.shard is not None and job.pieces:
        try:
            _shard(reading, job, reader, scratch)
            yield
            return
        except ObjectChanged:
            if not reading.restarts(job, reading.key(job.shard)):
                raise
            job = asked
    if job.shard is None and _are_small(job, reading.target.layout):
        read_several(reading, job.pieces, reader, scratch)
        yield
        return
    for piece in job.pieces:
        if reading.stopped:
            return
        _chunk(reading, piece, reader, scratch)
        yield


def _are_small(job: Job, layout: Layout) -> bool:
    """Whether `job` is several chunks that are alike, and better decoded together."""
    several = sum([piece.chunks for piece in job.pieces[:2]]) > 1
    return several and layout.only is not None and layout.read_nbytes <= SMALL and layout.metadata.dtype.fixed


def read_several(reading: Reading, pieces: list[Piece], reader: Reader, scratch: Scratch) -> None:
    """Read by one call and decode by one call, where that can be done, and place: a few hand-overs of the GIL for all."""
    pipeline, keys = reading.pipeline(pieces[0].coords), [reading.key(coords) for piece in pieces for coords in piece.each()]
    count, nbytes = len(keys), pipeline.chunk.nbytes
    memory = scratch.part(count * (nbytes + ROOM))  # until all is decoded, readers get other scratch
    rows = memory.reshape(count, nbytes + ROOM)
    if (into_many := getattr(reader, "into_many", None)) is not None:
        sizes: list[int | None] = into_many(keys, rows)
    else:
        sizes = [None if reading.stopped else reader.into(key, row) for key, row in zip(keys, rows, strict=True)]
    decoded = rows[:, :nbytes] if pipeline.raw else scratch.take("decoded", count * nbytes).reshape(count, nbytes)
    if pipeline.raw or not pipeline.unpack_many(memory, range(0, memory.size, nbytes + ROOM), sizes, decoded, scratch):
        for number, size in enumerate(sizes):
            if size is None or (size == nbytes and pipeline.raw):
                continue
            if pipeline.raw:
                raise reading.wrong_size(pipeline, size, keys[number])
            if (data := rows[number, :size] if size <= rows.shape[1] else reader.whole(keys[number], Scratch())) is None:
                sizes[number] = None  # it was deleted meanwhile
            else:
                reading.unpack(data, pipeline, decoded[number], keys[number], scratch)
    reading.place_all(pieces, pipeline, decoded, [size is None for size in sizes], keys)


def _chunk(reading: Reading, piece: Piece, reader: Reader, scratch: Scratch) -> None:
    key, pipeline = reading.key(piece.coords), reading.pipeline(piece.coords)
    if pipeline.raw and (into := reading.direct(piece, pipeline)) is not None and not is_slow(into):
        if (size := reader.into(key, view(into))) is None:
            reading.missing([piece])
        elif size != pipeline.chunk.nbytes:
            raise reading.wrong_size(pipeline, size, key)
    elif (data := reader.whole(key, scratch)) is None:
        reading.missing([piece])
    else:
        reading.place(piece, data, pipeline, key, scratch)


def _shard(reading: Reading, job: Job, reader: Reader, scratch: Scratch) -> None:
    """Some inner chunks of one shard. A cached index that turns out to be of another version, or wrong, is read again, once."""
    assert job.shard is not None
    target = reading.target
    key, layout = reading.key(job.shard), target.layout.shard(job.shard)
    if (cached := target.indexes.get(key)) is not None:
        with contextlib.suppress(ShardIndexError):
            if _pieces(reading, job, layout, key, cached, reader, scratch):
                return
    value = reader.part(key, layout.index_range, scratch)
    reading.pin(key, value)
    if value is None:
        target.indexes.drop(key)
        reading.missing(job.pieces)
    else:
        _pieces(reading, job, layout, key, reading.index_of(layout, key, value, scratch), reader, scratch)


def _pieces(reading: Reading, job: Job, layout: ShardLayout, key: str, held: Held, reader: Reader, scratch: Scratch) -> bool:
    """Read and place what `job` needs; False, with nothing placed, if the shard is not the version that the index is of."""
    entries, small, inner = reading.entries(layout, held, job.pieces, key), _are_small(job, reading.target.layout), layout.inner
    decoded = scratch.take("decoded", len(entries) * inner.chunk.nbytes if small else 0).reshape(len(entries), -1)
    present = {number: entry for number, entry in enumerate(entries) if entry is not None}
    for start, stop in merged(list(present.values()), gap=GAP, span=SPAN) or [VERSION_ONLY]:
        if reading.stopped:
            return True
        value = reader.part(key, (start, stop), scratch)
        if reading.pin(key, value) != held.version or value is None:
            return False
        if len(value.data) != stop - start:
            raise ShardIndexError(f"bytes {start:,} to {stop:,} lie outside the shard", store=reading.where, key=key)
        raw = view(value.data)
        here = {number: (begin - start, end - start) for number, (begin, end) in present.items() if start <= begin and end <= stop}
        begins, sizes = [begin for begin, _ in here.values()], [end - begin for begin, end in here.values()]
        rows = decoded[min(here, default=0) : max(here, default=-1) + 1]
        if small and len(rows) == len(here) and inner.unpack_many(raw, begins, sizes, rows, scratch):
            continue
        for number, (begin, end) in here.items():
            if small:
                reading.unpack(raw[begin:end], inner, decoded[number], key, scratch)
            else:
                reading.place(job.pieces[number], raw[begin:end], inner, key, scratch)
    if small:
        reading.place_all(job.pieces, inner, decoded, [entry is None for entry in entries], [key] * len(entries))
    else:
        reading.missing([piece for entry, piece in zip(entries, job.pieces, strict=True) if entry is None])
    if job.complete:
        del reading.pinned[key]  # nobody asks again
    return True
