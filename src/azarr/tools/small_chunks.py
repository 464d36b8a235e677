"""Small chunks, written several at a time: taken from the values, encoded and stored in a row, as each by itself costs more than its bytes.

Whole chunks alone, of data types of fixed size, in stores that block. What a writer cannot put several of at a time, it puts one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from azarr._engine.chunk_cache import forget
from azarr._engine.decoding import Target
from azarr._engine.objects import One
from azarr._engine.writing import ENCODING, Writing
from azarr.codecs import Pipeline
from azarr.codecs.sharding import same_bits
from azarr.errors import StoreError
from azarr.plan import Job, Piece
from azarr.scratch import Buffer, Bytes, Scratch
from azarr.stores.base import BlockingWritable

MOST, NBYTES, SECONDS, SHARE = 64, 1 << 21, 5e-3, 8
"""Chunks at a time, their bytes, what encoding them takes, about; and how often at least, so that all workers have something to do."""


def at_a_time(target: Target, size: int) -> int:
    """How many chunks are written at a time, of `size` that there are."""
    layout = target.layout
    if layout.inner is not None or layout.only is None or not layout.only.chunk.nbytes or not isinstance(target.store, BlockingWritable):
        return 1
    taken = int(SECONDS / (layout.only.seconds * ENCODING))
    return max(1, min(MOST, NBYTES // layout.only.chunk.nbytes, taken, size // SHARE))


def write(work: Writing, job: Job, one: One[Job], writer: Any, scratch: Scratch) -> None:
    """Store the chunks of one job; those that are not whole one by one, as `one` does."""
    target, whole = work.target, [piece for piece in job.pieces if piece.whole]
    for piece in [lone for several in job.pieces if not several.whole for lone in _alone(several)]:
        work.begun(key := target.key(piece.coords))
        one(key, Job([piece]))
    if not whole:
        return
    keys, first = [target.key(coords) for piece in whole for coords in piece.each()], 0
    pipeline = target.layout.pipeline(whole[0].coords)
    chunk = pipeline.chunk
    rows = scratch.take("several", len(keys) * chunk.nbytes).reshape(len(keys), chunk.nbytes)
    chunks = rows.view(chunk.dtype).reshape(len(keys), *chunk.shape)
    for piece in whole:
        part, run = work.source[(*piece.outer, ...)], chunks[first : first + piece.chunks]
        first += piece.chunks
        if piece.chunks > 1:
            part = np.moveaxis(part.reshape(*part.shape[:-1], piece.chunks, chunk.shape[-1]), -2, 0)
        run.reshape(part.shape if piece.chunks > 1 else (1, *part.shape))[...] = part
    for key in keys:
        work.begun(key)

    def done(key: str) -> None:
        forget(target.store, key)
        work.done(key, job)

    try:
        data = list(_encoded(rows, chunks, pipeline, work.empty))
    except StoreError as error:
        raise error.within(repr(target.store), keys[0]) from error.__cause__
    put_many(writer, keys, data, done)


def put_many(writer: Any, keys: list[str], data: list[Buffer | None], done: Any) -> None:
    """Put all of them, or delete those that are None, and tell of each when it is done."""
    if (several := getattr(writer, "put_many", None)) is not None:
        several(keys, data, done)
        return
    for key, each in zip(keys, data, strict=True):
        writer.put(key, each)
        done(key)


def _alone(piece: Piece) -> list[Piece]:
    """The same chunk by chunk."""
    if piece.chunks == 1:
        return [piece]
    *outer, last = piece.outer
    size = (last.stop - last.start) // piece.chunks
    places = [slice(start, start + size) for start in range(last.start, last.stop, size)]
    return [piece._replace(coords=coords, outer=(*outer, place), chunks=1) for coords, place in zip(piece.each(), places, strict=True)]


def _encoded(rows: Bytes, chunks: npt.NDArray[Any], pipeline: Pipeline, empty: bool) -> Iterator[Buffer | None]:
    """What is to be stored of each chunk; None for nothing but the fill value, unless `empty`."""
    fill = np.frombuffer(np.asarray(pipeline.chunk.fill, pipeline.chunk.dtype).tobytes(), np.uint8)
    perhaps = np.zeros(len(rows), bool) if empty else (rows[:, : fill.size] == fill).all(axis=1)
    for row, array, begins_so in zip(rows, chunks, perhaps.tolist(), strict=True):
        if begins_so and same_bits(array, pipeline.chunk):
            yield None
        else:
            yield row if pipeline.raw else pipeline.encode(array)
