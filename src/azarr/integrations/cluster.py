"""Copying and checking whole trees on a cluster of `dask.distributed` that is there: this process lists and splits, workers do the rest.

Each task has whole chunks or shards of the copy, so no two tasks write one object; whatever is done twice gives the same bytes. A task of a
copy looks for the note of that copy first: where it is not seen, nothing is written.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from azarr._engine import Progress, Tell, all_of
from azarr.array import Array
from azarr.context import Context
from azarr.errors import AzarrError, ReadOnly, StoreError
from azarr.group import Group
from azarr.integrations import sync
from azarr.integrations.handles import Handle, package, refuse_one_process
from azarr.stores import Cleaning, LocalStore
from azarr.tools import verification
from azarr.tools.copying import NOTE, REGION, Copying, Cut, copy_by, copy_objects, copy_regions, cut_nbytes, nominal, working_nbytes
from azarr.tools.surveying import Coords
from azarr.tools.verification import Found, Report

AHEAD, AT_LEAST = 3, 64
"""Tasks that the cluster has at a time: so many for each of its threads, or so many in all, so that it may grow."""
MOST = 1000
"""Objects of one task."""
CHANGES = ("chunks", "shards", "filters", "serializer", "compressors", "chunk_key_encoding")
Item = TypeVar("Item")


class Cluster:
    """A connection of this process, on its event loop, to a scheduler. `share`: the most threads that one worker has."""

    def __init__(self, client: Any, threads: dict[str, int]) -> None:
        self.client = client
        self.share, self.most = max([1, *threads.values()]), max(AT_LEAST, AHEAD * sum(threads.values()))

    async def run(self, task: Callable[..., Any], work: Iterator[Item], told: Callable[[Item], int], progress: Progress) -> list[Any]:
        """What `task` gives for each item of `work`. The first error ends it, and is raised."""
        errors, found = package("distributed"), list[Any]()

        async def loop() -> None:
            for item in work:
                try:
                    found.append(await self.client.submit(task, item, pure=False))
                except errors.KilledWorker as error:
                    raise AzarrError(f"several workers ended in the same task ({error}): give them more memory, or less to each") from error
                except errors.client.FutureCancelledError as error:
                    raise AzarrError(f"the scheduler gave the task up ({error.reason}); what was done stays done") from error
                progress.add(told(item))

        await all_of([loop() for _ in range(self.most)])
        return found


@asynccontextmanager
async def connected(client: Any) -> AsyncGenerator[Cluster]:
    """The cluster of a client, of the address of a scheduler, or of the client that is current."""
    distributed = package("distributed")
    try:
        other = distributed.default_client() if client is None else client
        address, security = (other, None) if isinstance(other, str) else (other.scheduler.address, other.security)
        mine = await distributed.Client(address, security=security, asynchronous=True, set_as_default=False)
    except OSError as error:
        raise AzarrError(f"no scheduler answers: {error}") from error
    try:
        yield Cluster(mine, await mine.nthreads())
    finally:
        await mine.close()


async def copy(
    source: Any, store: Any, path: str = "", *, client: Any = None, overwrite: bool = False, memory: int | str | None = None,
    progress: Tell = None, context: Context | None = None, zarr_format: int | None = None, **changes: Any,
) -> Array | Group:  # fmt: skip
    """As `azarr.copy`, by the workers of a cluster; `memory` is that of each worker.

    `client` is a `distributed.Client`, the address of a scheduler, or None for the client that is current. All workers must reach both
    stores as this process does. A worker that ends is no harm; if this process ends, the same copy goes on where it was.
    Errors: those of `azarr.copy`; `ReadOnly` for stores of one process; `AzarrError` where the cluster fails; `MissingPackage`.
    """
    if unknown := changes.keys() - CHANGES:
        raise TypeError(f"copy has no option {', '.join(sorted(unknown))}")
    options = {**dict.fromkeys(CHANGES, ...), **changes, "zarr_format": zarr_format}
    async with connected(client) as cluster:
        way = partial(_Copying, cluster)
        made = await copy_by(way, source, store, path, options, overwrite=overwrite, memory=memory, progress=progress, context=context)
    if isinstance(made.store, Cleaning):  # of workers that were killed
        await made.store.clean()
    return made


async def verify(
    store: Any, path: str = "", *, client: Any = None, lenient: bool = False, progress: Tell = None, context: Context | None = None
) -> Report:
    """As `azarr.verify`, by the workers of a cluster. `client`: as for `copy`. Errors: also `AzarrError` where the cluster fails."""
    async with connected(client) as cluster:

        async def check(array: Array, chunks: Iterable[Coords], told: Progress) -> list[Found]:
            task = partial(_check, Handle(_one_thread(array)))
            return [each for found in await cluster.run(task, _batches(array, chunks), len, told) for each in found]

        return await verification.verify(store, path, lenient=lenient, progress=progress, context=context, check=check)


class _Copying(Copying):
    """A copy whose chunks are copied by workers."""

    def __init__(self, cluster: Cluster, *given: Any) -> None:
        super().__init__(*given)
        self.cluster = cluster
        if self.commits:
            raise ReadOnly(f"{self.store!r} is of one process, so that workers cannot write to it")
        refuse_one_process(self.store)

    async def objects(self, source: Array, target: Array, chunks: list[Coords]) -> None:
        task = self.task(_copy_objects, source, target)
        await self.cluster.run(task, _batches(target, chunks), lambda batch: len(batch) * nominal(source), self.told)

    async def regions(self, source: Array, target: Array) -> None:
        missing = self.missing(source, target, self.memory // self.cluster.share - working_nbytes(source, target, 1))
        await self.cluster.run(self.task(_copy_region, source, target), missing, lambda cut: cut_nbytes(source, cut), self.told)

    def task(self, function: Callable[..., None], source: Array, target: Array) -> Callable[..., None]:
        """What a worker calls with some of the work."""
        note = f"{self.path}/{NOTE}".lstrip("/"), self.note
        return partial(function, Handle(_one_thread(source)), Handle(_one_thread(target), writes=True), note)


def _one_thread(array: Array) -> Array:
    """The same for a task, which has one of its worker's threads."""
    context = array.access.context
    return Array(array.metadata, array.access._replace(context=replace(context, workers=context.workers or 1)), array.path)


def _batches(array: Array, chunks: Iterable[Coords]) -> Iterator[list[Coords]]:
    """Chunks or shards, as many for each task as have the bytes of a region."""
    left, size = iter(chunks), min(MOST, max(1, REGION // array.layout.chunk_nbytes(array.metadata.grid)))
    return iter(lambda: list(itertools.islice(left, size)), [])


# What workers do


def _copy_objects(source: Handle, target: Handle, note: tuple[str, bytes], chunks: list[Coords]) -> None:
    async def run() -> None:
        await _look_for(note, target.array)
        await copy_objects(source.array, target.array, chunks, target.array.access.context, Progress(None, 0))

    sync.run(run())


def _copy_region(source: Handle, target: Handle, note: tuple[str, bytes], cut: Cut) -> None:
    async def run() -> None:
        await _look_for(note, target.array)
        await copy_regions(source.array, target.array, [cut], target.array.access.context, Progress(None, 0))

    sync.run(run())


def _check(array: Handle, chunks: list[Coords]) -> list[Found]:
    async def run() -> list[Found]:
        return await verification.check_objects(array.array, chunks, Progress(None, 0))

    return sync.run(run())


async def _look_for(note: tuple[str, bytes], target: Array) -> None:
    """Refuse to write where this is not the copy that is under way, or where a folder is not that of the client."""
    key, text = note
    value = await target.store.get(key)
    if value is None or bytes(value.data) != text:
        more = "; the folder must be one that all machines share" if isinstance(target.store, LocalStore) else ""
        raise StoreError(f"a worker does not see that this copy is under way{more}", store=repr(target.store), key=key)
