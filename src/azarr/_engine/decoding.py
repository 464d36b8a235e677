"""One read: what its workers share, and the last two steps of each chunk's life, decode and place. Runs nothing by itself."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from azarr._engine.chunk_cache import forget
from azarr._engine.progress import Progress
from azarr._engine.turns import place_of
from azarr.codecs import Pipeline
from azarr.codecs.sharding import Index, ShardLayout
from azarr.errors import (
    AzarrError,
    ChecksumError,
    ChunkDecodeError,
    CorruptData,
    LimitExceeded,
    ObjectChanged,
    ShardIndexError,
    StoreError,
    TimedOut,
    TransportError,
)
from azarr.layout import Layout
from azarr.plan import Job, Piece, place, take
from azarr.scratch import Buffer, Bytes, Scratch
from azarr.selection import Region
from azarr.stores.base import Value

MISSING = "missing"
"""What stands for the version of an object that is not there."""
INLINE, SMALL_INDEX = 50e-6, 64 << 10
"""Seconds of decoding that the event loop may be kept busy with at a time, and bytes of an index that it decodes."""
RESTARTS = 64
"""Times that one read begins again with shards that were replaced while they were read."""
CACHED_INDEXES = 128 << 20
"""Bytes of shard indices that one array handle keeps; the oldest go first."""


Loading: TypeAlias = dict[Hashable, "list[asyncio.Future[Any]]"]
"""What is under way, with who else waits for it."""


class Held(NamedTuple):
    """The index of a shard, with the version of the shard it is of and the bytes that this has, where the store says so."""

    version: str | None
    entries: Index
    size: int | None


class IndexCache:
    """Shard indices by key. Lives as long as its array handle. What has no version is not kept: it could not be told from a later one."""

    __slots__ = ("_held", "_lock", "nbytes")

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._lock, self.nbytes = threading.Lock(), 0

    def get(self, key: str) -> Held | None:
        return self._held.get(key)

    def put(self, key: str, held: Held) -> None:
        with self._lock:
            self._drop(key)
            if held.version is None:
                return
            self._held[key] = held
            self.nbytes += held.entries.nbytes
            while self.nbytes > CACHED_INDEXES and len(self._held) > 1:
                self._drop(next(iter(self._held)))

    def drop(self, key: str) -> None:
        with self._lock:
            self._drop(key)

    def _drop(self, key: str) -> None:
        if held := self._held.pop(key, None):
            self.nbytes -= held.entries.nbytes


class Target(NamedTuple):
    """Where chunks come from: an array's layout, the store it is in, and the prefix of its keys."""

    layout: Layout
    store: Any
    prefix: str
    indexes: IndexCache

    def key(self, coords: tuple[int, ...]) -> str:
        return self.prefix + self.layout.key_format % coords


class Reading:
    """The state of one read. `out` has one axis per axis of the region that is not an int, and is filled forward."""

    def __init__(
        self, target: Target, jobs: Iterator[Job], out: npt.NDArray[Any], region: Region, fields: Any,
        cache: Any = None, progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self.target, self._jobs, self.out, self.points, self.fields = target, jobs, out, region.points, fields
        fill = target.layout.metadata.fill
        self.fill = fill if fields is None else fill[fields]
        self._lock, self.stopped, self.reused, self._restarts = threading.Lock(), False, False, 0
        self.key, self.pipeline = target.key, target.layout.pipeline
        self.pinned: dict[str, str | None] = {}
        self.cache, self.progress, self._since = cache, progress, 0 if cache is None else cache.writes
        # Without index arrays, fields and transposed shards, a piece is one slice of the chunk and one of the result.
        self._simple = fields is None and target.layout.plain and region.sliced

    @property
    def where(self) -> str:
        """The store, for errors."""
        return repr(self.target.store)

    def stop(self) -> None:
        """No further job is begun, and those under way end soon."""
        self.stopped = True

    def next_job(self) -> Job | None:
        """The next job, for whichever worker asks first; None when there is none left, or the read was stopped."""
        with self._lock:
            return None if self.stopped else next(self._jobs, None)

    def give_back(self, *jobs: Job) -> None:
        """`jobs` were not done, and are the next again."""
        self._jobs = itertools.chain(jobs, self._jobs)

    def finished(self, job: Job) -> None:
        """All of `job` is placed."""
        if self.progress is not None:
            self.progress.add(sum([piece.chunks for piece in job.pieces]))

    def without_cached(self, job: Job) -> Job:
        """What is left of `job` when its chunks that are in the cache have been placed."""
        if self.cache is None:
            return job
        shard = None if job.shard is None else self.key(job.shard)  # coordinates of inner chunks count from there
        found = [self.cache.get((self.target.indexes, shard or self.key(piece.coords), piece.coords)) for piece in job.pieces]
        if not (kept := [each for each in found if each is not None]):
            return job
        if shard is not None:
            version = kept[0][2]
            if any(each[2] != version for each in kept) or self.pinned.setdefault(shard, version) != version:
                forget(self.target.store, shard)
                return job
            self.reused = True
        left = list[Piece]()
        for piece, each in zip(job.pieces, found, strict=True):
            if each is None:
                left.append(piece)
            else:
                self._put(piece, each[1])
        return job._replace(pieces=left, complete=False)

    def _keep(self, piece: Piece, key: str, chunk: npt.NDArray[Any]) -> None:
        if self.cache is not None and self.target.layout.metadata.dtype.fixed:  # of others, the bytes are not known
            chunk = chunk.copy()  # it lies in memory that is used again
            chunk.flags.writeable = False
            what = (self.target.indexes, key, piece.coords)  # not the target itself, whose store may keep the context alive
            self.cache.put(what, (place_of(self.target.store, key), chunk, self.pinned.get(key)), self._since)

    def pin(self, key: str, value: Value | Held | None) -> str | None:
        """The version of `value`. All parts of an object that one read takes are of one version of it, or all say that it is not there."""
        version = MISSING if value is None else value.version
        if self.pinned.setdefault(key, version) != version:
            raise ObjectChanged("the object was replaced while it was being read; read again", store=self.where, key=key)
        return version

    def restarts(self, job: Job, key: str) -> bool:
        """Whether a shard that was replaced while it was read is read from the beginning: not if other jobs have placed parts of it."""
        forget(self.target.store, key)
        if not job.only or self._restarts >= RESTARTS:
            return False
        self._restarts += 1
        self.pinned.pop(key, None)
        self.target.indexes.drop(key)
        self._forget(key)  # it is of several versions
        return True

    def _forget(self, key: str) -> None:
        """What a cache holds of an object is not to be given again."""
        if (forget := getattr(self.target.store, "forget", None)) is not None:
            forget(key)

    def missing(self, pieces: list[Piece]) -> None:
        """Place the fill value where `pieces` would go."""
        for piece in pieces:
            place(self.out, piece.outer, self.fill)

    def direct(self, piece: Piece, pipeline: Pipeline) -> npt.NDArray[Any] | None:
        """The very memory of the result that `piece` fills, where its chunk fits there as it is."""
        if not piece.whole or not self._simple or self.cache is not None:
            return None
        found = self.out[(*piece.outer, ...)]
        return found.reshape(pipeline.chunk.shape) if found.flags.c_contiguous and found.dtype == pipeline.chunk.dtype else None

    def place(self, piece: Piece, data: Buffer, pipeline: Pipeline, key: str, scratch: Scratch) -> None:
        """Decode `data` and put what `piece` needs of it in its place. Errors name the store and the key."""
        try:
            into = self.direct(piece, pipeline) if piece.whole else None
            chunk = pipeline.decode(data, scratch, into)
            pipeline.warm = True
            if chunk is into:
                return
            self._put(piece, chunk)
            self._keep(piece, key, chunk)
        except (CorruptData, LimitExceeded) as error:
            raise self.damaged(error, key, pipeline, len(data)) from error.__cause__

    def _put(self, piece: Piece, chunk: npt.NDArray[Any]) -> None:
        if self._simple:
            self.out[(*piece.outer, ...)] = chunk[(*piece.inner, ...)]
            return
        chunk = self.target.layout.outside(chunk)
        place(self.out, piece.outer, take(chunk if self.fields is None else chunk[self.fields], piece, self.points))

    def place_all(self, pieces: list[Piece], pipeline: Pipeline, decoded: Bytes, absent: list[bool], keys: list[str]) -> None:
        """Put the decoded chunks of `pieces`, of which some may be `absent`, in their places. Each has its row, and its key."""
        pipeline.warm = True
        chunks, last = decoded.view(pipeline.chunk.dtype).reshape(len(keys), *pipeline.chunk.shape), 0
        for piece in pieces if not self.stopped else ():
            first, last = last, last + piece.chunks
            if piece.chunks > 1:
                chunks[first:last][absent[first:last]] = self.fill
                part = np.moveaxis(chunks[(slice(first, last), *piece.inner)], 0, -2)
                self.out[(*piece.outer, ...)].reshape(part.shape)[...] = part
            elif absent[first]:
                self.missing([piece])
            else:
                self._put(piece, chunks[first])
                self._keep(piece, keys[first], chunks[first])

    def unpack(self, data: Buffer, pipeline: Pipeline, into: Bytes, key: str, scratch: Scratch) -> None:
        """Decode a whole chunk into `into`. Errors name the store and the key."""
        try:
            pipeline.unpack(data, into, scratch)
        except (CorruptData, LimitExceeded) as error:
            raise self.damaged(error, key, pipeline, len(data)) from error.__cause__

    def damaged(self, error: CorruptData | LimitExceeded, key: str, pipeline: Pipeline, size: int) -> AzarrError:
        """`error` of decoding a chunk of `size` bytes, naming the store, the key, the codecs and what they should have given."""
        self._forget(key)
        chunk, codecs = pipeline.chunk, ", ".join(spec.name.removeprefix("v2:") for spec in pipeline.specs)
        expected = f"{chunk.nbytes:,} bytes" if chunk.kind == "fixed" else f"{chunk.size:,} items"
        facts = f" ({size:,} bytes stored by {codecs}; {expected} expected of them)"
        if isinstance(error, LimitExceeded):
            return LimitExceeded(f"{key!r} of {self.where}: {error}{facts}")
        return type(error)(error.reason + facts, store=self.where, key=key)

    def wrong_size(self, pipeline: Pipeline, size: int, key: str) -> AzarrError:
        """What is wrong with a chunk without codecs that has `size` bytes."""
        return self.damaged(ChunkDecodeError("too many bytes" if size > pipeline.chunk.nbytes else "too few bytes"), key, pipeline, size)

    def index_of(self, layout: ShardLayout, key: str, value: Value, scratch: Scratch) -> Held:
        """The shard index in `value`, checked and cached."""
        try:
            if len(value.data) != layout.index_size:
                raise ShardIndexError(f"the index has {len(value.data):,} bytes where {layout.index_size:,} are expected")
            held = Held(value.version, layout.read_index(value.data, scratch), value.size)
            layout.index_pipeline.warm = True
        except ChecksumError as error:
            self._forget(key)
            raise ChecksumError(f"the index of the shard: {error.reason}", store=self.where, key=key) from error.__cause__
        except StoreError as error:
            raise error.within(self.where, key) from error.__cause__
        self.target.indexes.put(key, held)
        return held

    def entries(self, layout: ShardLayout, held: Held, pieces: list[Piece], key: str) -> list[tuple[int, int] | None]:
        """Where all the inner chunks of `pieces` lie in their shard; None for those that are absent."""
        try:
            inside = [self.target.layout.inside(coords) for piece in pieces for coords in piece.each()]
            return layout.entries(held.entries, inside, held.size)
        except StoreError as error:
            raise error.within(self.where, key) from None


def named(error: OSError, store: object, key: str) -> StoreError:
    """`error` of a store as one of azarr's, naming the store and the key; to be raised from its cause."""
    if isinstance(error, StoreError):
        return error.within(repr(store), key)
    transient, kind = isinstance(error, (ConnectionError, TimeoutError)), TimedOut if isinstance(error, TimeoutError) else TransportError
    return kind(f"{type(error).__name__}: {error}", transient=transient, store=repr(store), key=key)
