"""One read: what all its workers share, and the last two steps of each chunk's life, decode and place. Runs nothing by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from azarr.codecs import Pipeline
from azarr.codecs.sharding import Index
from azarr.errors import ChunkDecodeError, ObjectChanged, StoreError
from azarr.layout import Layout
from azarr.plan import Job, Piece, place, take
from azarr.scratch import Buffer, Scratch, view

__all__ = ["IndexCache", "Reading", "Target"]

CACHED_INDEXES = 128 << 20
"""Bytes of shard indices that one array handle keeps; the oldest go first."""


class IndexCache:
    """Shard indices by key, with the version of the shard they are of. Lives as long as its array handle."""

    __slots__ = ("_held", "_lock", "nbytes")

    def __init__(self) -> None:
        self._held: dict[str, tuple[str | None, Index]] = {}
        self._lock = threading.Lock()
        self.nbytes = 0

    def get(self, key: str) -> tuple[str | None, Index] | None:
        return self._held.get(key)

    def put(self, key: str, version: str | None, index: Index) -> None:
        with self._lock:
            self._drop(key)
            self._held[key] = (version, index)
            self.nbytes += index.nbytes
            while self.nbytes > CACHED_INDEXES and len(self._held) > 1:
                self._drop(next(iter(self._held)))

    def drop(self, key: str) -> None:
        with self._lock:
            self._drop(key)

    def _drop(self, key: str) -> None:
        if held := self._held.pop(key, None):
            self.nbytes -= held[1].nbytes


@dataclass(frozen=True, slots=True)
class Target:
    """Where chunks come from: an array's layout, the store it is in, and the prefix of its keys."""

    layout: Layout
    store: Any
    prefix: str
    indexes: IndexCache = field(default_factory=IndexCache)

    def key(self, coords: tuple[int, ...]) -> str:
        return self.prefix + self.layout.metadata.key_encoding.key(coords)


class Reading:
    """The state of one read. `out` has one axis per axis of the region that is not an int, and is filled forward."""

    __slots__ = ("_jobs", "_lock", "field", "fill", "out", "pinned", "points", "stopped", "target", "where")

    def __init__(self, target: Target, jobs: Iterator[Job], out: npt.NDArray[Any], points: tuple[int, ...], fields: Any) -> None:
        self.target, self._jobs, self.out, self.points, self.field = target, jobs, out, points, fields
        fill = target.layout.metadata.fill
        self.fill = fill if fields is None else fill[fields]
        self._lock = threading.Lock()
        self.stopped = False
        self.pinned: dict[str, str | None] = {}
        self.where = repr(target.store)

    def next_job(self) -> Job | None:
        """The next job, for whichever worker asks first; None when there is none left, or the read was stopped."""
        with self._lock:
            return None if self.stopped else next(self._jobs, None)

    def pin(self, key: str, version: str | None) -> None:
        """All parts of an object that one read takes come from one version of it."""
        if self.pinned.setdefault(key, version) != version:
            raise ObjectChanged("the object was replaced while it was being read; read again", store=self.where, key=key)

    def missing(self, piece: Piece) -> None:
        """Place the fill value where `piece` would go."""
        place(self.out, piece.outer, self.fill)

    def direct(self, piece: Piece, pipeline: Pipeline) -> npt.NDArray[Any] | None:
        """The very memory of the result that `piece` fills, where its chunk fits there as it is."""
        if not piece.whole or self.field is not None or not self.target.layout.plain:
            return None
        found = self.out[(*piece.outer, ...)]
        if found.flags.c_contiguous and found.dtype == pipeline.chunk.dtype:
            return found.reshape(pipeline.chunk.shape)
        return None

    def place(self, piece: Piece, data: Buffer, pipeline: Pipeline, key: str, scratch: Scratch) -> None:
        """Decode `data` and put what `piece` needs of it in its place. Errors name the store and the key."""
        try:
            into = self.direct(piece, pipeline)
            chunk = pipeline.decode(data, scratch, into)
            if chunk is into:
                return
            chunk = self.target.layout.outside(chunk)
            if self.field is not None:
                chunk = chunk[self.field]
            place(self.out, piece.outer, take(chunk, piece, self.points))
        except StoreError as error:
            raise error.within(self.where, key) from error.__cause__

    def place_raw(self, piece: Piece, into: npt.NDArray[Any], size: int | None, key: str) -> None:
        """Check that a chunk which was read right into the result had exactly its size."""
        if size is None:
            self.missing(piece)
        elif size != into.nbytes:
            more = f"{size:,}" if size < into.nbytes else f"more than {into.nbytes:,}"
            raise ChunkDecodeError(f"{more} bytes where {into.nbytes:,} are expected", store=self.where, key=key)


def bytes_view(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return view(array)
