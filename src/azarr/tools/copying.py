"""Copying arrays and trees: as they are, byte for byte, or in other chunks, shards, codecs, or in the other format; in bounded memory.

What is copied is seen once it is whole: the document of the node that was asked for is stored last. Until then a note beside it says of
what this is the copy, so that a copy that was ended, run again, does only what is missing.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from secrets import token_hex
from typing import Any, cast

import numpy as np

from azarr._engine import Get, Progress, Put, Steps, Target, Tell, Work, all_of, fetch_documents, perform, place_of, read, write
from azarr._open import creating, open  # noqa: A004  # the verb of the field
from azarr._platform import cores
from azarr.access import Access
from azarr.array import Array
from azarr.context import Context, bytes_of
from azarr.document import dump, parse
from azarr.errors import MetadataError, NodeExists, StoreError
from azarr.grid import Axis, Grid, RegularAxis, check_path
from azarr.group import Group, make_node
from azarr.layout import compile_layout
from azarr.metadata import ArrayMetadata, GroupMetadata
from azarr.ref import Ref
from azarr.scratch import Scratch
from azarr.selection import basic, whole
from azarr.stores import Cleaning, Listing, Value
from azarr.stores.base import BlockingWritable
from azarr.tools.changes import forgetting
from azarr.tools.conversion import Changed, alike, converted
from azarr.tools.nodes import NOTE, create, delete_all, documents_of, finish, join, missing_above, put_new
from azarr.tools.surveying import chunk_objects
from azarr.tools.verbs import consolidate

AT_ONCE = 2
"""Regions that are read or written at a time, at most."""
REGION = 16 << 20
"""Bytes that a region should have: enough for all workers, few enough that it is still in the cache when it is written."""
MANY = 32
"""Arrays that are copied at a time, where each is small."""
Coords = tuple[int, ...]
Cut = tuple[slice, ...]
"""A region of whole chunks or shards of the copy."""


async def copy(
    source: Any, store: Any, path: str = "", *, chunks: Changed = ..., shards: Changed = ..., filters: Changed = ...,
    serializer: Changed = ..., compressors: Changed = ..., chunk_key_encoding: Changed = ..., zarr_format: int | None = None,
    overwrite: bool = False, memory: int | str | None = None, progress: Tell = None,
    context: Context | None = None,
) -> Array | Group:  # fmt: skip
    """Copy an array, or a group and all below it, to `path` of `store`; the copy.

    `source` is a node, a reference, or what `open` takes. The options are those of `create_array`, for all arrays; `...` keeps what the
    source has. Where nothing changes but names, objects are copied as they are; else regions are read and written, aligned with the new
    chunks or shards, of at most `memory` bytes together (by default the context's; one new chunk or shard at least).
    The copy is seen once it is whole. One that was ended goes on where it was when the same is copied again; the source must not change
    meanwhile. `progress(done, total)` is told bytes of elements.
    Errors: `NodeExists` unless `overwrite`, which deletes what is there; `MetadataError`, `ReadOnly`, `StoreError`, `ValueError`.
    """
    options: dict[str, Any] = {"chunks": chunks, "shards": shards, "filters": filters, "serializer": serializer}
    options |= {"compressors": compressors, "chunk_key_encoding": chunk_key_encoding, "zarr_format": zarr_format}
    return await copy_by(Copying, source, store, path, options, overwrite=overwrite, memory=memory, progress=progress, context=context)


def _opened(source: Any, context: Context | None) -> Any:
    return cast("Any", source) if isinstance(source, Ref) else open(source, context=context)


async def copy_by(
    way: Callable[..., Copying], source: Any, store: Any, path: str, options: dict[str, Any], *, overwrite: bool,
    memory: int | str | None, progress: Tell, context: Context | None,
) -> Array | Group:  # fmt: skip
    """As `copy`, by what `way` makes of the arguments of `Copying`."""
    access, path = creating(store, options["zarr_format"], context), check_path(path)
    node = source if isinstance(source, Array | Group) else await _opened(source, context)
    below = [(join(path, name), each) async for name, each in node.walk(strict=True)] if isinstance(node, Group) else []
    if _overlap(place_of(node.store, node.path), place_of(access.store, path)):
        raise ValueError(f"{path or '/'} of {access.store!r} is, has, or is part of what is to be copied; copy to another place")
    made = {place: _made(each, options) for place, each in [(path, node), *below]}
    arrays = [(place, each) for place, each in [(path, node), *below] if isinstance(each, Array)]
    total = bytes_of(access.context.memory if memory is None else memory)
    copying = way(access._replace(context=replace(access.context, memory=total)), path, made, total)
    await copying.begin(node, overwrite)
    copying.told = Progress(progress, sum(each.nbytes for _, each in arrays))
    for several, count in ((True, MANY), (False, 1)):
        await copying.arrays(iter([item for item in arrays if (item[1].nbytes * MANY < total) == several]), count)
    if not copying.commits:
        for place, _ in reversed(below):
            await copying.publish(place)
        if not copying.published(path):
            await finish(access, path, made[path])
    if isinstance(node, Group) and node.metadata.consolidated is not None:
        await consolidate(access.store, path, context=access.context)
    if not copying.commits:
        await access.store.delete(join(path, NOTE))
    return make_node(made[path], access._replace(zarr_format=None), path)


class Copying:
    """One copy: of what is `made` at each place, what is `stored` already."""

    def __init__(self, access: Access, path: str, made: dict[str, ArrayMetadata | GroupMetadata], memory: int) -> None:
        self.access, self.path, self.made, self.memory = access, path, made, memory
        self.store: Any = access.store
        self.commits: bool = getattr(access.store, "commits", False)
        """Whether nobody sees what is written before it is committed, and nodes are there before their chunks."""
        self.note, self.stored = b"", frozenset[str]()
        self.told = Progress(None, 0)

    async def begin(self, source: Array | Group, overwrite: bool) -> None:
        """Leave the note, or find it: then what is stored is of this copy."""
        digest = hashlib.sha256()
        for place, metadata in self.made.items():
            digest.update(dump({"place": place, **documents_of(metadata)}))
        if isinstance(source.store, BlockingWritable):  # several may be shown alike
            digest.update(repr(place_of(source.store, source.path)).encode())
        note = {"copy_of": f"{source.path or '/'} of {source.store!r}", "documents": digest.hexdigest()}
        key, store = join(self.path, NOTE), self.store
        names = [join(self.path, name) for name in ("zarr.json", ".zarray", ".zgroup")]
        if self.commits:  # there are no notes: others see nothing of it before the commit
            await create(self.access, self.path, self.made[self.path], overwrite)
            for place in self.made:
                await self.publish(place)
            return
        data, *documents = await fetch_documents(store, [key, *names], self.access.context)
        if isinstance(store, Cleaning):
            await store.clean()
        held = [each async for each in store.list(self.path)] if isinstance(store, Listing) else []
        self.note = dump(note)
        if data is not None and parse(data, key) == note:
            self.stored = frozenset(held)
            return
        await missing_above(self.access, self.path, self.made[self.path].zarr_format)
        if held or any(each is not None for each in (data, *documents)):
            if not overwrite or not isinstance(store, Listing):
                what = "an unfinished copy of something else" if data is not None else "something"
                raise NodeExists(f"{what} stands at {self.path or '/'} of {self.store!r}; overwrite=True replaces it")
            await self._refuse_itself(source, key, data)
            async with forgetting(self.access, self.path):
                await delete_all(self.store, self.path, self.access.context)
        if not await put_new(self.access, key, self.note):
            raise NodeExists(f"another copy to {self.path or '/'} of {self.store!r} was begun at the same time")

    async def _refuse_itself(self, source: Array | Group, key: str, held: bytes | None) -> None:
        """Whether what is to be deleted is what is to be copied, by another name: then a mark that is left here is seen there."""
        parts, mark = source.path.split("/"), dump({"mark": token_hex()})
        places = {"/".join(parts[:count]) for count in range(len(parts) + 1)}
        places |= {self.path} if _overlap(source.path, self.path) else set()
        await self.store.set(key, mark)
        try:
            with suppress(StoreError):  # not all stores that are read say what is not there
                if mark in await fetch_documents(source.store, [join(place, NOTE) for place in places], self.access.context):
                    raise ValueError(f"{self.path or '/'} of {self.store!r} has, or is part of, what is to be copied: copy elsewhere")
        finally:
            await (self.store.delete(key) if held is None else self.store.set(key, held))

    def published(self, place: str) -> bool:
        """Whether a node's documents are stored."""
        return all(join(place, name) in self.stored for name in documents_of(self.made[place]))

    async def publish(self, place: str) -> None:
        """Store them."""
        for name, document in documents_of(self.made[place]).items():
            if join(place, name) not in self.stored:
                await self.store.set(join(place, name), dump(document, name))

    async def arrays(self, arrays: Iterator[tuple[str, Array]], count: int) -> None:
        """Copy the chunks of arrays, `count` arrays at a time, and then publish each."""

        async def loop() -> None:
            for place, array in arrays:
                if self.published(place):
                    self.told.add(array.nbytes)
                    continue
                await self.array(array, place)
                if place != self.path:
                    await self.publish(place)

        await all_of([loop() for _ in range(count)])

    async def array(self, source: Array, place: str) -> None:
        """Copy the chunks of one array: as they are where they are the same, else region by region."""
        metadata = self.made[place]
        assert isinstance(metadata, ArrayMetadata)
        target = Array(metadata, self.access, place)
        if not alike(source.metadata, metadata):
            await self.regions(source, target)
            return
        chunks = [coords for coords in await chunk_objects(source.target) if target.target.key(coords) not in self.stored]
        await self.objects(source, target, chunks)
        self.told.add(source.nbytes - len(chunks) * nominal(source))

    async def objects(self, source: Array, target: Array, chunks: list[Coords]) -> None:
        """Copy chunks or shards as they are."""
        await copy_objects(source, target, chunks, self.access.context, self.told)

    async def regions(self, source: Array, target: Array) -> None:
        """Read and write an array, region by region."""
        working = working_nbytes(source, target, self.access.context.workers or cores())
        at_once = AT_ONCE if self.memory // AT_ONCE > 2 * working else 1
        work = self.missing(source, target, self.memory // at_once - working)
        await all_of([copy_regions(source, target, work, self.access.context, self.told) for _ in range(at_once)])

    def missing(self, source: Array, target: Array, nbytes: int) -> Iterator[Cut]:
        """The regions that are not stored yet, of at most so many bytes where one chunk or shard of the copy has no more."""
        layout, itemsize, grid = source.layout, max(1, source.dtype.itemsize), target.metadata.grid
        most = max(1, nbytes // itemsize)
        sizes = region_shape(grid, layout.inner or layout.metadata.grid, most, max(1, min(most, REGION // itemsize)))
        for cut in itertools.product(*[_cuts(axis, size) for axis, size in zip(grid.axes, sizes, strict=True)]):
            if self.stored and self.has(target.target, cut):
                self.told.add(cut_nbytes(source, cut))
            else:
                yield cut

    def has(self, target: Target, cut: Cut) -> bool:
        """Whether all chunks or shards of a region are stored."""
        axes = zip(target.layout.metadata.grid.axes, cut, strict=True)
        ranges = [range(axis.locate(part.start), axis.locate(part.stop - 1) + 1) for axis, part in axes]
        return all(target.key(coords) in self.stored for coords in itertools.product(*ranges))


async def copy_regions(source: Array, target: Array, cuts: Iterable[Cut], context: Context, told: Progress) -> None:
    """Read and write regions, one after the other."""
    memory = np.empty(0, source.dtype)
    for cut in cuts:
        region = basic(whole(source.shape), cut)
        if memory.size < region.size:
            memory = np.empty(region.size, source.dtype)
        values = memory[: region.size].reshape(region.shape)
        await read(source.target, region, context, out=values)
        await write(target.target, region, values, context)
        told.add(cut_nbytes(source, cut))


async def copy_objects(source: Array, target: Array, chunks: list[Coords], context: Context, told: Progress) -> None:
    """Copy chunks or shards, byte for byte."""
    await perform(_Raw(source.target, target.target, chunks, told, nominal(source)), source.store, context, target.store)


def working_nbytes(source: Array, target: Array, workers: int) -> int:
    """Bytes that so many threads need beside the regions: each holds a chunk before and after its codecs."""
    return 2 * workers * max(target.layout.chunk_nbytes(target.metadata.grid), source.layout.read_nbytes)


def cut_nbytes(source: Array, cut: Cut) -> int:
    """Bytes of the elements of a region."""
    return source.dtype.itemsize * math.prod(part.stop - part.start for part in cut)


def nominal(source: Array) -> int:
    """What a chunk or shard counts for where bytes of elements are told."""
    return source.nbytes // max(1, source.metadata.grid.nchunks)


class _Raw(Work[Coords]):
    """Copies objects as they are."""

    def __init__(self, source: Target, target: Target, chunks: list[Coords], told: Progress, each: int) -> None:
        super().__init__(((source.key(coords), coords) for coords in chunks), len(chunks))
        self.target, self.told, self.each = target, told, each

    def nbytes(self, job: Coords) -> int:
        return self.target.layout.pipeline(job).chunk.nbytes

    def done(self, key: str, job: Coords) -> None:
        self.told.add(self.each)

    def steps(self, key: str, job: Coords, scratch: Scratch) -> Steps:
        value: Value | None = yield Get(key)
        if value is not None:
            yield Put(self.target.key(job), value.data)


def region_shape(new: Grid, old: Grid, most: int, enough: int) -> list[int]:
    """The shape of the regions to copy: of whole chunks of `new`, at most `most` elements where one chunk has no more.

    It grows along the axis where that saves most of the decoding of chunks of `old` again and again, then up to `enough` elements.
    """
    steps, periods = [_largest(axis) for axis in new.axes], [_largest(axis) for axis in old.axes]
    lengths = [max(1, axis.length) for axis in new.axes]
    sizes = [min(step, length) for step, length in zip(steps, lengths, strict=True)]

    def cost(axis: int, size: int) -> float:
        """Chunks that are decoded for each element along an axis, if regions of `size` follow each other."""
        period = periods[axis]
        if size >= lengths[axis]:
            return -(-lengths[axis] // period) / lengths[axis]
        return (size + period - math.gcd(size, period)) / period / size

    while True:
        options: list[tuple[float, int, int]] = []
        for axis, size in enumerate(sizes):
            for grown in {min(2 * size, lengths[axis]), min(math.lcm(steps[axis], periods[axis]), lengths[axis])}:
                count = math.prod(sizes) // size * grown
                saved = cost(axis, grown) / cost(axis, size)
                if size < grown and count <= (most if saved < 1 else enough):
                    options.append((saved, axis, grown))
        if not options:
            return sizes
        _, axis, grown = min(options)
        sizes[axis] = grown


def _largest(axis: Axis) -> int:
    return axis.chunk if isinstance(axis, RegularAxis) else max(size for size, _ in axis.runs)


def _cuts(axis: Axis, size: int) -> list[slice]:
    """An axis in parts of whole chunks, each at most `size` long, or one chunk."""
    if isinstance(axis, RegularAxis):
        return [slice(start, min(start + size, axis.length)) for start in range(0, axis.length, size)]
    found: list[slice] = []
    for index in range(axis.count):
        start, length = axis.span(index)
        stop = min(start + length, axis.length)
        if found and stop - found[-1].start <= size:
            found[-1] = slice(found[-1].start, stop)
        else:
            found.append(slice(start, stop))
    return found


def _made(node: Array | Group, options: dict[str, Any]) -> ArrayMetadata | GroupMetadata:
    """The metadata of the copy of one node."""
    if isinstance(node, Group):
        return node.metadata._replace(zarr_format=options["zarr_format"] or node.zarr_format, consolidated=None)
    try:
        made = converted(node.metadata, node.layout, **options)
        compile_layout(made, node.document, limits=node.access.context.limits)
    except MetadataError as error:
        raise error.within(node.document) from error.__cause__
    return made


def _overlap(one: Any, other: Any) -> bool:
    """Whether one place is the other, or inside it."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return one[:-1] == other[:-1] and _overlap(one[-1], other[-1])
    if not isinstance(one, str) or not isinstance(other, str):
        return one == other
    shorter, longer = sorted((one.strip("/"), other.strip("/")), key=len)
    return not shorter or f"{longer}/".startswith(f"{shorter}/")
