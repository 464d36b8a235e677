"""Reading a store whose reads block: each worker thread pulls jobs from one shared iterator, and reads, decodes and places.

No hop between threads or to the loop per chunk, no task per chunk, nothing allocated per chunk.
"""

from __future__ import annotations

import asyncio
from typing import Any

from azarr._engine.decoding import Reading
from azarr._platform import cores, spawn
from azarr.codecs.sharding import Index, ShardLayout, merged
from azarr.errors import ObjectChanged, ShardIndexError, StoreError
from azarr.layout import Layout
from azarr.plan import Job, Piece
from azarr.scratch import Scratch, view
from azarr.stores.base import Reader

__all__ = ["read_blocking", "workers_for"]

HANDOVER = 20e-6
"""Seconds. Where decoding a chunk takes less, a second worker costs more in hand-overs of the GIL than it does."""
GAP, SPAN = 16 << 10, 4 << 20
"""Bytes. Inner chunks of a shard at most GAP apart are read together, at most SPAN at a time."""
_spare: list[Scratch] = []
"""Scratch of workers that have ended, for the next ones."""


def workers_for(layout: Layout, jobs: int, most: int | None) -> int:
    """How many workers a read deserves."""
    if jobs < 2 or not layout.metadata.dtype.fixed:
        return 1
    shape = layout.read_shape or tuple(axis.span(0)[1] for axis in layout.metadata.grid.axes)
    pipeline = layout.pipeline_of(shape) if layout.inner is None else layout.shard((0,) * len(shape)).inner
    return 1 if pipeline.seconds < HANDOVER else max(1, min(jobs, most or cores()))


async def read_blocking(reading: Reading, workers: int) -> None:
    """Run `workers` workers until the jobs are done. Returns, or raises, when none of them is running any more."""
    futures = [spawn(lambda: _work(reading)) for _ in range(workers)]
    cancelled = False
    while pending := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError:
            cancelled = True
        if cancelled or any(future.done() and future.exception() for future in futures):
            reading.stopped = True
    errors = [error for future in futures if (error := future.exception())]
    if cancelled:
        raise asyncio.CancelledError
    if errors:
        raise errors[0]


def _work(reading: Reading) -> None:
    try:
        scratch = _spare.pop()
    except IndexError:
        scratch = Scratch()
    reader = reading.target.store.reader()
    try:
        while (job := reading.next_job()) is not None:
            if job.shard is None:
                for piece in job.pieces:
                    if reading.stopped:
                        return
                    _chunk(reading, piece, reader, scratch)
            else:
                _shard(reading, job, reader, scratch)
    except BaseException:
        reading.stopped = True
        raise
    finally:
        if scratch.nbytes <= SPAN * 4:
            _spare.append(scratch)


def _chunk(reading: Reading, piece: Piece, reader: Reader, scratch: Scratch) -> None:
    target = reading.target
    key, pipeline = target.key(piece.coords), target.layout.pipeline(piece.coords)
    if pipeline.raw and (into := reading.direct(piece, pipeline)) is not None:
        reading.place_raw(piece, into, reader.into(key, view(into)), key)
    elif (value := reader.whole(key, scratch)) is None:
        reading.missing(piece)
    else:
        reading.place(piece, value.data, pipeline, key, scratch)


def _shard(reading: Reading, job: Job, reader: Reader, scratch: Scratch) -> None:
    """Some inner chunks of one shard. A cached index that turns out to be of another version is read again, once."""
    assert job.shard is not None
    target = reading.target
    key, layout = target.key(job.shard), target.layout.shard(job.shard)
    cached = target.indexes.get(key)
    if cached is not None and _pieces(reading, job.pieces, layout, key, cached, reader, scratch):
        return
    value = reader.part(key, layout.index_range, scratch)
    if value is None:
        target.indexes.drop(key)
        for piece in job.pieces:
            reading.missing(piece)
        return
    index = index_of(reading, layout, key, value, scratch)
    if not _pieces(reading, job.pieces, layout, key, (value.version, index), reader, scratch):
        raise ObjectChanged("the shard was replaced while it was being read; read again", store=reading.where, key=key)


def index_of(reading: Reading, layout: ShardLayout, key: str, value: Any, scratch: Scratch) -> Index:
    """The index in `value`, checked and cached. Errors name the store and the key."""
    try:
        if len(value.data) != layout.index_size:
            raise ShardIndexError(f"the index has {len(value.data):,} bytes where {layout.index_size:,} are expected")
        index = layout.read_index(value.data, scratch)
    except StoreError as error:
        raise error.within(reading.where, key) from error.__cause__
    reading.target.indexes.put(key, value.version, index)
    return index


def _pieces(
    reading: Reading, pieces: list[Piece], layout: ShardLayout, key: str, held: tuple[str | None, Index], reader: Reader, scratch: Scratch
) -> bool:
    """Read and place `pieces`; False if the shard is not the version that the index is of, and nothing was placed."""
    version, index = held
    inside = reading.target.layout.inside
    try:
        entries = layout.entries(index, [inside(piece.coords) for piece in pieces], None)
    except ShardIndexError as error:
        raise error.within(reading.where, key) from None
    present = [(*entry, piece) for entry, piece in zip(entries, pieces, strict=True) if entry is not None]
    for start, stop in merged([(start, stop) for start, stop, _ in present], gap=GAP, span=SPAN):
        if reading.stopped:
            return True
        value = reader.part(key, (start, stop), scratch)
        if value is None or value.version != version:
            if key in reading.pinned:
                reading.pin(key, "another version")
            return False
        reading.pin(key, version)
        if len(value.data) != stop - start:
            raise ShardIndexError(f"bytes {start:,} to {stop:,} lie outside the shard, which has {value.size:,}", store=reading.where, key=key)
        raw = view(value.data)
        for begin, end, piece in present:
            if start <= begin and end <= stop:
                reading.place(piece, raw[begin - start : end - start], layout.inner, key, scratch)
    for entry, piece in zip(entries, pieces, strict=True):
        if entry is None:
            reading.missing(piece)
    return True


