"""Writing. Each chunk or shard is replaced as a whole or not at all; what is covered in part is read, changed and put back.

In one process, writes that touch the same chunks take turns. Against other processes, an object is put back only if it is still of the
version that was read; where the store cannot say so, they are not seen.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from azarr._engine.chunk_cache import forget
from azarr._engine.decoding import Target
from azarr._engine.documents import ATTEMPTS, conflict
from azarr._engine.objects import WHOLE, Get, One, Put, Steps, Work, perform, version_of
from azarr._engine.progress import Progress, Tell
from azarr._engine.requests import Requests
from azarr._engine.turns import Box, place_of, turn
from azarr._platform import offload, together
from azarr.codecs import Pipeline
from azarr.codecs.sharding import NOTHING, ShardLayout, filled, same_bits
from azarr.context import Context
from azarr.errors import CorruptData, PartialWrite, StoreError
from azarr.grid import Grid
from azarr.plan import Job, Piece, covers, give, jobs
from azarr.scratch import Buffer, Scratch, keep_scratch, spare_scratch, view
from azarr.selection import Region
from azarr.stores.base import ANY, BlockingWritable, Value, WritableStore

CREATING = 150e-6
"""Seconds. Where encoding an object takes less, two workers get into each other's way, and are slower than one."""
MANY = 16
"""Chunks of which several may be written at a time."""
ENCODING = 5
"""Times that encoding takes longer than decoding, about."""
BEGUN, SENT, DONE = "begun", "sent", "done"
OUTCOMES = {"done": DONE, "failed": BEGUN, "unknown": SENT}


async def write(
    target: Target, region: Region, values: npt.NDArray[Any], context: Context, *, fields: Any = None, empty: bool = False,
    progress: Tell = None, ends: bool = False,
) -> None:  # fmt: skip
    """Store `values`, which have the region's shape, as the elements of `region`; with `empty`, chunks of nothing but the fill value too.

    `ends`: chunks that the region covers up to the array's end are replaced unread, with what may have been appended behind it.

    Errors: `WriteConflict`, `StoreError`; `PartialWrite` where chunks were stored before one failed. When it raises, nothing of it is
    in flight.
    """
    if not region.size:
        return
    store, box = target.store, box_of(region, target.layout.metadata.grid)
    size = math.prod(last + 1 - first for first, last in box)
    writing = Writing(target, region, values, fields, empty, ends, size, progress)
    try:
        async with turn(place_of(store, target.prefix), box):
            helper = writing.help if writing.helps else None
            await perform(writing, store, context, store, workers=_workers_for(target, writing.several), helper=helper)
    except StoreError as error:
        if len(writing.states) == 1:
            raise
        raise PartialWrite(f"{error}; {writing.report()}", **writing.outcome()) from error
    except BaseException as error:
        error.add_note(writing.report())
        raise


def _workers_for(target: Target, several: int) -> int | None:
    pipeline = target.layout.pipeline((0,) * target.layout.metadata.ndim)
    return 1 if several == 1 and pipeline.seconds * ENCODING < CREATING and pipeline.chunk.kind == "fixed" else None


async def delete_objects(store: WritableStore, keys: Iterator[str], context: Context) -> None:
    """Delete what is under `keys`, which are taken as it goes; an object that is not there is deleted already."""
    if isinstance(store, BlockingWritable):
        stop = threading.Event()
        await offload(partial(_delete, store, keys, stop), stop=stop.set)
        return

    into = Requests(store, context)

    async def loop() -> None:
        for key in keys:
            await into.repeated(key, partial(store.delete, key))
            into.forget(key)
            forget(store, key)

    async with together() as group:
        for _ in range(context.requests):
            group.create_task(loop())


def _delete(store: BlockingWritable, keys: Iterator[str], stop: threading.Event) -> None:
    with store.writer() as writer:
        for key in keys:
            if stop.is_set():
                return
            writer.put(key, None)
            forget(store, key)


class Writing(Work[Job]):
    """One write: the jobs that are left, and how those that were begun stand."""

    def __init__(
        self, target: Target, region: Region, values: npt.NDArray[Any], fields: Any, empty: bool, ends: bool, size: int, progress: Tell
    ) -> None:
        layout = target.layout
        # Without index arrays and fields, what replaces a whole chunk is one slice of the values.
        self._simple = fields is None and region.sliced and layout.metadata.dtype.fixed
        self.several = import_module("azarr.tools.small_chunks").at_a_time(target, size) if self._simple and size >= MANY else 1
        row = min(self.several, layout.metadata.grid.axes[-1].count) if self.several > 1 else 1
        grid, pieces = layout.metadata.grid, max(1, self.several // row)
        work = jobs(region.forward(), grid, layout.inner, pieces_per_job=pieces, pieces_per_shard_job=1 << 30, row=row)
        if region.points and layout.inner is not None:
            work = _once(work)
        self.target, self.source, self.points, self.fields = target, region.target(values), region.points, fields
        self.empty, self._ends = empty, ends
        self._apart: bool = getattr(target.store, "copies_ranges", False)
        self.states: dict[str, str] = {}
        self.progress = Progress.of_chunks(progress, region, target, inner=False)
        self._shared: _Early | None = None
        self._told = threading.Event()
        super().__init__(((target.key(_coords(job)), job) for job in work), size)

    @property
    def helps(self) -> bool:
        """Whether there is one shard to write, with inner chunks that are worth encoding by two: `help` does what it can of them."""
        layout = self.target.layout
        if layout.inner is None or self.size != 1:
            return False
        return layout.shard((0,) * layout.metadata.ndim).inner.seconds * ENCODING >= CREATING / 2

    def help(self) -> None:
        """What another worker can do of the one shard, once the one that has it tells."""
        self._told.wait()
        if self._shared is not None:
            scratch = spare_scratch()
            self._shared.run(scratch, lambda: self.stopped)
            keep_scratch(scratch)

    def stop(self) -> None:
        super().stop()
        self._told.set()

    def begun(self, key: str) -> None:
        self.states[key] = BEGUN

    def sent(self, key: str) -> None:
        self.states[key] = SENT

    def done(self, key: str, job: Job) -> None:
        self.states[key] = DONE
        self.progress.add(1)

    def nbytes(self, job: Job) -> int:
        return 2 * self.target.layout.pipeline(_coords(job)).chunk.nbytes

    def outcome(self) -> dict[str, tuple[str, ...]]:
        """Keys by how they stand: `done`, `failed` (as they were before), and `unknown`. Those not begun are as before."""
        return {name: tuple(key for key, state in self.states.items() if state == which) for name, which in OUTCOMES.items()}

    def report(self) -> str:
        """The same in words."""
        counts = ", ".join(f"{len(keys)} {name}" for name, keys in self.outcome().items())
        return f"of the objects that were begun: {counts}"

    def perform(self, key: str, job: Job, one: One[Job], writer: Any, scratch: Scratch) -> None:
        if self.several == 1:
            return one(key, job)
        return import_module("azarr.tools.small_chunks").write(self, job, one, writer, scratch)

    def steps(self, key: str, job: Job, scratch: Scratch) -> Steps:
        """Write one object: from what is there, unless all of it is replaced."""
        store = self.target.store
        early = None if job.shard is None else self._early(job, job.shard)
        if self.size == 1:
            self._shared = early
            self._told.set()
        replaced = self._replaced(job)
        covered = replaced and (self._ends or not self._reaches_over(_coords(job)))
        stored = self.target.layout.shard(job.shard).index_range if self._apart and job.shard is not None else WHOLE
        for _ in range(ATTEMPTS):
            old: Value | None = None if covered else (yield Get(key, stored))
            keep = old is not None and not getattr(store, "deletes_versions", True)  # then one of nothing is put in its place
            try:
                try:
                    made = yield from self._made(key, job, old, early, scratch, keep)
                except CorruptData:
                    if not replaced:
                        raise
                    made = yield from self._made(key, job, None, early, scratch, keep)  # nothing of it is to be kept
            except StoreError as error:
                raise error.within(repr(store), key) from error.__cause__
            if made is not ... and (yield Put(key, made, ANY if covered else version_of(old))):
                self.target.indexes.drop(key)
                return
        raise conflict(store, key)

    def _replaced(self, job: Job) -> bool:
        """Whether all that the chunk or shard has in the array is replaced."""
        if self.fields is not None or not (job.shard is None or job.complete):
            return False
        grid, first = self._grid(job.shard)
        return all(piece.whole for piece in job.pieces) or all(covers(piece, grid, first) for piece in job.pieces)

    def _reaches_over(self, coords: tuple[int, ...]) -> bool:
        """Whether a chunk or shard reaches over the end. What is stored there may be rows that were appended since the array was opened."""
        return any(sum(axis.span(index)) > axis.length for axis, index in zip(self.target.layout.metadata.grid.axes, coords, strict=True))

    def _grid(self, shard: tuple[int, ...] | None) -> tuple[Grid, tuple[int, ...]]:
        """The grid of the chunks that pieces are of, and the chunk of it that their coordinates count from."""
        outer, inner = self.target.layout.metadata.grid, self.target.layout.inner
        if shard is None or inner is None:
            return outer, (0,) * len(outer.axes)
        return inner, tuple([fine.locate(axis.span(index)[0]) for fine, axis, index in zip(inner.axes, outer.axes, shard, strict=True)])

    def _made(self, key: str, job: Job, old: Value | None, early: _Early | None, scratch: Scratch, keep: bool) -> Generator[Get, Any, Any]:
        """What is to be put: a chunk, or a shard as `_shard` makes it."""
        if early is None:
            return self._chunk(job.pieces[0], old, scratch, keep)
        return (yield from self._shard(key, job, old, early, scratch, keep))

    def _chunk(self, piece: Piece, old: Value | None, scratch: Scratch, keep: bool) -> Buffer | None:
        pipeline = self.target.layout.pipeline(piece.coords)
        if piece.whole and self._simple:  # the store has what comes of it before the next chunk is gathered in the scratch
            array = self._gathered(piece, pipeline, scratch)
        else:
            array = _content(pipeline, piece.whole and self.fields is None, None if old is None else old.data, scratch)
            self._give(array, piece)
        return None if not (self.empty or keep) and same_bits(array, pipeline.chunk) else pipeline.encode(array)

    def _gathered(self, piece: Piece, pipeline: Pipeline, scratch: Scratch) -> npt.NDArray[Any]:
        """What replaces a whole chunk: where it is, or gathered in the scratch."""
        part = self.source[(*piece.outer, ...)]
        if part.flags.c_contiguous and part.dtype == pipeline.chunk.dtype:
            return part.reshape(pipeline.chunk.shape)
        _, array = scratch.typed(pipeline, pipeline.chunk.shape, pipeline.chunk.dtype)
        array[...] = part.reshape(array.shape)
        return array

    def _shard(self, key: str, job: Job, old: Value | None, early: _Early, scratch: Scratch, keep: bool) -> Generator[Get, Any, Any]:
        """What is to be put; `...` if what is stored was replaced meanwhile. Inner chunks that are not touched keep their bytes.

        Where the store copies them, `old` is the index alone, and what is new may still be encoded while they are copied.
        """
        rows = self.target.layout.shard(_coords(job))
        raw = NOTHING if old is None else view(old.data)
        entries = [None] * math.prod(rows.counts) if old is None else rows.all_entries(raw, scratch, old.size if self._apart else None)
        touched, later = {self._row(rows, piece) for piece in job.pieces}, dict[int, Buffer | None]()
        for piece in early.later:
            entry = entries[row := self._row(rows, piece)]
            data: Buffer | None = None if entry is None else raw[slice(*entry)]
            if entry is not None and self._apart:
                part: Value | None = yield Get(key, entry)
                if part is None or old is None or part.version != old.version:
                    return ...
                data = part.data
            later[row] = self._inner(rows, piece, data, scratch)
        parts = rows.pack(entries, touched, lambda row: later[row] if row in later else early.all(scratch)[row], empty=keep)
        if self._apart and any(entry is not None and row not in touched for row, entry in enumerate(entries)):
            return parts
        return filled(parts, raw) or None

    def _row(self, rows: ShardLayout, piece: Piece) -> int:
        return sum(map(int.__mul__, self.target.layout.inside(piece.coords), rows.strides))

    def _inner(self, rows: ShardLayout, piece: Piece, data: Buffer | None, scratch: Scratch, *, replaced: bool = False) -> Buffer | None:
        """An inner chunk, encoded: all of it `replaced`, or else changed from `data`."""
        gathered = replaced and self._simple and self.target.layout.plain and bool(rows.inner.wrappers)
        if gathered:
            array = self._gathered(piece, rows.inner, scratch)
        else:
            array = _content(rows.inner, replaced, data, scratch)
            self._give(self.target.layout.outside(array), piece)
        if not self.empty and same_bits(array, rows.inner.chunk):
            return None
        encoded = rows.inner.encode(array)
        return view(encoded).tobytes() if gathered and not isinstance(encoded, bytes) else encoded  # the scratch is used again

    def _early(self, job: Job, shard: tuple[int, ...]) -> _Early:
        """What of a job can be done before what is stored is known."""
        rows, now, later = self.target.layout.shard(shard), list[Piece](), list[Piece]()
        for piece in job.pieces:
            (now if self.fields is None and piece.whole else later).append(piece)
        return _Early(now, later, lambda piece, scratch: (self._row(rows, piece), self._inner(rows, piece, None, scratch, replaced=True)))

    def _give(self, array: npt.NDArray[Any], piece: Piece) -> None:
        give(array if self.fields is None else array[self.fields], piece, self.points, self.source)


class _Early:
    """Inner chunks of one shard that can be encoded before what is stored is known, by all workers that have time; `later`: the others."""

    def __init__(self, now: list[Piece], later: list[Piece], encode: Callable[[Piece, Scratch], tuple[int, Buffer | None]]) -> None:
        self.later, self._left, self._encode = later, iter(now), encode
        self._changed, self._failed = dict[int, Buffer | None](), list[BaseException]()
        self._idle, self._running = threading.Condition(), 0

    def run(self, scratch: Scratch, stopped: Callable[[], bool] = lambda: False) -> None:
        """Encode, until none is left that nobody has begun."""
        while not stopped():
            with self._idle:
                if (piece := None if self._failed else next(self._left, None)) is None:
                    return
                self._running += 1
            try:
                row, data = self._encode(piece, scratch)
                self._changed[row] = data
            except BaseException as error:  # raised by who needs it
                self._failed.append(error)
            finally:
                with self._idle:
                    self._running -= 1
                    self._idle.notify_all()

    def all(self, scratch: Scratch) -> dict[int, Buffer | None]:
        """All of them, by row."""
        self.run(scratch)
        with self._idle:
            self._idle.wait_for(lambda: not self._running)
        if self._failed:
            raise self._failed[0]
        return self._changed


def _coords(job: Job) -> tuple[int, ...]:
    """The chunk or shard that is replaced."""
    return job.pieces[0].coords if job.shard is None else job.shard


def _once(work: Iterator[Job]) -> Iterator[Job]:
    """The same with each shard once: those of points come again and again."""
    shards: dict[tuple[int, ...] | None, list[Piece]] = {}
    for job in work:
        shards.setdefault(job.shard, []).extend(job.pieces)
    return (Job(pieces, shard) for shard, pieces in shards.items())


def box_of(region: Region, grid: Grid) -> Box:
    """The chunks that `region` may touch."""
    ends: list[tuple[int, int]] = []
    for selected, axis in zip(region.axes, grid.axes, strict=True):
        positions = (selected,) if isinstance(selected, int) else (selected[0], selected[-1])
        low, high = (selected.min(), selected.max()) if isinstance(selected, np.ndarray) else (min(positions), max(positions))
        ends.append((axis.locate(int(low)), axis.locate(int(high))))
    return tuple(ends)


def _content(pipeline: Pipeline, replaced: bool, data: Buffer | None, scratch: Scratch) -> npt.NDArray[Any]:
    """What a chunk holds before it is changed, in memory of its own: the fill value where nothing is stored; anything if `replaced`."""
    chunk = pipeline.chunk
    array = np.empty(chunk.shape, chunk.dtype)
    if not replaced:
        array[...] = chunk.fill if data is None else pipeline.decode(data, scratch)
    return array
